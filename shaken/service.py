"""Composition root: from configuration to what a running service is built from.

`prepare` makes the data folder, the database, the master key and the shipped roots ready, once,
before any worker; `shaken.worker` builds all objects from that, in each process, and runs.
"""

import logging
import mmap
import time
from dataclasses import dataclass
from pathlib import Path

from shaken.audit import SYSTEM, Action, Unchanged, changing
from shaken.builtin import ensure_builtin
from shaken.concealment import KEY_NAME, NumberHash
from shaken.config import Config, NumbersOnRecord
from shaken.facts import plan_facts
from shaken.home import Home, HomeError
from shaken.pens import Pens
from shaken.replay import shared_memory
from shaken.signing import Signer
from shaken.steadiness import SteadyTime, steady_from_start
from shaken.store import HISTORIES
from shaken.store.calls import newest_call
from shaken.tally import Tally
from sip.number import is_country
from trust.bundle import Bundle, BundleError, installed_bundle
from trust.keyring import KeyRing, create_master_key
from trust.keys import MasterKeyError, MasterKeys
from trust.roots import Edition, Plan, Purpose
from trust.store import master_key, roots, service_keys
from trust.store.database import Database, StoreError
from trust.store.failure import Failure
from trust.store.sealed import not_at_hand

_log = logging.getLogger(__name__)


