"""Certificates (x5u) and revocation lists of others: fetched under guard, checked, kept.

`repository` and `crls` are what a verification asks; beneath them `cache` decides when there is to
be fetched, `fetch` does it, `guard` sees to which addresses it connects. What is fetched is read
by `content`; whether to trust it is for `trust.path` and the verification to say.
"""
