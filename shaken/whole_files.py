"""Files that are written whole or not at all; some only the service's own user may read."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all. Raises OSError."""
    # The folder is our own: what a kill left half-written is found by its name, and taken away.
    partial = file.with_name(f"{file.name}.new")
    partial.unlink(missing_ok=True)
    try:
        _make(partial, text.encode("utf-8"), mode=0o600)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def write_new(file: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file that is not there yet, whole or not at all. Raises OSError.

    `mode` is less what the umask withholds.
    """
    partial = _beside(file)
    try:
        _make(partial, content, mode=mode)
        publish(partial, file, overwrite=False)
    finally:
        partial.unlink(missing_ok=True)


def write_over(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all; one that was there keeps owner and mode. Raises OSError.

    What is no file, as a pipe, is written into.
    """
    before = file.stat() if file.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        file.write_bytes(content)
        return
    file = file.resolve()  # so that a link stays one
    partial = _beside(file)
    try:
        _make(partial, content, mode=0o666, like=before)
        publish(partial, file, overwrite=True)
    finally:
        partial.unlink(missing_ok=True)


def _beside(file: Path) -> Path:
    """Name a file that takes another's place, as nobody has one: the folder may be anybody's."""
    return file.with_name(f"{file.name}.{os.getpid()}.partial")


def _make(file: Path, content: bytes, *, mode: int, like: os.stat_result | None = None) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        if like is not None:
            with suppress(PermissionError):  # only root gives files away
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def publish(finished: Path, file: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, so that it lasts. Raises OSError.

    Without `overwrite` nothing that exists is touched: FileExistsError.
    """
    if overwrite:
        finished.replace(file)
    else:
        try:
            os.link(finished, file)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if file.exists():
                raise
            finished.rename(file)
    finished.unlink(missing_ok=True)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder last through a power cut. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
