"""A backup taken from a service at work, and a service that works from a restored one."""

import base64
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shaken.service import prepare
from shaken.store.calls import CallRecord, add_calls
from tests.stores import BUILT_IN, ORIGID, REVISION, SETTINGS, Store, make_store, sign_with_all
from tests.system.caller import Caller
from tests.system.killed import Command
from tests.system.process import Service, run_shaken, running
from trust.authority import Authority, Issued
from trust.keyring import read_master_keys
from trust.keys import unseal_private_key

UPLOADERS = 3
BACKUPS = 4
ROUNDS = 12

TENANTS = 50


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "data", tenants=TENANTS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backup.sqlite"


def shaken(*arguments: str | Path, folder: Path) -> str:
    """Run a command that must succeed and warn of nothing; return what it prints."""
    run = run_shaken(*arguments, folder=folder)
    assert (run.returncode, run.stderr) == (0, ""), run
    return run.stdout


@dataclass
class Uploads:
    """Certificates on their way into a service: all that were sent, and those answered 201."""

    store: Store
    service: Service
    sent: dict[str, Issued] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    _serial: Iterator[int] = field(default_factory=count)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Upload one certificate after the other all the time."""
        threads = [threading.Thread(target=self._upload) for _ in range(UPLOADERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _upload(self) -> None:
        admin = Caller(self.service.url, self.store.admin)
        authority = Authority.create("Lab root", now=datetime.now(UTC))
        while not self._over.is_set():
            issued = authority.issue_sti(
                spc="1234", common_name=f"n{next(self._serial)}", now=datetime.now(UTC)
            )
            body = {"kind": "sti", "certificate": issued.chain_pem, "private_key": issued.key_pem}
            self.sent[issued.certificate.fingerprint] = issued
            answer = admin.post("/api/v1/certificates", body)
            assert answer.status == 201, answer.body
            self.accepted.add(issued.certificate.fingerprint)


def checked(file: Path, known: dict[str, Issued], master_key: Path) -> set[str]:
    """Check each row of a backup against what was sent; return the ids of what was sent."""
    (master,) = read_master_keys(master_key)
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        columns = "id, chain, sealed_key, revision, source"
        rows = connection.execute(f"SELECT {columns} FROM certificates").fetchall()  # noqa: S608
        (revision,) = connection.execute("SELECT number FROM revision").fetchone()
    for identity, chain, sealed, written, source in rows:
        if source == "built-in":
            unseal_private_key(master, sealed, record=identity)
            continue
        issued = known[identity]
        assert chain == issued.chain_pem
        assert written <= revision
        key = unseal_private_key(master, sealed, record=identity)
        assert key.public_key() == issued.private_key.public_key()
    # Each change raises the revision once: none is missing in between.
    assert max(row[3] for row in rows) == revision
    return {row[0] for row in rows if row[4] != "built-in"}


def traces_of(key: ec.EllipticCurvePrivateKey) -> set[bytes]:
    """List what of a private key would show in a file that held it, in whatever form."""
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    forms = [scalar]
    for layout in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        forms.append(key.private_bytes(Encoding.DER, layout, NoEncryption()))
        pem = key.private_bytes(Encoding.PEM, layout, NoEncryption())
        forms += pem.splitlines()[1:-1]
    return {*forms, *spelled(scalar)}


def spelled(secret: bytes) -> set[bytes]:
    """Spell bytes in hex, and in base64 wherever in a text they may begin."""
    # What stands before and after may change the first and the last four characters.
    base64s = [base64.b64encode(bytes(before) + secret)[4:-4] for before in range(3)]
    return {secret.hex().encode(), secret.hex().upper().encode(), *base64s}


def test_backups_taken_during_uploads_are_whole_and_hold_what_was_accepted_before(
    store: Store, tmp_path: Path
) -> None:
    known = {issued.certificate.fingerprint: issued for issued in store.issued.values()}
    found = []
    with running(tmp_path, "--workers", "2", settings=SETTINGS) as service:
        uploads = Uploads(store, service)
        with uploads.going_on():
            for number in range(BACKUPS):
                time.sleep(0.2)
                before = set(uploads.accepted)
                backup = tmp_path / f"{number}.sqlite"
                shaken("backup", backup, "--data-dir", store.data, folder=tmp_path)
                found.append((backup, before, set(uploads.accepted)))

    known |= uploads.sent
    for backup, before, after in found:
        ids = checked(backup, known, store.home.key_file)
        assert before <= ids
        assert len(ids) <= TENANTS + len(after) + UPLOADERS
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert len({len(before) for _, before, _ in found}) == BACKUPS, "nothing was uploaded meanwhile"


def test_no_form_of_any_key_is_in_a_backup(store: Store, file: Path, tmp_path: Path) -> None:
    shaken("backup", file, "--data-dir", store.data, folder=tmp_path)

    content = file.read_bytes()
    (master,) = read_master_keys(store.home.key_file)
    traces = {master.secret, master.to_text().encode(), *spelled(master.secret)}
    for issued in store.issued.values():
        traces |= traces_of(issued.private_key)
        assert issued.certificate.fingerprint.encode() in content
    assert [trace for trace in traces if trace in content] == []
    assert b"PRIVATE KEY" not in content


def test_traces_are_found_where_they_are(store: Store) -> None:
    for issued in store.issued.values():
        key = issued.private_key
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        for holds_it in (issued.key_pem.encode(), scalar, scalar.hex().encode()):
            assert [trace for trace in traces_of(key) if trace in holds_it] != []
        for before in (b"", b"a", b"ab"):
            text = base64.b64encode(before + scalar + b"after")
            assert [trace for trace in traces_of(key) if trace in text] != []


def test_a_restored_service_signs_with_every_certificate(
    store: Store, file: Path, tmp_path: Path
) -> None:
    with running(tmp_path, "--workers", "2", settings=SETTINGS) as service:
        made = shaken("backup", file, "--data-dir", store.data, folder=tmp_path)
        refused = run_shaken("restore", file, "--data-dir", store.data, "--force", folder=tmp_path)
        assert service.listens()
    (key,) = read_master_keys(store.home.key_file)
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    shutil.copy(store.home.key_file, other / "data")

    placed = shaken("restore", file, "--data-dir", other / "data", folder=tmp_path)

    size = file.stat().st_size / 1e6
    assert made.splitlines() == [
        f"{file} is whole: {TENANTS + BUILT_IN} certificates, revision {REVISION}, {size:.1f} MB",
        f"the master key {key.id} is NOT in it: keep a copy of {store.data}/master.key elsewhere",
    ]
    assert refused.returncode == 1
    assert refused.stderr == f"Error: a service runs on {store.data}; stop it first\n"
    assert placed.endswith(f"start the service with --data-dir {other}/data\n")
    with running(other, "--workers", "2", settings=SETTINGS) as service:
        signer = Caller(service.url, store.signer)
        for address, issued in store.issued.items():
            answer = signer.sign(tenant=address, attest="A", origid=ORIGID)
            assert answer.status == 200, answer.body
            expected = f"{issued.certificate.fingerprint}; chosen=tenant"
            assert answer.headers["x-certificate"] == expected


def test_a_restore_beside_a_database_that_was_there_keeps_it(
    store: Store, file: Path, tmp_path: Path
) -> None:
    shaken("backup", file, "--data-dir", store.data, folder=tmp_path)

    refused = run_shaken("restore", file, "--data-dir", store.data, folder=tmp_path)
    said = shaken("restore", file, "--data-dir", store.data, "--force", folder=tmp_path)

    (kept,) = store.data.glob("shaken.sqlite.before-restore-*")
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert f"the database before it is kept as {kept}\n" in said


def test_a_backup_is_not_overwritten_unless_forced(
    store: Store, file: Path, tmp_path: Path
) -> None:
    arguments = ("backup", str(file), "--data-dir", str(store.data))
    shaken(*arguments, folder=tmp_path)

    refused = run_shaken(*arguments, folder=tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: {file} exists; --force overwrites it\n"
    shaken(*arguments, "--force", folder=tmp_path)


@pytest.fixture
def large(store: Store) -> Store:
    """A store whose copy takes a while: it holds many records of calls."""
    call = CallRecord(
        at=0,
        credential="signer",
        tenant=None,
        trunk=None,
        orig="12155550100",
        dest="12155550199",
        attest="A",
        origid=ORIGID,
        certificate="0" * 64,
        request_id="c22e71fae074e47c-2",
    )
    with closing(store.home.open_database()) as database:
        add_calls(database, [call] * 40_000)
    return store


def test_a_backup_that_is_killed_leaves_a_whole_file_or_none(
    large: Store, file: Path, tmp_path: Path
) -> None:
    store = large
    known = {issued.certificate.fingerprint: issued for issued in store.issued.values()}
    arguments = ("backup", file, "--data-dir", store.data)
    duration = Command(*arguments, folder=tmp_path).run()
    file.unlink()
    killed = 0

    for _ in range(ROUNDS):
        killed += Command(*arguments, folder=tmp_path).kill(within=duration)

        if file.exists():
            assert checked(file, known, store.home.key_file) == known.keys()
            file.unlink()

    assert killed
    shaken("backup", file, "--data-dir", store.data, folder=tmp_path)


def test_a_restore_that_is_killed_leaves_the_database_before_it_or_the_restored_one(
    large: Store, file: Path, tmp_path: Path
) -> None:
    store = large
    shaken("backup", file, "--data-dir", store.data, folder=tmp_path)
    arguments = ("restore", file, "--data-dir", store.data, "--force")
    duration = Command(*arguments, folder=tmp_path).run()
    killed = 0

    for _ in range(ROUNDS):
        prepared = prepare(store.home.config, store.data)
        with closing(prepared.open_database()) as database, database.changing() as change:
            before = change.revision
        killed += Command(*arguments, folder=tmp_path).kill(within=duration)

        prepared = prepare(store.home.config, store.data)
        with closing(prepared.open_database()) as database:
            database.check_whole()
            assert database.revision() in {REVISION, before}
        sign_with_all(store, prepared)
        for kept in store.data.glob("*.before-restore-*"):
            kept.unlink()

    assert killed
    shaken(*map(str, arguments), folder=tmp_path)
    with running(tmp_path, settings=SETTINGS):
        pass