class StartError(Exception):
    """The service cannot start; the message says why and what to do, in one line.

    `is_passing`: to try again later may do.
    """

    def __init__(self, message: str, *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.is_passing = is_passing


_HINTS = {
    Failure.BUSY: "another program holds it: a backup, a copy, another service? try again when it"
    " has ended, as systemd does by itself",
    Failure.FULL: "make room on its disk",
    Failure.INPUT_OUTPUT: "look after its disk",
    Failure.DAMAGED: "put a backup back with `shaken restore`, or name another database with"
    " [database] url or --data-dir",
}


def not_started(error: StoreError) -> StartError:
    """Say of an error of the database what to do, and whether to try again may do."""
    if error.failure is None:
        return StartError(f"{error}; [database] url or --data-dir may name another database")
    is_passing = error.failure is not Failure.DAMAGED
    return StartError(f"{error}; {_HINTS[error.failure]}", is_passing=is_passing)


@dataclass(frozen=True)
class Prepared:
    """What workers are built from."""

    config: Config
    database_url: str
    master: MasterKeys
    folder: Path
    """The data folder."""
    seen: mmap.mmap
    """The memory for replays, which all workers share."""
    numbers: NumberHash | None
    """What hashes numbers as records hold them; None: no record ever held a hash."""
    tally: Tally
    """What all workers have done."""
    steady: SteadyTime
    """What watches the clock from the start on, in each process for itself."""

    def is_steady(self, now: float) -> bool:
        """Say whether this time of the clock may say what is removed for its age."""
        return self.steady.is_steady(now, monotonic=time.monotonic())

    def open_database(self) -> Database:
        """Open the database. Raises StoreError."""
        return Database(self.database_url)


def prepare(config: Config, data_dir: Path) -> Prepared:
    """Make folder, database, master key and shipped roots ready. Raises StartError."""
    home = Home(config, data_dir)
    try:
        home.make_folder()
        database = Database(home.database_url)
        try:
            master = _ready_store(home, database)
            numbers = _number_hash(config, database, master)
            steady = _steady_time(config, database)
        finally:
            database.close()
    except StoreError as error:
        raise not_started(error) from error
    except (HomeError, MasterKeyError, BundleError) as error:
        raise StartError(str(error)) from error
    _load_numbering_plans()
    return Prepared(
        config, home.database_url, master, home.folder, shared_memory(), numbers, Tally(), steady
    )


def _ready_store(home: Home, database: Database) -> KeyRing:
    """Bring tables, master key and shipped roots up to date; return the master keys.

    The keys come first: a store that they do not open is left as it is.
    """
    bound = master_key.is_bound(database)
    had_key = not home.config.keys.master_key and home.key_file.exists()
    keys = _master_keys(home, bound=bound)
    if bound:
        master_key.check(database, keys)
    database.migrate(HISTORIES)
    if bound:
        _tell_of_missing_keys(database, keys)
    else:
        with changing(database, SYSTEM, now=int(time.time())) as change:
            if master_key.is_bound_in(change.connection):
                raise Unchanged  # Of services that start together, another was first.
            master_key.bind(change, keys.current)
            change.audit(Action.MASTER_KEY_BIND, "master-key", tenant=None)
            if had_key:
                _log.error(
                    "there is a master key, but the database is new: restore a backup (`shaken"
                    " restore`), or move %s away for a new store",
                    home.key_file,
                )
        master_key.check(database, keys)
    _follow_certifi(database, installed_bundle())
    ensure_builtin(database, keys, now=int(time.time()))
    return keys


def _number_hash(config: Config, database: Database, keys: MasterKeys) -> NumberHash | None:
    """Find the key of numbers on record, or make it when it is needed. Raises MasterKeyError."""
    hashing = config.records.numbers is NumbersOnRecord.HASHED
    try:
        with database.reading() as connection:
            secret = service_keys.find(connection, keys, KEY_NAME)
    except MasterKeyError as error:
        if hashing:
            raise
        _log.error("calls whose numbers are hashed cannot be found by number: %s", error)
        return None
    if secret is None and hashing:
        with changing(database, SYSTEM, now=int(time.time())) as change:
            secret = service_keys.find(change.connection, keys, KEY_NAME)
            if secret is not None:
                raise Unchanged  # Of nodes that start together, another was first.
            secret = service_keys.make(change, keys, KEY_NAME)
            change.audit(Action.RECORD_KEY_CREATE, "record-key", tenant=None)
    return None if secret is None else NumberHash(secret)


def _steady_time(config: Config, database: Database) -> SteadyTime:
    """Watch the clock from now on. Raises StoreError."""
    with database.reading() as connection:
        newest = newest_call(connection)
    return steady_from_start(
        newest,
        keep_seconds=config.records.keep_days * 86_400,
        wall=time.time(),
        monotonic=time.monotonic(),
    )


def _load_numbering_plans() -> None:
    """Load the countries' numbering plans now, not within the first call that has need of them."""
    is_country("US")


def pens_for(prepared: Prepared) -> Pens:
    """Build what chooses certificates and opens their keys."""
    config = prepared.config
    return Pens(prepared.master, public_url=config.public_url, fallback=config.signing.fallback)


def signer_for(prepared: Prepared, pens: Pens) -> Signer:
    """Build what signs."""
    settings = prepared.config.signing
    return Signer(pens, freshness=settings.freshness, skew=settings.skew)


def _master_keys(home: Home, *, bound: bool) -> KeyRing:
    """Find the master keys, or make one for a store that has none. Raises MasterKeyError."""
    if not bound and not home.config.keys.master_key and not home.key_file.exists():
        try:
            create_master_key(home.key_file)
        except MasterKeyError:
            if not home.key_file.exists():  # Of services that start together, another was first.
                raise
    return home.keys()


def _tell_of_missing_keys(database: Database, keys: MasterKeys) -> None:
    """Say which private keys open under no master key at hand."""
    with database.reading() as connection:
        for name, count in not_at_hand(connection, keys).items():
            _log.error(
                "%d private keys need the master key %s, which is not at hand: their"
                " certificates do not sign",
                count,
                name or "of before",
            )


def _follow_certifi(database: Database, bundle: Bundle) -> None:
    """Let the TLS roots follow the installed certifi's. Raises BundleError, StoreError."""
    with database.reading() as connection:
        if not bundle.edition.replaces(roots.applied_edition(connection, Purpose.TLS)):
            return
    shipped = bundle.roots()
    with changing(database, SYSTEM, now=int(time.time())) as change:
        applied = roots.applied_edition(change.connection, Purpose.TLS)
        if not bundle.edition.replaces(applied):
            raise Unchanged  # Of nodes that start together, another was first.
        plan = roots.follow(change, Purpose.TLS, shipped)
        roots.remember_edition(change, Purpose.TLS, bundle.edition)
        facts = {"edition": bundle.edition.version, **plan_facts(plan)}
        change.audit(Action.ROOTS_FOLLOW, Purpose.TLS.value, tenant=None, after=facts)
        _tell_of_roots(applied, bundle.edition, plan)


def _tell_of_roots(before: Edition | None, now: Edition, plan: Plan) -> None:
    """Say what a new edition of the shipped roots changed; that a new store has them is no news."""
    if before is None:
        return
    _log.info(
        "the TLS roots follow certifi from %s to %s: %d added, %d removed",
        before.version,
        now.version,
        len(plan.added),
        len(plan.removed),
    )
    for done, changed in (("added", plan.added), ("removed", plan.removed)):
        for root in changed:
            _log.info("%s root %s: %s", done, root.id, root.subject)
