"""Backups: the embedded database copied to one file while it is in use, and put back.

The copy holds private keys as the database does, sealed; the master key is not in it. A backup or
restore happens whole or not at all, also when it is killed.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import count
from pathlib import Path

from sqlalchemy import func, select

from shaken.home import Home
from shaken.store import HISTORIES
from shaken.whole_files import publish, sync_folder
from trust.keys import MasterKeyError
from trust.store import master_key
from trust.store.database import (
    Database,
    StoreError,
    embedded_file,
    is_embedded,
    resting,
    take_place,
)
from trust.store.failure import Failure
from trust.store.sealed import named_keys, not_at_hand
from trust.store.tables import certificates

_HARMLESS = frozenset({"lost+found"})
"""What an empty folder may hold: the root of a file system of its own."""


class BackupError(Exception):
    """A backup or restore that was not made; the message says why and what to do."""


@dataclass(frozen=True)
class Contents:
    """What a copy holds. `keys` are the ids of the master keys that it needs."""

    size: int
    revision: int
    certificates: int
    keys: Sequence[str]


@dataclass(frozen=True)
class Backup:
    """A backup that was made, and whether the master keys at hand open it."""

    contents: Contents
    opens: bool


@dataclass(frozen=True)
class Restored:
    """A database that was put back, and where the one before it is kept, if there was one."""

    contents: Contents
    kept: Path | None


def back_up(home: Home, file: Path, *, overwrite: bool, tell: Callable[[int, int], None]) -> Backup:
    """Copy the database to a file, and look whether the copy is good.

    `tell` hears how many pages of how many are copied. Raises BackupError, StoreError, OSError.
    """
    source = embedded_file(home.database_url)
    _refuse_target(file, source, overwrite=overwrite)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    leftovers = _with_journal(partial)
    try:
        _remove(leftovers)
        with closing(home.open_database()) as database:
            database.copy_to(partial, tell=tell)
        contents = _examine(partial, name=file)
        fit = _fit(home, partial)
        publish(partial, file, overwrite=overwrite)
    except FileExistsError as error:
        raise BackupError(f"{file} exists; --force overwrites it") from error
    finally:
        _remove(leftovers)
    return Backup(contents, fit is _Fit.ALL)


def restore(
    home: Home, file: Path, *, force: bool, now: int, tell: Callable[[int, int], None]
) -> Restored:
    """Put a backup into a data folder that no service uses.

    With `force` the folder need not be empty, where a database is kept under another name, and
    some private keys may need a master key that is not at hand. Raises BackupError, HomeError,
    StoreError, OSError.
    """
    target = embedded_file(home.database_url)
    partial = target.with_name(f"{target.name}.restoring")
    leftovers = _with_journal(partial)
    _refuse_source(file)
    home.make_folder()
    with home.alone():
        _refuse_used(home, target, force=force, ignored={path.name for path in leftovers})
        try:
            _remove(leftovers)
            with closing(Database(resting(file), name=str(file))) as source:
                source.copy_to(partial, tell=tell)
            contents = _examine(partial, name=file)
            fit = _fit(home, partial)
            if fit is _Fit.NONE or (fit is _Fit.SOME and not force):
                raise BackupError(_needs(home, file, contents))
            _give_to_owner(partial, target.parent)
            return Restored(contents, _place(partial, target, now=now))
        except StoreError as error:
            if error.failure is not Failure.DAMAGED:
                raise
            raise BackupError(
                f"{error}; this backup is not whole: restore an older one, or take another where"
                " the service still runs"
            ) from error
        finally:
            _remove(leftovers)


def _with_journal(copy: Path) -> Sequence[Path]:
    """Name a copy that is made, and what SQLite leaves beside it when the disk is full."""
    return copy, copy.with_name(f"{copy.name}-journal")


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _examine(copy: Path, *, name: Path) -> Contents:
    """Look whether a copy is good, and what it holds. Raises StoreError."""
    with closing(Database(resting(copy), name=str(name))) as database:
        database.check_whole()
        database.check_known(HISTORIES)
        with database.reading() as connection:
            query = select(func.count()).select_from(certificates)
            found = connection.execute(query).scalar_one()
            named = {*named_keys(connection), master_key.named_by_store(connection)}
        keys = sorted(key for key in named if key is not None)
        return Contents(copy.stat().st_size, database.revision(), found, keys)


class _Fit(Enum):
    """How much of a copy opens: all, not all, or not even what tells its master key."""

    ALL = 1
    SOME = 2
    NONE = 3


def _fit(home: Home, copy: Path) -> _Fit:
    with closing(Database(resting(copy))) as database, database.reading() as connection:
        try:
            keys = home.keys()
            master_key.bound_to(connection, keys)
        except MasterKeyError:
            return _Fit.NONE
        return _Fit.SOME if not_at_hand(connection, keys) else _Fit.ALL


def _needs(home: Home, file: Path, contents: Contents) -> str:
    named = f"master key {' and '.join(contents.keys)}"
    needed = named if contents.keys else "master key that was in use when it was made"
    try:
        there = f"at hand is {', '.join(key.id for key in home.keys().keys)}"
    except MasterKeyError as error:
        there = str(error) if home.key_file.exists() else "none is at hand"
    lines = ", one key a line" if len(contents.keys) > 1 else ""
    return f"{file} needs the {needed}; {there}. Put it into {home.key_place}{lines}, then restore"


def _refuse_target(file: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse to overwrite what is no backup, whatever is forced."""
    if not file.parent.is_dir():
        raise BackupError(f"there is no folder {file.parent}; make it first")
    if not file.exists():
        return
    if not file.is_file() or (source.exists() and file.samefile(source)):
        raise BackupError(f"{file} is no place for a backup; name another file")
    if not overwrite:
        raise BackupError(f"{file} exists; --force overwrites it")
    if file.stat().st_size and not is_embedded(file):
        raise BackupError(f"{file} is no backup, and is not overwritten; name another file")


