"""Certificates: what to present, whom to trust, how to renew.

The package reads certificates and keys, builds and validates chains, issues for the lab, keeps
what was uploaded and chooses among it. It knows X.509 and ACME but neither SIP nor PASSporTs: it
imports neither `sip` nor `shaken`, and both the signing service and a TLS listener stand on it.
"""
