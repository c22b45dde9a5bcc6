"""A TLS server's context that asks clients for a certificate."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.clients import ClientId
from trust.authority import self_signed


def tls_server(folder: Path, client: ClientId) -> ssl.SSLContext:
    """Present a certificate for localhost, and take that of the client if it shows one."""
    own = self_signed(["localhost"], now=datetime.now(UTC), lifetime=timedelta(days=1))
    file = folder / "server.pem"
    file.write_text(own.key_pem + own.chain_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.load_verify_locations(cadata=client.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
