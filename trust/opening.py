"""Encrypted keys and PKCS#12 files are opened in a process of their own.

`trust.kdf` reads what a passphrase costs, but not what comes to light: a key of Diffie-Hellman that
takes hours to load, or one more encryption. So what is opened holds up nobody but the process it is
opened in, and has so much time and memory. It is started anew for each, which takes some 0.3 s.
"""

import os
import resource
import subprocess
import sys
from enum import Enum
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

CPU_SECONDS = 5
"""Of the processor: all that `trust.kdf` lets through takes one at most."""

WAIT_SECONDS = 60
"""On a machine that is busy."""

MEMORY_BYTES = 1024 * 1024 * 1024
"""Of addresses, of which scrypt may fill 64 MiB."""

_NICENESS = 10


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
    """Open something in a process of its own. Raises NotOpenedError."""
    try:
        done = subprocess.run(
            (sys.executable, "-P", "-m", "trust.opening"),
            input=msgspec.msgpack.encode(sealed),
            capture_output=True,
            timeout=WAIT_SECONDS,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise NotOpenedError(Failure.COSTLY) from None
    opened = msgspec.msgpack.decode(done.stdout, type=Opened)
    if opened.failure is not None:
        raise NotOpenedError(opened.failure)
    return opened


def main() -> None:
    """Open what comes over the standard input; write what is in it to the standard output."""
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sealed = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Sealed)
    resource.setrlimit(resource.RLIMIT_CPU, (sealed.seconds, sealed.seconds))
    sys.stdout.buffer.write(msgspec.msgpack.encode(_opened(sealed)))


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
