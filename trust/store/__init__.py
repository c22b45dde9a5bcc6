"""The store: one database, embedded SQLite by default, and the certificates in it.

`database` is the way in (transactions, revision, migrations); `tables` says what a certificate's
row holds; `certificates` reads and writes them. What a certificate means is for the rest of
`trust`; who may change it is for the service.
"""
