"""A service's master key is exchanged: begin, seal anew, finish, each of them safe to repeat."""

import os
import random
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import update

from shaken import rotation
from shaken.api.certificates import CertificateImport, create
from shaken.api.problems import Problem
from shaken.api.routes import ApiCall, Resources
from shaken.audit import SYSTEM
from shaken.credentials import Credential, Role
from shaken.home import Home, HomeError
from shaken.importing import Upload, import_certificate
from shaken.pens import Pens
from shaken.rotation import RotationError
from shaken.service import StartError, prepare
from shaken.snapshot import take_snapshot
from tests.lines import killed_before
from tests.signing import pens_with
from tests.stores import (
    BUILT_IN,
    Store,
    add_request,
    fulfil,
    home_of,
    make_store,
    sign_with_all,
)
from trust import keyring
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.keyring import KeyRing, add_master_key, read_master_keys
from trust.keys import MasterKey, MasterKeyError
from trust.store import master_key, tables
from trust.store import rotation as store_rotation
from trust.store.certificates import StoredCertificate
from trust.store.database import Database
from trust.store.rotation import reseal

TENANTS = 3
SEALED = TENANTS + BUILT_IN


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose master key is in a file."""
    return make_store(tmp_path / "data", tenants=TENANTS)


@pytest.fixture
def home(store: Store) -> Home:
    return store.home


def rotate(home: Home, *, keep_old: bool = False) -> rotation.Rotated:
    return rotation.rotate(home, keep_old=keep_old, tell=silent)


def silent(*_: int) -> None:
    pass


def key_ids(home: Home) -> list[str]:
    return [key.id for key in read_master_keys(home.key_file)]


def test_a_rotation_leaves_the_hashes_of_numbers_as_they_are(tmp_path: Path) -> None:
    hashing = home_of(tmp_path / "data", SHAKEN_RECORDS__NUMBERS="hashed")
    before = prepare(hashing.config, hashing.folder).numbers
    (old,) = read_master_keys(hashing.key_file)

    rotate(hashing)

    after = prepare(hashing.config, hashing.folder).numbers
    plain = home_of(hashing.folder)
    assert before is not None
    assert before == after == prepare(plain.config, plain.folder).numbers
    assert old not in read_master_keys(hashing.key_file)
    database = hashing.open_database()
    assert before.key not in hashing_file(database)
    database.close()


def hashing_file(database: Database) -> bytes:
    """Return what the file of a store holds."""
    database.settle()
    return Path(database.name.removeprefix("sqlite:///")).read_bytes()


def test_a_rotation_leaves_only_the_new_key_and_everything_signs(store: Store, home: Home) -> None:
    (old,) = read_master_keys(home.key_file)

    done = rotate(home)

    assert (done.resealed, done.former, done.kept) == (SEALED, [old], False)
    assert read_master_keys(home.key_file) == (done.current,)
    assert done.current != old
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600
    sign_with_all(store, prepare(home.config, home.folder))


def test_keys_that_wait_for_certificates_are_sealed_anew_too(store: Store, home: Home) -> None:
    requests = [add_request(store) for _ in range(2)]

    done = rotate(home)

    assert done.resealed == SEALED + len(requests)
    assert rotation.look(home).named == {done.current.id: SEALED + len(requests)}
    for request in requests:
        assert fulfil(request, home).sealed_key is not None
    assert rotation.look(home).named == {done.current.id: SEALED + len(requests)}


def test_a_request_of_before_a_rotation_that_was_cut_off_is_fulfilled(
    store: Store, home: Home
) -> None:
    request = add_request(store)
    changed_over(home)
    new, old = key_ids(home)
    assert rotation.look(home).named == {old: SEALED + 1}

    fulfil(request, home)

    assert rotation.look(home).named == {old: SEALED, new: 1}


def test_a_waiting_key_whose_master_key_is_not_at_hand_goes_on_waiting(
    store: Store, home: Home
) -> None:
    request = add_request(store)
    right = home.key_file.read_text()
    home.key_file.write_text(MasterKey.generate().to_text())

    with pytest.raises(MasterKeyError):
        fulfil(request, home)

    home.key_file.write_text(right)
    assert fulfil(request, home).sealed_key is not None


def test_the_former_key_starts_no_service_any_more(home: Home) -> None:
    former = home.key_file.read_text()
    rotate(home)
    home.key_file.write_text(former)

    with pytest.raises(StartError, match="put the right one back"):
        prepare(home.config, home.folder)


def test_each_rotation_makes_another_key(home: Home) -> None:
    assert len({rotate(home).current for _ in range(3)}) == 3


def test_a_service_that_runs_meanwhile_signs_and_stores_as_before(
    store: Store, home: Home, lab_ca: Authority, now: int
) -> None:
    prepared = prepare(home.config, home.folder)

    rotate(home)

    sign_with_all(store, prepared)
    issued = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        passphrase=None,
        tenant=None,
        x5u=None,
    )
    with closing(prepared.open_database()) as database:
        import_certificate(database, prepared.master, upload, actor=SYSTEM, now=now, lab=False)
    assert rotation.look(home).named == {key_ids(home)[0]: SEALED + 1}


def test_how_things_stand_is_shown(home: Home) -> None:
    before = rotation.look(home)
    old = before.keys[0]
    assert before == rotation.State((old,), old.id, {old.id: SEALED})

    done = rotate(home, keep_old=True)

    new = done.current
    assert rotation.look(home) == rotation.State((new, old), new.id, {new.id: SEALED})


def test_a_rotation_that_keeps_the_old_key_is_not_taken_for_another_one(home: Home) -> None:
    first = rotate(home, keep_old=True)

    with pytest.raises(RotationError, match=r"is complete.*run `shaken keys finish`"):
        rotate(home, keep_old=True)
    ended = rotate(home)
    second = rotate(home)

    assert not first.ended_earlier
    assert (ended.current, ended.ended_earlier) == (first.current, True)
    assert not second.ended_earlier
    assert second.current != first.current
    assert key_ids(home) == [second.current.id]


def test_a_key_in_use_that_is_not_at_hand_is_shown_too(home: Home) -> None:
    (needed,), other = read_master_keys(home.key_file), MasterKey.generate()
    home.key_file.write_text(other.to_text())

    state = rotation.look(home)

    assert (list(state.keys), state.bound_to) == ([other], needed.id)
    assert state.named.keys() == {needed.id}


# Killed in the middle


def begun(home: Home) -> None:
    add_master_key(home.key_file)


def changed_over(home: Home) -> None:
    add_master_key(home.key_file)
    with closing(home.open_database()) as database, database.changing() as change:
        master_key.rebind(change, home.keys())


def half_sealed(home: Home) -> None:
    changed_over(home)
    row = first_row(home)
    put_sealed(home, row, home.keys().current.seal(plaintext_of(row, home), record=row.id))


def all_sealed(home: Home) -> None:
    add_master_key(home.key_file)
    with closing(home.open_database()) as database:
        reseal(database, home.keys(), tell=silent)


def with_a_half_written_file(home: Home) -> None:
    begun(home)
    home.key_file.with_name("master.key.new").write_text("half")


def first_row(home: Home) -> StoredCertificate:
    """Return one of the STI certificates in the store."""
    with closing(home.open_database()) as database:
        rows = take_snapshot(database).certificates.values()
        return next(row for row in rows if row.kind is CertificateKind.STI)


def plaintext_of(row: StoredCertificate, home: Home) -> bytes:
    assert row.sealed_key is not None
    return home.keys().unseal(row.sealed_key, record=row.id)


def put_sealed(home: Home, row: StoredCertificate, value: bytes) -> None:
    """Write another sealed key into a certificate's row."""
    with closing(home.open_database()) as database, database.changing() as change:
        change.connection.execute(
            update(tables.certificates)
            .where(tables.certificates.c.id == row.id)
            .values(sealed_key=value, revision=change.revision)
        )


