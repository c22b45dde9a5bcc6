"""The HTTP face: one module a resource, errors in one place, aiohttp only in `http`.

A handler decodes, calls the domain and encodes; it sees plain values, never an HTTP library's.
"""
