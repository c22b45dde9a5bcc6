"""The master key is exchanged under a service that signs, and by commands that are killed."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from shaken.rotation import look
from shaken.service import prepare
from tests.stores import BUILT_IN, ORIGID, SETTINGS, Store, make_store, sign_with_all
from tests.system.caller import Caller
from tests.system.killed import Command
from tests.system.process import Service, run_shaken, running, until
from trust.authority import Authority
from trust.keyring import read_master_keys
from trust.keys import MasterKey, SealError
from trust.store import master_key, tables

TENANTS = 200
SEALED = TENANTS + BUILT_IN
ROTATIONS = 3
ROUNDS = 20
CALLERS = 4

PAUSE_SECONDS = 0.015
"""Between two calls of a caller: so some certificates are used for the first time meanwhile."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "data", tenants=TENANTS)


def rotate(store: Store, *options: str) -> str:
    """Run `shaken keys rotate`, which must succeed, and return what it prints."""
    arguments = ("keys", "rotate", "--data-dir", str(store.data), *options)
    run = run_shaken(*arguments, folder=store.data.parent)
    assert (run.returncode, run.stderr) == (0, ""), run
    return run.stdout


@dataclass
class Calls:
    """Calls that are signed and certificates that are uploaded without a pause in between."""

    store: Store
    service: Service
    answers: list[int] = field(default_factory=list)
    uploads: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Call and upload all the time, then look at what was answered."""
        with ThreadPoolExecutor(CALLERS + 1) as pool:
            threads = [pool.submit(self._call) for _ in range(CALLERS)]
            threads.append(pool.submit(self._upload))
            try:
                yield
            finally:
                self.over.set()
            for thread in threads:
                thread.result()

    def _call(self) -> None:
        caller = Caller(self.service.url, self.store.signer)
        with closing(caller.connect()) as connection:
            while not self.over.is_set():
                (address,) = random.sample([*self.store.issued], 1)
                answer = caller.sign(over=connection, tenant=address, attest="A", origid=ORIGID)
                self.answers.append(answer.status)
                if answer.status != 200:
                    self.failures.append(answer.body.decode())
                time.sleep(PAUSE_SECONDS)

    def _upload(self) -> None:
        caller = Caller(self.service.url, self.store.admin)
        authority = Authority.create("Lab root", now=datetime.now(UTC))
        while not self.over.is_set():
            issued = authority.issue_sti(spc="1234", now=datetime.now(UTC))
            body = {
                "kind": "sti",
                "certificate": issued.chain_pem,
                "private_key": issued.key_pem,
            }
            answer = caller.post("/api/v1/certificates", body)
            self.uploads.append(answer.status)
            if answer.status != 201:
                self.failures.append(answer.body.decode())
            time.sleep(PAUSE_SECONDS)


def sign_over_http(store: Store, service: Service) -> None:
    """Sign a call of each tenant; each must succeed, with the tenant's own certificate."""
    caller = Caller(service.url, store.signer)
    for address, issued in store.issued.items():
        answer = caller.sign(tenant=address, attest="A", origid=ORIGID)
        assert answer.status == 200, answer.body
        expected = f"{issued.certificate.fingerprint}; chosen=tenant"
        assert answer.headers["x-certificate"] == expected


def test_no_call_and_no_upload_fails_while_the_master_key_changes(
    store: Store, tmp_path: Path
) -> None:
    keys = [*read_master_keys(store.home.key_file)]
    with running(tmp_path, "--workers", "2", settings=SETTINGS) as service:
        calls = Calls(store, service)

        with calls.going_on():
            for _ in range(ROTATIONS):
                rotate(store)
                keys += read_master_keys(store.home.key_file)

        assert calls.failures == []
        assert set(calls.answers) == {200}
        assert set(calls.uploads) == {201}
        assert len(calls.answers) > 100
        state = look(store.home)
        assert state.named == {keys[-1].id: SEALED + len(calls.uploads)}
        assert len(set(keys)) == ROTATIONS + 1

        # A worker that takes another's place inherits the key that the service started with.
        victim = min(service.workers())
        os.kill(victim, signal.SIGKILL)
        for _ in until("another worker"):
            if len(service.workers() - {victim}) == 2:
                break
        sign_over_http(store, service)
    with running(tmp_path, settings=SETTINGS) as service:
        sign_over_http(store, service)


def old_keys_open_nothing(store: Store, current: MasterKey, old: set[MasterKey]) -> None:
    """Look whether only the current key opens what the store holds, down to its bytes."""
    with closing(store.home.open_database()) as database:
        master_key.check(database, current)
        with database.reading() as connection:
            columns = (tables.certificates.c.id, tables.certificates.c.sealed_key)
            rows = connection.execute(select(*columns)).all()
    assert len(rows) == SEALED
    for record, sealed in rows:
        current.unseal(sealed, record=record)
        for key in old:
            with pytest.raises(SealError):
                key.unseal(sealed, record=record)
    content = b"".join(path.read_bytes() for path in store.data.glob("shaken.sqlite*"))
    assert bytes.fromhex(current.id) in content
    assert [key.id for key in old if bytes.fromhex(key.id) in content] == []


