"""Files that only the service's own user may read."""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all. Raises OSError."""
    partial = file.with_name(f"{file.name}.new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


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
