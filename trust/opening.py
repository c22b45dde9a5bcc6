"""Encrypted keys and PKCS#12 files are opened in a process of their own.

`trust.kdf` reads what a passphrase costs, but not what comes to light: a key of Diffie-Hellman that
takes hours to load, or one more encryption. So what is opened holds up nobody but the process it is
opened in, and has so much time and memory. It is started anew for each, which takes some 0.3 s.
"""

import logging
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from enum import Enum
from threading import BoundedSemaphore
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from trust.certificate import UNREADABLE

CPU_SECONDS = 20
"""Of the processor. What `trust.kdf` lets through takes one at most; to look at the primes of an
RSA key of 8192 bits, as is done for PKCS#12, takes up to ten."""

WAIT_SECONDS = 60
"""On a machine that is busy."""

MEMORY_BYTES = 384 * 1024 * 1024
"""Of addresses: of the 64 MiB that scrypt may fill, and of the interpreter."""

AT_ONCE = 2
"""Processes of one worker; others wait their turn."""

BROKEN = (
    "cannot be opened here: the process that opens keys could not be started, and the log says why."
    " Decrypt it before you import it, or mend what the log says."
)
"""What is said of something where `Failure.BROKEN` is why."""

_NICENESS = 10
_TOLD = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""Of the environment: what a process needs to start. Secrets stand there, too."""

_log = logging.getLogger(__name__)
_places = BoundedSemaphore(AT_ONCE)


class Failure(Enum):
    """Why something was not opened."""

    SECRET = "secret"  # noqa: S105 - which is wrong
    """Not with this passphrase, or it is damaged."""
    UNREADABLE = "unreadable"
    """It is damaged, or of a kind that is not known."""
    UNUSED = "unused"
    """What is in it is a key that takes part in no signature."""
    COSTLY = "costly"
    """It took more time or memory than it has."""
    BROKEN = "broken"
    """The process could not be started, or did not do its work; the log says more."""


class NotOpenedError(Exception):
    """Something was not opened; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Sealed(msgspec.Struct, frozen=True):
    """What is to be opened: an encrypted key in DER or PEM, or a PKCS#12 file.

    `secret` is its passphrase; `seconds` is what it may take of the processor.
    """

    form: Literal["der", "pem", "pkcs12"]
    data: bytes
    secret: bytes
    seconds: int = CPU_SECONDS

    def __repr__(self) -> str:
        return f"Sealed({self.form})"


class Opened(msgspec.Struct, frozen=True):
    """What was in it: keys as PKCS#8, and certificates, both in DER; or why it was not opened."""

    keys: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    failure: Failure | None = None

    def __repr__(self) -> str:
        return f"Opened({len(self.keys)} keys, {len(self.certificates)} certificates)"


def open_apart(sealed: Sealed) -> Opened:
    """Open something in a process of its own; takes its turn. Raises NotOpenedError."""
    with _places:
        opened = _ask(msgspec.msgpack.encode(sealed))
    if opened.failure is not None:
        raise NotOpenedError(opened.failure)
    return opened


def _ask(told: bytes) -> Opened:
    environment = {name: os.environ[name] for name in _TOLD if name in os.environ}
    try:
        done = subprocess.run(
            (sys.executable, "-P", "-m", "trust.opening"),
            input=told,
            capture_output=True,
            timeout=WAIT_SECONDS,
            env=environment,
            check=False,
        )
        if done.returncode in _ENDED:
            return Opened(failure=Failure.COSTLY)
        return msgspec.msgpack.decode(done.stdout, type=Opened)
    except subprocess.TimeoutExpired:
        return Opened(failure=Failure.COSTLY)
    except OSError as error:
        why = str(error)
    except msgspec.DecodeError:
        # What it says of itself is of its own doing: nothing that was to be opened is in it.
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        why = f"exit code {done.returncode}: {last[:200]}"
    _log.error("the process in which keys are opened has failed: %s", why)
    return Opened(failure=Failure.BROKEN)


_ENDED = {-signal.SIGXCPU, -signal.SIGKILL}
"""How the kernel ends a process that takes too much."""


def main() -> None:
    """Open what comes over the standard input; write what is in it to the standard output."""
    with suppress(OSError):
        os.nice(_NICENESS)
    sealed = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Sealed)
    _limit(resource.RLIMIT_CPU, sealed.seconds)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    try:
        opened = _opened(sealed)
    except MemoryError:
        opened = Opened(failure=Failure.COSTLY)
    sys.stdout.buffer.write(msgspec.msgpack.encode(opened))


def _limit(what: int, most: int) -> None:
    """Set a limit of this process, unless it has a lower one."""
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most))


def _opened(sealed: Sealed) -> Opened:
    try:
        if sealed.form == "pkcs12":
            bundle = pkcs12.load_pkcs12(sealed.data, sealed.secret)
            held = (bundle.cert, *bundle.additional_certs)
            found = [one.certificate for one in held if one is not None]
            key = bundle.key
        else:
            load = load_der_private_key if sealed.form == "der" else load_pem_private_key
            key = load(sealed.data, sealed.secret, unsafe_skip_rsa_key_validation=True)
            found = []
        keys = () if key is None else (key,)
        return Opened(
            tuple(
                one.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for one in keys
            ),
            tuple(one.public_bytes(Encoding.DER) for one in found),
        )
    except ValueError as error:
        is_secret = "password" in str(error).lower()
        return Opened(failure=Failure.SECRET if is_secret else Failure.UNREADABLE)
    except TypeError:
        return Opened(failure=Failure.UNUSED)
    except UNREADABLE:
        return Opened(failure=Failure.UNREADABLE)


if __name__ == "__main__":
    main()
