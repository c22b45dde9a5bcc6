"""Private keys at rest: each sealed with AES-256-GCM under one master key, bound to its record.

The master key comes from a file or from the environment and is never in the database, so a copy
of the database alone gives nobody a key. Parsing of pasted keys is `trust.pem`'s.
"""

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from trust.pem import PrivateKey

MASTER_KEY_BYTES = 32
"""AES-256."""

_VERSION = b"\x01"
_NONCE_BYTES = 12
"""Random 96-bit nonces are safe for 2**32 sealings under one key (NIST SP 800-38D §8.3)."""


class MasterKeyError(Exception):
    """The master key is missing, malformed or not the one the data was sealed with."""


class SealError(Exception):
    """A sealed key does not open: wrong master key, another record, or altered bytes."""


@dataclass(frozen=True)
class MasterKey:
    """The key that seals all others. Its bytes never appear in a repr."""

    secret: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> "MasterKey":
        """Make a new random key."""
        return cls(os.urandom(MASTER_KEY_BYTES))

    @classmethod
    def from_text(cls, text: str) -> "MasterKey":
        """Read the base64 form. Raises MasterKeyError when it is not 32 bytes of base64."""
        try:
            secret = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise MasterKeyError(
                "the master key is not base64; `openssl rand -base64 32` makes one"
            ) from error
        if len(secret) != MASTER_KEY_BYTES:
            raise MasterKeyError(
                f"the master key has {len(secret)} bytes, {MASTER_KEY_BYTES} are needed;"
                " `openssl rand -base64 32` makes one"
            )
        return cls(secret)

    def to_text(self) -> str:
        """Return the base64 form that `from_text` reads."""
        return base64.b64encode(self.secret).decode("ascii")

    def seal(self, plaintext: bytes, *, record: str) -> bytes:
        """Encrypt so that it opens only under this key and for the same record name."""
        nonce = os.urandom(_NONCE_BYTES)
        box = AESGCM(self.secret).encrypt(nonce, plaintext, _associated(record))
        return _VERSION + nonce + box

    def unseal(self, sealed: bytes, *, record: str) -> bytes:
        """Decrypt what `seal` made for this record. Raises SealError."""
        start = len(_VERSION)
        if sealed[:start] != _VERSION:
            raise SealError(f"{record}: sealed in an unknown format")
        nonce, box = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return AESGCM(self.secret).decrypt(nonce, box, _associated(record))
        except (InvalidTag, ValueError) as error:
            raise SealError(f"{record}: does not open under this master key") from error


def read_master_key(path: Path) -> MasterKey:
    """Read the master key from a file. Raises MasterKeyError."""
    try:
        return MasterKey.from_text(path.read_text("ascii"))
    except FileNotFoundError as error:
        raise MasterKeyError(
            f"there is no master key at {path}: put back the one that the database's keys are"
            " sealed with"
        ) from error
    except (OSError, UnicodeError) as error:
        raise MasterKeyError(f"cannot read the master key at {path}: {error}") from error
    except MasterKeyError as error:
        raise MasterKeyError(f"{path}: {error}") from error


def create_master_key(path: Path) -> MasterKey:
    """Write a new master key to a file of mode 0600 that must not exist. Raises MasterKeyError.

    The file is complete under its name or absent: a process killed in between leaves no half key.
    """
    key = MasterKey.generate()
    partial = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key.to_text() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except OSError as error:
        raise MasterKeyError(f"cannot write the master key to {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return key


def seal_private_key(master: MasterKey, key: PrivateKey, *, record: str) -> bytes:
    """Seal a private key (as PKCS#8 DER) for the record it belongs to."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return master.seal(der, record=record)


def unseal_private_key(master: MasterKey, sealed: bytes, *, record: str) -> PrivateKey:
    """Open a sealed private key. Raises SealError."""
    der = master.unseal(sealed, record=record)
    # What is sealed was validated when it was imported, and GCM proves it is unchanged.
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, PrivateKey):
        raise SealError(f"{record}: holds a key of a kind that certificates do not use")
    return key


def private_key_pem(key: PrivateKey) -> str:
    """Return a private key in PEM (PKCS#8, unencrypted), as TLS servers read it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _associated(record: str) -> bytes:
    return b"shaken sealed key\0" + record.encode()
