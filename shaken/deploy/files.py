"""Chain and key on disk: one file with both, or a file for each, always a pair.

One file is replaced by renaming. Two files cannot be, so they are links into a folder that is a
link itself:

    pbx.pem -> .pbx.key.pair/chain.pem        pbx.key -> .pbx.key.pair/key.pem
    .pbx.key.pair -> .pbx.key.pair-x7k2m9qd

Both change in the moment in which that last link is replaced: whoever starts at any time, also
after a power cut, finds a chain with its key.

Everything else beside these files begins with a dot: programs that read all files of a folder, as
HAProxy does, leave such names alone.
"""

import fcntl
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shaken.deploy.offer import Offer
from shaken.whole_files import sync_folder
from trust.certificate import Certificate, CertificateRefused
from trust.chain import assemble
from trust.pem import read_pem

NEW_MODE = 0o600
"""Mode of files that were not there before."""

MAX_BYTES = 1024 * 1024
"""Of a file that is compared: no chain with its key is so long."""


class FilesError(Exception):
    """The files cannot be read or written; the message is for a person, one line."""


@dataclass(frozen=True)
class Access:
    """Who may read a file: its mode, owner and group. None: those of whoever writes it."""

    mode: int
    owner: int | None = None
    group: int | None = None


@dataclass(frozen=True)
class Place:
    """Where chain and key of a name are: both in `out`, or the key in `key`.

    `mode` and `group` (a gid) are those wanted; None: as the files have them.
    """

    out: Path
    key: Path | None = None
    mode: int | None = None
    group: int | None = None

    @property
    def names(self) -> tuple[Path, ...]:
        """The files."""
        return (self.out,) if self.key is None else (self.out, self.key)

    @property
    def marker(self) -> Path:
        """The file that is there while the listener still has to read the others."""
        return self.out.with_name(f".{self.out.name}.reload-pending")

    @property
    def pair(self) -> Path:
        """The link that leads to the folder of two files. Only where there is a key file."""
        key = self.key or self.out
        return key.with_name(f".{key.name}.pair")


@dataclass(frozen=True)
class State:
    """What is in the files of a place; None: there is no such file."""

    contents: tuple[bytes | None, ...] = field(repr=False)
    access: Access | None

    @property
    def key_access(self) -> Access | None:
        """Who may read the key that is there; None: there is none."""
        holds = self.contents[-1] is not None and b"PRIVATE KEY-----" in self.contents[-1]
        return self.access if holds else None


def wanted(place: Place, offer: Offer) -> tuple[bytes, ...]:
    """Return what the files of a place should hold."""
    chain, key = offer.chain.encode("ascii"), offer.key.encode("ascii")
    return (chain + key,) if place.key is None else (chain, key)


def access_wanted(place: Place, found: State) -> Access:
    """Decide who may read the files: as wanted, else as the key before, else who writes them.

    What was readable for everybody is so no more.
    """
    before = found.key_access or Access(NEW_MODE)
    return Access(
        mode=before.mode & 0o660 if place.mode is None else place.mode,
        owner=before.owner,
        group=before.group if place.group is None else place.group,
    )


def is_current(place: Place, found: State, offer: Offer) -> bool:
    """Whether the files hold what they should, for whom they should."""
    return found.contents == wanted(place, offer) and access_wanted(place, found) == found.access


def certificate(place: Place, found: State) -> Certificate | None:
    """Return the certificate of the files, where chain and key in them belong together."""
    try:
        texts = [each.decode("utf-8", "replace") for each in found.contents if each is not None]
        assembled = assemble(read_pem("\n".join(texts)))
    except CertificateRefused:
        return None
    whole = len(texts) == len(place.names) and assembled.private_key is not None
    return assembled.certificate if whole else None


def read(place: Place) -> State:
    """Read what is there. Raises FilesError."""
    contents: list[bytes | None] = []
    access = None
    for name in place.names:
        try:
            with name.open("rb") as file:
                contents.append(file.read(MAX_BYTES))
                about = os.fstat(file.fileno())
        except FileNotFoundError:
            contents.append(None)
        except OSError as error:
            raise FilesError(f"cannot read {name}: {error.strerror}") from error
        else:
            # Of two files the key's counts, which is the last.
            access = Access(stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid)
    return State(tuple(contents), access)


def write(place: Place, contents: tuple[bytes | None, ...], access: Access) -> None:
    """Replace what is there by `contents`, together. None: the file is removed.

    Raises FilesError; one file, or a pair that was written before, is then what it was.
    """
    try:
        if place.key is None:
            _replace(place.out, contents[0], access)
        else:
            _replace_two(place, contents, access)
    except OSError as error:
        where = error.filename2 or error.filename or place.out
        raise FilesError(f"cannot write {where}: {error.strerror}") from error


