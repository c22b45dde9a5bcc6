"""acme2certifier, another ACME authority, which has renewal information; a process of its own.

It looks for challenges on port 80 only, which tests do not have: its validation is turned off.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.ports import free_port
from tests.trust.acme.pebble import Pebble, Responder, process
from trust.authority import Authority

APPLICATION = "acme2certifier.share.acme2certifier_wsgi:application"

CONFIGURATION = """
[DEFAULT]
debug: False
server_name: localhost:{port}

[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: {folder}/ca-key.pem
issuing_ca_cert: {folder}/ca.pem
issuing_ca_crl: {folder}/ca.crl
cert_save_path: {folder}/certificates
cert_validity_days: 90

[DBhandler]
handler_module: acme2certifier.dbhandlers.wsgi_handler
dbfile: {folder}/acme.db

[Challenge]
challenge_validation_disable: True

[Renewalinfo]
renewalthreshold_pctg: 60
"""


@contextmanager
def running_acme2certifier(folder: Path) -> Iterator[Pebble]:
    """Start it; it is handed out as a `Pebble` that has neither management nor DNS."""
    port = free_port()
    now = datetime.now(UTC)
    authority = Authority.create("Another root", now=now)
    server = authority.issue_server(["localhost"], now=now)
    files = {
        "chain.pem": server.chain_pem,
        "key.pem": server.key_pem,
        "roots.pem": authority.root_pem,
        "ca.pem": authority.certificate_pem,
        "ca-key.pem": authority.key_pem,
        "acme_srv.cfg": CONFIGURATION.format(folder=folder, port=port),
    }
    (folder / "certificates").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-W", "ignore", "-m", "tests.trust.acme.wsgi_over_tls", APPLICATION]
    command += [str(port), str(folder / "chain.pem"), str(folder / "key.pem")]
    environment = {
        "ACME_SRV_CONFIGFILE": str(folder / "acme_srv.cfg"),
        "ACME2CERTIFIER_BASE_DIR": str(folder),
        "ACME2CERTIFIER_I_KNOW_THE_RISK": "1",
    }
    with ExitStack() as stack:
        stack.enter_context(process(command, environment, until="serving"))
        yield Pebble(
            directory=f"https://localhost:{port}/directory",
            management="",
            roots=str(folder / "roots.pem"),
            responder=Responder(0),
            dns="",
            resolver_port=0,
        )
