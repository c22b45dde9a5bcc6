"""Requests in the store: bounded, each key sealed for its request, also by a new master key."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from trust.certificate import CertificateKind
from trust.keyring import KeyRing
from trust.keys import MASTER_KEY_BYTES, MasterKey, SealError, unseal_private_key
from trust.request import KeyType
from trust.store import master_key, requests, rotation
from trust.store.database import HISTORY, Database
from trust.store.requests import (
    MAX_PENDING,
    MAX_PENDING_OF_TENANT,
    Filter,
    StoredRequest,
    TooManyPending,
)
from trust.store.rotation import check_done, reseal
from trust.store.sealed import named_keys, not_at_hand

OLD, NEW = (MasterKey(bytes([number]) * MASTER_KEY_BYTES) for number in (1, 2))
KEY = ec.generate_private_key(ec.SECP256R1())

ROW = StoredRequest(
    id="1" * 64,
    kind=CertificateKind.DOMAIN,
    names=("pbx.example.com", "sip.example.com"),
    subject="CN=pbx.example.com",
    tenant=None,
    tn_auth_list=None,
    key_type=KeyType.P256,
    csr="a request",
    sealed_key=b"",
    created_at=1_000,
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store that is bound to the old key."""
    monkeypatch.setattr(rotation, "PAUSE_SECONDS", 0)
    opened = Database(f"sqlite:///{tmp_path}/store.sqlite")
    opened.migrate([HISTORY])
    with opened.changing() as change:
        master_key.bind(change, OLD)
    yield opened
    opened.close()


def put(database: Database, *rows: StoredRequest) -> None:
    with database.changing() as change:
        for row in rows:
            requests.hold_room(change.connection, row.tenant)
            requests.add(change, row)


def numbered(number: int, **more: object) -> StoredRequest:
    name = f"{number:064x}"
    row = replace(ROW, id=name, sealed_key=requests.seal_key(OLD, KEY, name))
    return replace(row, **more)  # type: ignore[arg-type]


def pending(database: Database, name: str) -> StoredRequest:
    with database.reading() as connection:
        row = requests.get(connection, name)
    assert row is not None
    return row


def silent(*_: int) -> None:
    pass


def test_what_is_written_is_read_again(database: Database) -> None:
    row = numbered(1, tenant="pbx.example.com", tn_auth_list=b"\x30\x00")

    put(database, row)

    assert pending(database, row.id) == replace(row, sequence=1)
    assert "sealed_key" not in repr(row)


def test_a_request_that_is_removed_is_gone_with_its_key(database: Database) -> None:
    row = numbered(1)
    put(database, row)

    with database.changing() as change:
        assert requests.remove(change, row.id)
        assert not requests.remove(change, row.id)

    with database.reading() as connection:
        assert requests.get(connection, row.id) is None
        assert named_keys(connection) == {}


def test_a_list_shows_what_is_wanted_page_by_page(database: Database) -> None:
    rows = [numbered(number, tenant="a.test" if number % 2 else "b.test") for number in range(6)]
    rows[3] = replace(rows[3], kind=CertificateKind.STI)
    put(database, *rows)

    def listed(wanted: Filter, after: int = 0, limit: int = 10) -> list[int]:
        with database.reading() as connection:
            found = requests.find(connection, wanted, after=after, limit=limit)
        return [int(row.id, 16) for row in found]

    assert listed(Filter()) == [0, 1, 2, 3, 4, 5]
    assert listed(Filter(tenant="a.test")) == [1, 3, 5]
    assert listed(Filter(tenant="a.test"), after=2, limit=1) == [3]
    assert listed(Filter(CertificateKind.STI)) == [3]
    assert listed(Filter(CertificateKind.STI, "b.test")) == []


def test_so_many_requests_of_a_tenant_are_kept_and_no_more(database: Database) -> None:
    put(database, *(numbered(number, tenant="a.test") for number in range(MAX_PENDING_OF_TENANT)))
    another = numbered(MAX_PENDING)

    with pytest.raises(TooManyPending, match=r"100 requests of a\.test"):
        put(database, replace(another, tenant="a.test"))

    put(database, replace(another, tenant="b.test"))
    with database.changing() as change:
        requests.remove(change, numbered(0).id)
    put(database, numbered(0, tenant="a.test"))


def test_so_many_requests_are_kept_in_all_and_no_more(database: Database) -> None:
    put(database, *(replace(ROW, id=f"{number:064x}") for number in range(MAX_PENDING)))

    for tenant in (None, "a.test"):
        with pytest.raises(TooManyPending, match="1000 requests"):
            put(database, replace(ROW, id="f" * 64, tenant=tenant))


def test_a_key_opens_for_its_request_and_nothing_else() -> None:
    row, other = numbered(1), numbered(2)

    assert requests.open_key(OLD, row).public_key() == KEY.public_key()
    with pytest.raises(SealError):
        requests.open_key(OLD, replace(other, sealed_key=row.sealed_key))
    # Nor for a certificate, whatever its fingerprint.
    with pytest.raises(SealError):
        unseal_private_key(OLD, row.sealed_key, record=row.id)
    assert unseal_private_key(OLD, row.sealed_key, record=f"request:{row.id}")


def test_pending_keys_are_sealed_anew_with_the_others(database: Database) -> None:
    keys = KeyRing(lambda: [NEW, OLD])
    rows = [numbered(number) for number in range(rotation.BATCH + 1)]
    put(database, *rows)
    with database.reading() as connection:
        assert not_at_hand(connection, OLD) == {}
        assert not_at_hand(connection, NEW) == {OLD.id: len(rows)}

    done = reseal(database, keys, tell=silent)

    assert (done.count, done.unopened) == (len(rows), ())
    check_done(database, NEW)
    for row in rows:
        anew = pending(database, row.id)
        assert requests.open_key(NEW, anew).public_key() == KEY.public_key()
        with pytest.raises(SealError):
            requests.open_key(OLD, anew)


def test_a_pending_key_that_does_not_open_is_named_as_that_of_a_request(database: Database) -> None:
    row = numbered(1, sealed_key=MasterKey.generate().seal(b"", record="x"))
    put(database, row)

    done = reseal(database, KeyRing(lambda: [NEW, OLD]), tell=silent)

    assert done.unopened == (f"request:{row.id}",)
    assert pending(database, row.id).sealed_key == row.sealed_key