@pytest.mark.parametrize(
    "moment", [begun, changed_over, half_sealed, all_sealed, with_a_half_written_file]
)
def test_wherever_a_rotation_ended_everything_signs_and_the_next_one_goes_on(
    store: Store, home: Home, moment: Callable[[Home], None]
) -> None:
    (old,) = key_ids(home)
    moment(home)
    new, _ = key_ids(home)

    sign_with_all(store, prepare(home.config, home.folder))
    done = rotate(home)

    assert (done.current.id, [key.id for key in done.former]) == (new, [old])
    assert key_ids(home) == [new]
    assert rotation.look(home).named == {new: SEALED}
    sign_with_all(store, prepare(home.config, home.folder))


MODULES = [rotation, keyring, store_rotation, master_key]

STRIDE = 11
"""Every so many lines a rotation is killed, from a random one on."""


def test_a_rotation_that_is_killed_before_any_of_its_lines_is_made_good_by_the_next(
    store: Store, tmp_path: Path
) -> None:
    for line in count(random.randrange(STRIDE), STRIDE):  # noqa: S311 - no secret
        trial = replace(store, data=tmp_path / f"killed-before-{line}")
        shutil.copytree(store.data, trial.data)
        if not killed_before(line, partial(rotate, trial.home), MODULES):
            break

        sign_with_all(trial, prepare(trial.home.config, trial.data))
        done = rotate(trial.home)

        assert key_ids(trial.home) == [done.current.id]
        assert rotation.look(trial.home).named == {done.current.id: SEALED}
    assert line > 20 * STRIDE


