"""Measurements: `make bench`. Timing belongs here, never in a test."""
