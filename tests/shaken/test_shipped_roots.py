"""What a start does to the trusted roots: certifi's for TLS, in a demo the lab's for STI."""

import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import certifi
import pytest

from shaken import service
from shaken.config import load_config
from shaken.demo import demo_config, prepare_demo
from shaken.service import Prepared, StartError, prepare
from trust.authority import Authority
from trust.bundle import Bundle, installed_bundle
from trust.roots import Purpose, Root, Shipper, read_root
from trust.store import roots

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
A, B, C, OURS = (
    Authority.create(name, now=NOW).root_pem for name in ("Root A", "Root B", "Root C", "Ours")
)

Start = Callable[[str, Sequence[str]], Prepared]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start on one data folder with a version of certifi that ships some roots."""

    def start_with(version: str, shipped: Sequence[str]) -> Prepared:
        bundle = Bundle(version, "".join(shipped).encode())
        monkeypatch.setattr(service, "installed_bundle", lambda: bundle)
        return prepare(load_config(None, {}), tmp_path)

    return start_with


def listed(prepared: Prepared, purpose: Purpose = Purpose.TLS) -> list[Root]:
    database = prepared.open_database()
    with database.reading() as connection:
        found = roots.find(connection, purpose, after=0, limit=1000)
    database.close()
    return list(found)


def names(prepared: Prepared, purpose: Purpose = Purpose.TLS) -> list[str]:
    found = listed(prepared, purpose)
    return [root.subject.partition(",")[0].removeprefix("CN=") for root in found]


def revision(prepared: Prepared) -> int:
    database = prepared.open_database()
    number = database.revision()
    database.close()
    return number


def add(prepared: Prepared, pem: str) -> None:
    database = prepared.open_database()
    with database.changing() as change:
        roots.add(change, read_root(pem, Purpose.TLS))
    database.close()


def delete(prepared: Prepared, purpose: Purpose, name: str) -> None:
    database = prepared.open_database()
    (root,) = [one for one in listed(prepared, purpose) if f"CN={name}," in one.subject]
    with database.changing() as change:
        roots.remove(change, root)
    database.close()


# Certifi


def test_the_first_start_takes_the_bundle_of_the_installed_certifi(tmp_path: Path) -> None:
    prepared = prepare(load_config(None, {}), tmp_path)

    assert listed(prepared) == list(installed_bundle().roots())
    assert listed(prepared, Purpose.STI) == []


def test_a_start_with_the_same_certifi_changes_nothing(start: Start) -> None:
    before = revision(start("2026.1.4", [A, B]))

    assert revision(start("2026.1.4", [A, B])) == before


def test_a_newer_certifi_is_followed_and_what_admins_did_stays(start: Start) -> None:
    prepared = start("2026.1.4", [A, B])
    add(prepared, OURS)
    delete(prepared, Purpose.TLS, "Root A")

    prepared = start("2026.5.20", [A, C])

    assert names(prepared) == ["Ours", "Root C"]
    assert names(start("2026.9.1", [A, B, OURS])) == ["Ours", "Root B"]


def test_an_older_certifi_on_another_node_changes_nothing(start: Start) -> None:
    before = revision(start("2026.5.20", [A, B]))

    prepared = start("2026.1.4", [A])

    assert (names(prepared), revision(prepared)) == (["Root A", "Root B"], before)


def test_the_log_says_what_an_upgrade_changed(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "shaken.service")
    start("2026.1.4", [A, B])
    assert caplog.messages == []

    start("2026.5.20", [B, C])

    said, added, removed = caplog.messages
    assert said == "the TLS roots follow certifi from 2026.1.4 to 2026.5.20: 1 added, 1 removed"
    assert re.fullmatch("added root [0-9a-f]{64}: CN=Root C,O=SHAKEN lab", added)
    assert re.fullmatch("removed root [0-9a-f]{64}: CN=Root A,O=SHAKEN lab", removed)


def test_nodes_that_start_together_end_with_one_list(start: Start) -> None:
    prepared = start("2026.1.4", [A])
    together = Barrier(4)
    newer = Bundle("2026.5.20", f"{A}{B}".encode())

    def follow() -> None:
        database = prepared.open_database()
        together.wait()
        service._follow_certifi(database, newer)
        database.close()

    with ThreadPoolExecutor(4) as nodes:
        for done in [nodes.submit(follow) for _ in range(4)]:
            done.result()

    assert names(prepared) == ["Root A", "Root B"]


def test_a_start_without_a_bundle_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "nothing.pem"))

    with pytest.raises(StartError, match=r"^cannot read certifi's bundle: .*; install certifi"):
        prepare(load_config(None, {}), tmp_path)


# The lab's root


@pytest.fixture
def demo(tmp_path: Path) -> Callable[[], Prepared]:
    """Start a demo on one data folder."""

    def start_demo() -> Prepared:
        prepared = prepare(demo_config(load_config(None, {})), tmp_path)
        prepare_demo(prepared, tmp_path, now=int(NOW.timestamp()))
        return prepared

    return start_demo


def test_a_demo_trusts_its_labs_root_for_sti(demo: Callable[[], Prepared], tmp_path: Path) -> None:
    prepared = demo()

    (root,) = listed(prepared, Purpose.STI)
    assert root.pem == (tmp_path / "lab" / "sti-root.pem").read_text()
    assert (root.shipped, root.added) == (Shipper.LAB, False)
    assert listed(demo(), Purpose.STI) == [root]


def test_a_deleted_lab_root_stays_deleted(demo: Callable[[], Prepared]) -> None:
    delete(demo(), Purpose.STI, "Lab STI Root")

    assert listed(demo(), Purpose.STI) == []


@pytest.mark.parametrize("text", [None, "", "-----BEGIN CERTIFICATE-----\nMIIB"])
def test_a_new_labs_root_takes_the_place_of_a_lost_one(
    demo: Callable[[], Prepared], tmp_path: Path, text: str | None
) -> None:
    (before,) = listed(demo(), Purpose.STI)
    file = tmp_path / "lab" / "sti-root.pem"
    file.unlink()
    if text is not None:
        file.write_text(text)

    (after,) = listed(demo(), Purpose.STI)

    assert after.id != before.id
    assert after.pem == file.read_text()