def test_a_key_that_is_still_needed_is_never_thrown_away(home: Home) -> None:
    rotate(home, keep_old=True)
    _, old = read_master_keys(home.key_file)
    row = first_row(home)
    put_sealed(home, row, old.seal(plaintext_of(row, home), record=row.id))

    with pytest.raises(RotationError, match=f"sealed with {old.id}: run `shaken keys rotate`"):
        rotation.finish(home)

    assert len(read_master_keys(home.key_file)) == 2


def test_private_keys_that_do_not_open_keep_the_former_key_and_are_named(home: Home) -> None:
    (old,) = read_master_keys(home.key_file)
    lost = first_row(home)
    put_sealed(home, lost, MasterKey.generate().seal(b"x", record=lost.id))

    with pytest.raises(
        RotationError, match=rf"1 keys open under no master key at hand \({lost.id}\)"
    ):
        rotate(home)

    assert old in read_master_keys(home.key_file)
    assert len(read_master_keys(home.key_file)) == 2


def test_a_service_with_a_private_key_that_does_not_open_starts_and_says_so(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    stranger, lost = MasterKey.generate(), first_row(home)
    put_sealed(home, lost, stranger.seal(b"x", record=lost.id))

    prepare(home.config, home.folder)

    assert f"1 private keys need the master key {stranger.id}, which is not at hand" in caplog.text


def test_a_master_key_that_does_not_fit_changes_nothing(home: Home) -> None:
    home.key_file.write_text(MasterKey.generate().to_text())
    before = home.key_file.read_bytes()

    for step in (rotate, rotation.begin, rotation.finish):
        with pytest.raises(MasterKeyError, match="put the right one back"):
            step(home)

    assert home.key_file.read_bytes() == before


def test_nothing_is_rotated_while_a_backup_is_restored(home: Home) -> None:
    with home.alone(), pytest.raises(HomeError, match="is being restored"):
        rotate(home)


# Several services


def test_a_shared_database_is_changed_over_only_once_all_may_have_the_key(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "shared", True)
    before = home.key_file.read_bytes()

    with pytest.raises(RotationError, match=r"run `shaken keys begin`, copy .* to each"):
        rotate(home)

    assert home.key_file.read_bytes() == before


def test_services_that_share_a_database_change_over_one_after_the_other(
    store: Store, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "shared", True)
    second = home_of(
        tmp_path / "second",
        SHAKEN_DATABASE__URL=home.database_url,
        SHAKEN_KEYS__MASTER_KEY_FILE=str(tmp_path / "second.key"),
    )
    second.make_folder()
    second.key_file.write_bytes(home.key_file.read_bytes())
    running = [prepare(each.config, each.folder) for each in (home, second)]

    new, old = rotation.begin(home)
    assert list(rotation.begin(home)) == [new, old]
    second.key_file.write_bytes(home.key_file.read_bytes())
    done = rotate(home)
    for prepared in running:
        sign_with_all(store, prepared)
    assert done.kept
    assert len(key_ids(home)) == 2
    assert list(rotation.finish(home)) == [old]
    assert list(rotation.finish(second)) == [old]

    assert key_ids(home) == key_ids(second) == [new.id]
    assert list(rotation.finish(second)) == []
    for each in (home, second):
        sign_with_all(store, prepare(each.config, each.folder))


def test_a_key_that_is_in_use_is_not_opened_again(home: Home) -> None:
    # So a rotation costs the calls nothing, and a service that has not got the new key yet goes on.
    (old,) = read_master_keys(home.key_file)
    pens = pens_with(old)
    before = first_row(home)
    pen = pens._pen(before)
    rotate(home)

    after = first_row(home)

    assert after.sealed_key != before.sealed_key
    assert pens._pen(after).key is pen.key
    assert pens._pen(after).row is after


def test_a_finish_before_the_change_over_is_refused(home: Home) -> None:
    rotation.begin(home)

    with pytest.raises(RotationError, match="run `shaken keys rotate` first"):
        rotation.finish(home)

    assert len(key_ids(home)) == 2


# Keys in the settings


OLD, NEW = MasterKey(b"1" * 32), MasterKey(b"2" * 32)


def of_settings(data: Path, master: MasterKey, former: MasterKey | None = None) -> Home:
    settings = {"SHAKEN_KEYS__MASTER_KEY": master.to_text()}
    if former is not None:
        settings["SHAKEN_KEYS__FORMER_MASTER_KEY"] = former.to_text()
    return home_of(data, **settings)


@pytest.fixture
def settings_store(tmp_path: Path) -> Store:
    """A store whose master key is in the settings."""
    data = tmp_path / "data"
    return make_store(data, tenants=TENANTS, SHAKEN_KEYS__MASTER_KEY=OLD.to_text())


def test_a_key_of_the_settings_is_for_the_administrator_to_change(settings_store: Store) -> None:
    home = of_settings(settings_store.data, OLD)

    for step in (rotate, rotation.begin):
        with pytest.raises(RotationError, match="set SHAKEN_KEYS__FORMER_MASTER_KEY to") as refused:
            step(home)
        assert "openssl rand -base64 32" in str(refused.value)
        assert OLD.to_text() not in str(refused.value)


def test_with_the_former_key_in_the_settings_everything_changes_over(
    settings_store: Store,
) -> None:
    data = settings_store.data
    both = of_settings(data, NEW, OLD)
    # The services restart with both, one after the other.
    running = [prepare(each.config, data) for each in (of_settings(data, OLD), both)]
    for prepared in running:
        sign_with_all(settings_store, prepared)

    done = rotate(both)

    assert (done.current, done.former, done.resealed) == (NEW, [OLD], SEALED)
    sign_with_all(settings_store, running[1])
    assert list(rotation.finish(both)) == [OLD]
    sign_with_all(settings_store, prepare(of_settings(data, NEW).config, data))
    assert not (data / "master.key").exists()
    assert not any("key" in path.name for path in data.iterdir())


def test_a_key_moves_from_the_settings_to_a_file(settings_store: Store) -> None:
    home = home_of(settings_store.data, SHAKEN_KEYS__FORMER_MASTER_KEY=OLD.to_text())
    home.key_file.write_text(f"{NEW.to_text()}\n")

    done = rotate(home)

    assert (done.current, done.former) == (NEW, [OLD])
    sign_with_all(settings_store, prepare(home_of(settings_store.data).config, settings_store.data))


# Uploads to a service that has not got the new key


def test_an_upload_that_cannot_be_sealed_is_refused_and_nothing_stored(
    database: Database, pens: Pens, master: MasterKey, lab_ca: Authority, now: int
) -> None:
    with database.changing() as change:
        master_key.bind(change, MasterKey.generate())
    config = home_of(Path("data")).config
    resources = Resources(config, database, KeyRing(lambda: [master]), pens, None)
    issued = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    body = CertificateImport(
        kind=CertificateKind.STI, certificate=issued.chain_pem, private_key=issued.key_pem
    )
    admin = Credential("admin", Role.ADMIN, b"", None, None, ())
    call = ApiCall(resources, take_snapshot(database), now, admin, "192.0.2.1", {}, {}, body)

    with pytest.raises(Problem) as refused:
        create(call)

    assert (refused.value.status, refused.value.slug) == (503, "master-key-missing")
    assert take_snapshot(database).certificates == {}


def test_a_rotation_leaves_the_files_to_their_owner(home: Home) -> None:
    # Only root may give files away; anybody else's stay its own.
    owner = 10001 if os.geteuid() == 0 else os.geteuid()
    for path in (home.folder, *home.folder.iterdir()):
        os.chown(path, owner, -1)

    rotate(home)

    assert {path.name: path.stat().st_uid for path in home.folder.iterdir()} == {
        "master.key": owner,
        "shaken.sqlite": owner,
    }