def test_a_rotation_that_is_killed_at_any_moment_is_made_good_by_the_next(
    store: Store, tmp_path: Path
) -> None:
    arguments = ("keys", "rotate", "--data-dir", store.data)
    seen = {*read_master_keys(store.home.key_file)}
    duration = Command(*arguments, folder=tmp_path).run()
    found: dict[tuple[int, bool, int], int] = {}

    for number in range(ROUNDS):
        Command(*arguments, folder=tmp_path).kill(within=duration)

        keys = read_master_keys(store.home.key_file)
        seen.update(keys)
        state = look(store.home)
        assert sum(state.named.values()) == SEALED
        stage = (len(keys), state.bound_to == keys[0].id, len(state.named))
        found[stage] = found.get(stage, 0) + 1
        sign_with_all(store, prepare(store.home.config, store.data))
        if number % 5 == 0:
            with running(tmp_path, settings=SETTINGS) as service:
                sign_over_http(store, service)

    # Not all kills came too early or too late: some found rows under both keys.
    assert (2, True, 2) in found, found

    # The last one may have been killed before nothing but its last step.
    assert re.search("is the master key now|was complete but for its last step", rotate(store))
    (current,) = read_master_keys(store.home.key_file)
    old_keys_open_nothing(store, current, seen - {current})
    with running(tmp_path, "--workers", "2", settings=SETTINGS) as service:
        sign_over_http(store, service)


def test_the_keys_that_are_at_hand_and_in_use_are_shown(store: Store, tmp_path: Path) -> None:
    (old,) = read_master_keys(store.home.key_file)
    said = rotate(store, "--keep-old")
    new, _ = read_master_keys(store.home.key_file)

    run = run_shaken("keys", "show", "--data-dir", store.data, folder=tmp_path)

    assert said == (
        f"{new.id} is the master key now; private keys sealed anew: {SEALED}\n"
        f"{store.data}/master.key still holds {old.id} until `shaken keys finish`\n"
        f"keep a new copy of {store.data}/master.key where secrets are kept\n"
        f"make a new backup: those from before open only with a copy of {old.id}\n"
    )
    assert run.stdout == (
        f"at hand   {new.id}, {old.id}\n"
        f"in use    {new.id}\n"
        f"private keys sealed with {new.id}: {SEALED}\n"
    )


def test_services_that_share_a_database_are_led_through(store: Store, tmp_path: Path) -> None:
    def keys(step: str) -> str:
        run = run_shaken("keys", step, "--data-dir", store.data, folder=tmp_path)
        assert (run.returncode, run.stderr) == (0, ""), run
        return run.stdout

    (old,) = read_master_keys(store.home.key_file)
    begun = keys("begin")
    new, _ = read_master_keys(store.home.key_file)
    rotate(store, "--keep-old")

    assert begun == (
        f"{store.data}/master.key holds {new.id}, which is new, and {old.id}\n"
        "copy it to each service of this database, then run `shaken keys rotate` on one\n"
    )
    assert keys("finish") == f"{store.data}/master.key does not hold {old.id} any more\n"
    assert keys("finish") == "there is no former key: nothing to finish\n"


def test_a_key_of_the_settings_is_changed_with_the_former_one_beside_it(tmp_path: Path) -> None:
    old, new = MasterKey.generate(), MasterKey.generate()
    key = {"SHAKEN_KEYS__MASTER_KEY": old.to_text()}
    both = {
        "SHAKEN_KEYS__MASTER_KEY": new.to_text(),
        "SHAKEN_KEYS__FORMER_MASTER_KEY": old.to_text(),
    }
    store = make_store(tmp_path / "data", tenants=3, **key)
    rotation = ("keys", "rotate", "--data-dir", str(store.data))

    refused = run_shaken(*rotation, folder=tmp_path, **key)
    with running(tmp_path, settings=SETTINGS | both) as service:
        sign_over_http(store, service)
        run = run_shaken(*rotation, folder=tmp_path, **both)
        sign_over_http(store, service)
    with running(tmp_path, settings=SETTINGS | {"SHAKEN_KEYS__MASTER_KEY": new.to_text()}) as after:
        sign_over_http(store, after)

    assert refused.returncode == 1
    assert "SHAKEN_KEYS__FORMER_MASTER_KEY" in refused.stderr
    assert run.returncode == 0
    assert "take it out before the next start" in run.stdout
    for said in (refused, run):
        assert old.to_text() not in said.stdout + said.stderr
        assert new.to_text() not in said.stdout + said.stderr
