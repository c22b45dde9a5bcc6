"""Whom the service's own TLS listeners know by a client certificate."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shaken.audit import SYSTEM
from shaken.credentials import Credential, Role, digest_of
from shaken.https import Presenter
from shaken.importing import Upload, import_certificate
from shaken.snapshot import take_snapshot
from shaken.store.credentials import add_credential
from tests.clients import ClientId, client_id
from trust.authority import self_signed
from trust.certificate import CertificateKind
from trust.clients import ClientRoots
from trust.keys import MasterKey
from trust.store.database import Database


@pytest.fixture
def begin(
    tmp_path: Path, database: Database, master: MasterKey
) -> Iterator[Callable[[], Presenter]]:
    """Begin to present, with client certificates in the folder `clients`."""
    with ExitStack() as begun:

        def begin() -> Presenter:
            own = Database(f"sqlite:///{tmp_path}/shaken.sqlite")
            made = Presenter(
                own, master, take_snapshot(database), client_roots=tmp_path / "clients"
            )
            return begun.enter_context(closing(made))

        yield begin


@pytest.fixture
def client(database: Database, now: int) -> ClientId:
    """A client whose certificate a credential is bound to."""
    made = client_id()
    credential = Credential("pbx", Role.SIGNER, digest_of("x"), None, None, (), made.spki)
    with database.changing() as change:
        add_credential(change, credential, now=now, client_certificate=made.pem)
    return made


def test_that_an_expired_certificate_is_presented_is_said_once(
    begin: Callable[[], Presenter],
    database: Database,
    master: MasterKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = datetime.now(UTC)
    issued = self_signed(
        ["sip.example.com"], now=now - timedelta(days=9), lifetime=timedelta(days=8)
    )
    upload = Upload(CertificateKind.SYSTEM, issued.certificate.pem(), issued.key_pem)
    at = int(now.timestamp())
    import_certificate(database, master, upload, actor=SYSTEM, now=at, lab=False)
    presenter = begin()

    for _ in range(2):
        next(presenter.choose("sip.example.com"))

    assert caplog.text.count("for sip.example.com has expired and is presented") == 1


async def test_a_client_certificate_that_could_not_be_registered_is_so_when_told_again(
    begin: Callable[[], Presenter],
    database: Database,
    client: ClientId,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    snapshot = take_snapshot(database)
    with monkeypatch.context() as full:
        full.setattr(ClientRoots, "hold", fail)
        presenter = begin()
        with pytest.raises(OSError, match="No space left on device"):
            await presenter.follow(snapshot)

    await presenter.follow(snapshot)

    (anchor,) = (tmp_path / "clients").iterdir()
    assert anchor.read_text() == client.pem