def _refuse_source(file: Path) -> None:
    """Refuse what is no backup file, or no whole one."""
    try:
        if not is_embedded(file):
            raise BackupError(f"{file} is no backup: it does not begin as an SQLite file does")
    except OSError as error:
        raise BackupError(f"cannot read {file}: {error.strerror}") from error
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise BackupError(
            f"{log} lies beside it, so {file} is a database in use or a plain copy of one, and may"
            " miss the latest changes: make a backup of it with `shaken backup`"
        )


def _refuse_used(home: Home, target: Path, *, force: bool, ignored: set[str]) -> None:
    """Refuse a folder that is used for anything, unless forced."""
    if force:
        return
    if target.exists():
        raise BackupError(
            f"there is a database at {target}; --force puts the backup in its place and keeps it"
            " under another name"
        )
    allowed = ignored | _HARMLESS
    if home.key_file.parent == home.folder.absolute():
        allowed |= {home.key_file.name}
    others = sorted(path.name for path in home.folder.iterdir() if path.name not in allowed)
    if others:
        raise BackupError(
            f"{home.folder} is not empty: it holds {', '.join(others[:5])}; choose an empty folder,"
            " or restore into this one with --force"
        )


def _give_to_owner(file: Path, folder: Path) -> None:
    """Give a file the owner of its folder: root may restore for the service's user."""
    owner = folder.stat()
    if os.geteuid() == 0:
        os.chown(file, owner.st_uid, owner.st_gid)


def _place(copy: Path, target: Path, *, now: int) -> Path | None:
    """Put a copy in the database's place, for good; return where one before it is kept."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    first = kept = target.with_name(f"{target.name}.before-restore-{moment}")
    for number in count(2):
        if not kept.exists():
            break
        kept = first.with_name(f"{first.name}-{number}")
    replaced = target.exists()
    take_place(copy, target, kept=kept)
    sync_folder(target.parent)
    return kept if replaced else None
