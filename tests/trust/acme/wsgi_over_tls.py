"""Serves a WSGI application, given by name, over TLS on loopback.

Run as `python -m tests.trust.acme.wsgi_over_tls MODULE:NAME PORT CHAIN KEY`.
"""

import importlib
import ssl
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def address_string(self) -> str:
        return str(self.client_address[0])

    def log_message(self, *_: object) -> None:
        pass

    def get_environ(self) -> dict[str, object]:
        return {**super().get_environ(), "HTTP_X_FORWARDED_PROTO": "https"}


def main(application: str, port: str, chain: str, key: str) -> None:
    module, _, name = application.partition(":")
    served = getattr(importlib.import_module(module), name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server = Server(("127.0.0.1", int(port)), Quiet)
    server.set_app(served)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
