"""The master keys a process has at hand, and the file that holds them, one a line.

The file mostly holds one key. While a new master key takes the place of another it holds both, the
new one first. It is replaced whole and never half written, so a reader finds the old or the new
content, also after a kill. What is sealed under which key is the store's to know
(`trust.store.rotation`).
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from trust.keys import MasterKey, MasterKeyError, SealError, key_id_of

_OF_ANOTHER = (
    "; run this as the user that the file belongs to, or write the file yourself (see Rotation in"
    " the administration guide)"
)
_NO_SPACE = "; free space on its disk, then run this again"

_ADVICE = {
    errno.EACCES: _OF_ANOTHER,
    errno.EPERM: _OF_ANOTHER,
    errno.EROFS: "; write the file yourself (see Rotation in the administration guide)",
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
}
"""What to do about a file that cannot be replaced."""


class KeyRing:
    """All master keys at hand. Read again when something names a key that is not among them.

    A key that was once on the ring stays: rows read before a rotation may be opened after it.
    """

    def __init__(self, read: Callable[[], Sequence[MasterKey]]) -> None:
        """Take what reads the keys, the current one first. Raises MasterKeyError."""
        self._read = read
        self._keys = tuple(read())

    @property
    def keys(self) -> Sequence[MasterKey]:
        """The keys on the ring, the current one first."""
        return self._keys

    @property
    def current(self) -> MasterKey:
        """The key that a new store is bound to, and that a rotation leads to."""
        return self._keys[0]

    def opening(self, sealed: bytes, *, record: str) -> MasterKey:
        """Return the key that a value was sealed with for this record. Raises SealError."""
        return self._open(sealed, record)[0]

    def unseal(self, sealed: bytes, *, record: str) -> bytes:
        """Open what one of these keys sealed for this record. Raises SealError."""
        return self._open(sealed, record)[1]

    def _open(self, sealed: bytes, record: str) -> tuple[MasterKey, bytes]:
        found = self._try(sealed, record)
        if found is None:
            with suppress(MasterKeyError):
                fresh = tuple(self._read())
                self._keys = (*fresh, *(key for key in self._keys if key not in fresh))
            found = self._try(sealed, record)
        if found is None:
            name = key_id_of(sealed, record=record)
            own = "" if name is None else f"; its own is {name}"
            raise SealError(f"{record}: does not open under the master keys at hand{own}")
        return found

    def _try(self, sealed: bytes, record: str) -> tuple[MasterKey, bytes] | None:
        name = key_id_of(sealed, record=record)
        for key in self._keys:
            if name in {None, key.id}:
                with suppress(SealError):
                    return key, key.unseal(sealed, record=record)
        return None


def read_master_keys(path: Path) -> tuple[MasterKey, ...]:
    """Read the keys of a file, the current one first. Raises MasterKeyError."""
    try:
        lines = [line for line in path.read_text("ascii").splitlines() if line.strip()]
        keys = dict.fromkeys(MasterKey.from_text(line) for line in lines or [""])
    except FileNotFoundError as error:
        raise MasterKeyError(
            f"there is no master key at {path}: put back the one that the database's keys are"
            " sealed with"
        ) from error
    except (OSError, UnicodeError) as error:
        raise MasterKeyError(f"cannot read the master key at {path}: {error}") from error
    except MasterKeyError as error:
        raise MasterKeyError(f"{path}: {error}") from error
    return tuple(keys)


def create_master_key(path: Path) -> MasterKey:
    """Write a new master key to a file of mode 0600 that must not exist. Raises MasterKeyError.

    The file is complete under its name or absent: a process killed in between leaves no half key.
    """
    key = MasterKey.generate()
    partial = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        _write(partial, [key])
        os.link(partial, path)
        _sync_folder(path)
    except OSError as error:
        raise MasterKeyError(f"cannot write the master key to {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return key


def add_master_key(path: Path) -> Sequence[MasterKey]:
    """Put a new key before the one in a file, and return both; do nothing where there are two.

    Raises MasterKeyError.
    """
    with _held(path):
        keys = read_master_keys(path)
        if len(keys) == 1:
            keys = (MasterKey.generate(), *keys)
            _replace(path, keys)
        return keys


def drop_former_keys(path: Path, *, check: Callable[[MasterKey], None]) -> Sequence[MasterKey]:
    """Leave only the first key in a file and return the others.

    `check` is called with the key that stays, and raises when the others are still needed.
    Raises MasterKeyError.
    """
    with _held(path):
        current, *former = read_master_keys(path)
        check(current)
        if former:
            _replace(path, [current])
        return former


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep other processes from changing the file meanwhile; a kill lets go."""
    while True:
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                # Whoever held it before may have put another file in its place.
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    yield
                    return
        except OSError as error:
            raise MasterKeyError(f"cannot use the master key file {path}: {error}") from error


def _replace(path: Path, keys: Sequence[MasterKey]) -> None:
    """Write the file anew, owner and mode as before. Raises MasterKeyError."""
    # A link stays a link: the file that it leads to is replaced.
    file = path.resolve()
    partial = file.with_name(f"{file.name}.new")
    try:
        before = file.stat()
        _write(partial, keys)
        made = partial.stat()
        if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            os.chown(partial, before.st_uid, before.st_gid)
        partial.chmod(stat.S_IMODE(before.st_mode))
        partial.replace(file)
        _sync_folder(file)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        advice = _ADVICE.get(error.errno or 0, "")
        raise MasterKeyError(
            f"cannot replace the master key file {path}, which is as it was: {error.strerror}"
            f"{advice}"
        ) from error


def _write(file: Path, keys: Sequence[MasterKey]) -> None:
    file.unlink(missing_ok=True)  # what a killed process left
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write("".join(f"{key.to_text()}\n" for key in keys))
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(file: Path) -> None:
    """Make a new name last through a power cut."""
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
