"""The admin pages with 10,000 tenants, their certificates, and the records of many calls."""

import re
import tempfile
import time
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from benchmarks.dataset import Dataset, make_dataset
from benchmarks.load import serving
from benchmarks.report import Line, say
from shaken.audit import SYSTEM, Action, changing
from shaken.config import load_config
from shaken.credentials import Credential, Role, digest_of, new_secret
from shaken.service import prepare
from shaken.store.call_counts import add_up
from shaken.store.calls import CallRecord, add_calls
from shaken.store.credentials import add_credential
from shaken.web.routes import BASE
from shaken.web.site import NAVIGATION

MANY = 10_000
CALLS = 1_000_000
ROUNDS = 5
SECONDS = 0.2
"""How long a page may take."""

_NAME = "administrator"


def measure_pages() -> list[Line]:
    """Measure, and return rows of the table: the best of some rounds of each page."""
    with tempfile.TemporaryDirectory() as scratch:
        say(f"writing a store with {MANY:,} tenants and certificates, and {CALLS:,} calls")
        dataset = make_dataset(Path(scratch), tenants=MANY)
        secret = _furnish(dataset)
        with serving(dataset) as service:
            person = _signed_in(service.url, secret)
            taken = {
                path: min(_ask(person, service.url + path) for _ in range(ROUNDS))
                for path in _paths()
            }
    return [
        Line(f"page {path}", f"{1000 * each:,.0f} ms", "under 200 ms", each < SECONDS)
        for path, each in taken.items()
    ]


def _paths() -> list[str]:
    return [
        *(path for path, _ in NAVIGATION),
        f"{BASE}/certificates?order=name&page=100",
        f"{BASE}/certificates?search=pbx77&order=tenant",
        f"{BASE}/calls?number=%2B12155550100",
    ]


def _furnish(dataset: Dataset) -> str:
    """Add an administrator, and calls of the last month; return the administrator's secret."""
    prepared, secret, now = (
        prepare(load_config(None, {}), dataset.folder),
        new_secret(),
        time.time(),
    )
    with closing(prepared.open_database()) as database:
        with changing(database, SYSTEM, now=int(now)) as change:
            who = Credential(_NAME, Role.ADMIN, digest_of(secret), None, None, ())
            add_credential(change, who, now=change.at)
            change.audit(Action.CREDENTIAL_CREATE, _NAME, tenant=None)
        call = CallRecord(0, "a", "b", "c", "12155550100", "12155550101", "A", "o", "d", "e")
        for start in range(0, CALLS, 10_000):
            ago = 30 * 86400 * (1 - start / CALLS)
            at = int(now - ago)
            many = [call._replace(at=at, orig=f"1215555{one:04}") for one in range(10_000)]
            add_calls(database, many)
        add_up(database, limit=CALLS)  # as workers do while calls come
    return secret


def _signed_in(url: str, secret: str) -> OpenerDirector:
    person = build_opener(HTTPCookieProcessor(CookieJar()))
    form = urlencode({"name": _NAME, "secret": secret, "next": BASE}).encode()
    with person.open(f"{url}{BASE}/sign-in", form) as answer:
        if not re.search("sign-out", answer.read().decode()):
            raise RuntimeError("nobody could sign in")
    return person


def _ask(person: OpenerDirector, url: str) -> float:
    start = time.perf_counter()
    with person.open(url) as answer:
        answer.read()
    return time.perf_counter() - start
