"""The service: PASSporTs, and everything composed into a signing and trust service.

Stands on `sip` (what SIP says) and `trust` (which certificates are presented and believed).
`service` is the composition root; `api` and `cli` are the faces.
"""
