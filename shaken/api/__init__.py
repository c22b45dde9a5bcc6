"""The HTTP face: one module a resource, errors in one place.

A handler decodes, calls the domain and encodes; it sees plain values, never an HTTP library's.
aiohttp is known to `http` and `bodies` only, llhttp to `stir_wire`.
"""
