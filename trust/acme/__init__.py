"""Certificates that renew themselves, by ACME (RFC 8555)."""
