"""Where a service keeps its things: settings and data folder lead to database and master keys.

`shaken serve` and the commands that work on the same files (`backup`, `restore`, `keys`) find them
here, and keep out of each other's way.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from shaken.config import Config
from trust.keyring import KeyRing, read_master_keys
from trust.keys import MasterKey
from trust.store.database import Database, StoreError, embedded_url, is_missing


class HomeError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Home:
    """A service's settings and its data folder."""

    config: Config
    folder: Path

    @property
    def database_url(self) -> str:
        """The URL of the database: that of the settings, or a file in the folder."""
        return self.config.database.url or embedded_url((self.folder / "shaken.sqlite").resolve())

    @property
    def key_file(self) -> Path:
        """The file of the master key. It need not exist when the settings hold the key."""
        # Not resolved: where secrets are links that change, the link is what stays.
        return Path(self.config.keys.master_key_file or self.folder / "master.key").absolute()

    @property
    def key_place(self) -> str:
        """Where the master key is, in words."""
        if self.config.keys.master_key:
            return "[keys] master_key (SHAKEN_KEYS__MASTER_KEY)"
        return str(self.key_file)

    def keys(self) -> KeyRing:
        """Read the master keys. Raises MasterKeyError."""
        return KeyRing(self._read_keys)

    def open_database(self) -> Database:
        """Open a database that exists. Raises StoreError."""
        if is_missing(self.database_url):
            where = self.config.database.url or self.folder
            raise StoreError(
                f"there is no database at {where}; --data-dir names the folder of the service"
            )
        return Database(self.database_url)

    def make_folder(self) -> None:
        """Make the folder if it is missing, for its own user only. Raises HomeError."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.folder.stat().st_uid == os.geteuid():
                self.folder.chmod(0o700)
        except OSError as error:
            why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
            raise HomeError(
                f"cannot use the data folder {self.folder}: {why}; choose another one with"
                " --data-dir"
            ) from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise HomeError(
                f"cannot write to the data folder {self.folder}; choose another one with --data-dir"
            )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the folder from being restored meanwhile, also by processes forked from this one.

        Raises HomeError.
        """
        refusal = f"{self.folder} is being restored; try again when that has ended"
        with self._locked(fcntl.LOCK_SH, refusal=refusal):
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else from the folder. Raises HomeError while a service runs on it."""
        refusal = f"a service runs on {self.folder}; stop it first"
        with self._locked(fcntl.LOCK_EX, refusal=refusal):
            yield

    @contextmanager
    def _locked(self, kind: int, *, refusal: str) -> Iterator[None]:
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise HomeError(f"cannot use the folder {self.folder}: {error.strerror}") from error
        try:
            # File systems that know no locks have none to respect.
            with suppress(OSError):
                try:
                    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise HomeError(refusal) from error
            yield
        finally:
            os.close(descriptor)

    def _read_keys(self) -> Sequence[MasterKey]:
        settings = self.config.keys
        if settings.master_key:
            keys = [MasterKey.from_text(settings.master_key)]
        else:
            keys = [*read_master_keys(self.key_file)]
        if settings.former_master_key:
            keys.append(MasterKey.from_text(settings.former_master_key))
        return [*dict.fromkeys(keys)]
