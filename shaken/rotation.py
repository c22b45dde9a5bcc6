"""A new master key for a service, step by step: begin, seal anew, finish.

`trust.keyring` changes the file and `trust.store.rotation` the store; here stands in which order,
and who must have a key before anything needs it. Every step can be killed and run again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from shaken.home import Home
from trust.keyring import KeyRing, add_master_key, drop_former_keys
from trust.keys import MasterKey, MasterKeyError
from trust.store import master_key
from trust.store.database import Database
from trust.store.rotation import check_done, reseal
from trust.store.sealed import named_keys

UNOPENED_SHOWN = 5
"""Certificates and requests that an error names; there may be thousands."""


class RotationError(Exception):
    """A step that cannot be done now; the message says what to do first."""


@dataclass(frozen=True)
class State:
    """Which master keys are at hand, which one the store is bound to, and which its values name.

    None stands for a key that is neither named nor at hand.
    """

    keys: Sequence[MasterKey]
    bound_to: str | None
    named: Mapping[str | None, int]


@dataclass(frozen=True)
class Rotated:
    """What a rotation did. `kept`: former keys that are still at hand.

    `ended_earlier`: an earlier rotation had done it all but for taking the former key out, so that
    `current` is no new key.
    """

    current: MasterKey
    former: Sequence[MasterKey]
    resealed: int
    kept: bool
    ended_earlier: bool


def look(home: Home) -> State:
    """Say how things stand. Raises HomeError, MasterKeyError, StoreError."""
    with closing(home.open_database()) as database, database.reading() as connection:
        keys = home.keys()
        try:
            bound: str | None = master_key.bound_to(connection, keys).id
        except MasterKeyError:
            bound = master_key.named_by_store(connection)
        return State(keys.keys, bound, named_keys(connection))


def begin(home: Home) -> Sequence[MasterKey]:
    """Put a new key beside the present one, where nothing needs it yet; return both.

    Does nothing when that was done. Raises HomeError, MasterKeyError, RotationError, StoreError.
    """
    with _fitting(home) as (_, keys):
        return _begin(home, keys).keys


def rotate(home: Home, *, keep_old: bool, tell: Callable[[int, int], None]) -> Rotated:
    """Change over to a new key, or go on with a rotation that was begun.

    A database that other machines may share is changed over only after `begin`, and the former key
    is kept until `finish`. Raises HomeError, MasterKeyError, RotationError, StoreError.
    """
    with _fitting(home) as (database, present):
        if database.shared and len(present.keys) == 1:
            raise RotationError(
                "other services may share this database, and must have the new key before it is"
                f" used: run `shaken keys begin`, copy {home.key_place} to each of them, then run"
                " this again"
            )
        keep = keep_old or database.shared
        ended_earlier = len(present.keys) > 1 and _needs_only(database, present.current)
        if ended_earlier and keep:
            raise RotationError(
                f"the rotation to {present.current.id} is complete, its former key still at hand:"
                " run `shaken keys finish`, then this again for another key"
            )
        keys = _begin(home, present)
        current, *former = keys.keys
        done = reseal(database, keys, tell=tell)
        if done.unopened:
            shown = ", ".join(done.unopened[:UNOPENED_SHOWN])
            raise RotationError(
                f"{len(done.unopened)} keys open under no master key at hand ({shown}): put the"
                " master key back that they need, or delete these certificates and requests; then"
                " run this again. Until then the former master key stays"
            )
        database.settle()
        if not keep:
            _drop(home, database, keys)
        return Rotated(current, former, done.count, keep, ended_earlier)


def finish(home: Home) -> Sequence[MasterKey]:
    """Take the former keys out of this service's file and return them.

    Raises HomeError, MasterKeyError, RotationError, StoreError.
    """
    with _fitting(home) as (database, keys):
        former = keys.keys[1:]
        try:
            _drop(home, database, keys)
        except MasterKeyError as error:
            raise RotationError(f"{error}: run `shaken keys rotate` first") from error
        return former


@contextmanager
def _fitting(home: Home) -> Iterator[tuple[Database, KeyRing]]:
    """Give the database and the keys that fit it, while nobody restores another one."""
    with home.in_use(), closing(home.open_database()) as database:
        keys = home.keys()
        master_key.check(database, keys)
        yield database, keys


def _begin(home: Home, keys: KeyRing) -> KeyRing:
    if len(keys.keys) > 1:
        return keys
    if home.config.keys.master_key:
        raise RotationError(
            "the master key comes from the settings, and only you can change it there: set"
            " SHAKEN_KEYS__FORMER_MASTER_KEY to the present key and SHAKEN_KEYS__MASTER_KEY to a"
            " new one, which `openssl rand -base64 32` makes; restart each service with both; then"
            " run this again with both"
        )
    add_master_key(home.key_file)
    return home.keys()


def _needs_only(database: Database, current: MasterKey) -> bool:
    try:
        check_done(database, current)
    except MasterKeyError:
        return False
    return True


def _drop(home: Home, database: Database, keys: KeyRing) -> None:
    if home.config.keys.master_key:
        check_done(database, keys.current)
    else:
        drop_former_keys(home.key_file, check=lambda current: check_done(database, current))