def tidy(place: Place) -> None:
    """Remove what a killed agent left: keys may be in it. Raises FilesError."""
    try:
        for name in (*place.names, place.pair):
            _partial(name, "new").unlink(missing_ok=True)
            _partial(name, "link").unlink(missing_ok=True)
    except OSError as error:
        raise FilesError(f"cannot remove {error.filename}: {error.strerror}") from error
    if place.key is not None:
        _sweep(place)


def is_marked(place: Place) -> bool:
    """Whether the listener still has to read the files."""
    return place.marker.exists()


def mark(place: Place) -> None:
    """Note that the listener has to read the files. Raises FilesError."""
    try:
        os.close(os.open(place.marker, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        sync_folder(place.marker.parent)
    except OSError as error:
        raise FilesError(f"cannot write into {place.out.parent}: {error.strerror}") from error


def unmark(place: Place) -> None:
    """Note that it has. Raises FilesError."""
    try:
        place.marker.unlink(missing_ok=True)
    except OSError as error:
        raise FilesError(f"cannot remove {place.marker}: {error.strerror}") from error


@contextmanager
def held(places: tuple[Place, ...]) -> Iterator[None]:
    """Keep other agents from the folders of these places meanwhile. Raises FilesError."""
    descriptors: list[int] = []
    # In one order for all agents, so that none waits for one that waits for it.
    folders = sorted({name.parent for place in places for name in place.names})
    try:
        for folder in folders:
            try:
                descriptors.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
                fcntl.flock(descriptors[-1], fcntl.LOCK_EX)
            except OSError as error:
                raise FilesError(f"cannot use the folder {folder}: {error.strerror}") from error
        yield
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _partial(name: Path, kind: str) -> Path:
    """Name what takes the place of a file when it is whole."""
    return name.with_name(f".{name.name.lstrip('.')}.{kind}")


def _replace(name: Path, content: bytes | None, access: Access) -> None:
    if content is None:
        name.unlink(missing_ok=True)
        return
    partial = _partial(name, "new")
    try:
        _make(partial, content, access)
        partial.replace(name)
    except (OSError, FilesError):
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(name.parent)


def _make(name: Path, content: bytes, access: Access) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(name, flags, 0o600), "wb") as file:
        _give(name, file.fileno(), access.mode, access)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _give(name: Path, descriptor: int, mode: int, access: Access) -> None:
    """Set owner, group and mode of an open file or folder."""
    made = os.fstat(descriptor)
    owner = made.st_uid if access.owner is None else access.owner
    group = made.st_gid if access.group is None else access.group
    if (owner, group) != (made.st_uid, made.st_gid):
        try:
            os.fchown(descriptor, owner, group)
        except PermissionError as error:
            raise FilesError(
                f"{name.parent}: this user may not give files to owner {owner} and group {group};"
                " run the agent as that owner and in that group, or as root"
            ) from error
    os.fchmod(descriptor, mode)


def _replace_two(place: Place, contents: tuple[bytes | None, ...], access: Access) -> None:
    before = read(place)
    chain, key = contents
    try:
        if chain is None or key is None:
            for name, content in zip(place.names, contents, strict=True):
                _replace(name, content, access)
            place.pair.unlink(missing_ok=True)
            return
        old_chain, old_key = before.contents
        if not _is_linked(place) and old_chain is not None and old_key is not None:
            # What is there becomes a pair first, file by file; then both are replaced at once.
            _install(place, old_chain, old_key, access)
        _install(place, chain, key, access)
    finally:
        _sweep(place)


def _links(place: Place) -> Iterator[tuple[Path, str]]:
    for name, inner in zip(place.names, ("chain.pem", "key.pem"), strict=True):
        folder = place.pair if name.parent != place.pair.parent else Path(place.pair.name)
        yield name, str(folder / inner)


def _is_linked(place: Place) -> bool:
    return all(
        name.is_symlink() and str(name.readlink()) == target for name, target in _links(place)
    )


def _install(place: Place, chain: bytes, key: bytes, access: Access) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"{place.pair.name}-", dir=place.pair.parent))
    _make(folder / "chain.pem", chain, access)
    _make(folder / "key.pem", key, access)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Who may read the files may pass through to them.
        _give(folder, descriptor, 0o700 | (access.mode & 0o040 and 0o050), access)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _link(place.pair, folder.name)
    for name, target in _links(place):
        if not (name.is_symlink() and str(name.readlink()) == target):
            _link(name, target)


def _link(name: Path, target: str) -> None:
    partial = _partial(name, "link")
    partial.symlink_to(target)
    try:
        partial.replace(name)
    except OSError:
        partial.unlink()
        raise
    sync_folder(name.parent)


def _sweep(place: Place) -> None:
    """Remove folders that are not, or no more, those of the pair."""
    current = str(place.pair.readlink()) if place.pair.is_symlink() else None
    for folder in place.pair.parent.glob(f"{glob.escape(place.pair.name)}-*"):
        if folder.name != current:
            shutil.rmtree(folder, ignore_errors=True)
