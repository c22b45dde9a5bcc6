"""SIP: what the protocol says on the wire, and how it is carried.

The package reads and writes telephone numbers, URIs, the Identity header field and whole messages,
and moves messages over UDP, TCP and TLS. It knows neither certificates nor what a PASSporT means:
it imports neither `trust` nor `shaken`, so that each piece of syntax is tested as plain values.
"""
