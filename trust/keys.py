"""Private keys at rest: each sealed with AES-256-GCM under a master key, bound to its record.

A sealed value names its master key by an id, so that several can be in use while one takes the
place of another. The master key comes from a file or from the environment (`trust.keyring`) and is
never in the database, so a copy of the database alone gives nobody a key. Parsing of pasted keys is
`trust.pem`'s.
"""

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

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

KEY_ID_BYTES = 8
"""Of an HMAC under the key: enough to tell a handful of keys apart, and says nothing of them."""

HEADER_BYTES = 1 + KEY_ID_BYTES
"""What a sealed value begins with: its version and the id of its master key."""

_UNNAMED = b"\x01"
"""Version 1: nonce, box. It does not say which key it is sealed under."""

_NAMED = b"\x02"
"""Version 2: key id, nonce, box."""

_NONCE_BYTES = 12
"""Random 96-bit nonces are safe for 2**32 sealings under one key (NIST SP 800-38D §8.3)."""


class MasterKeyError(Exception):
    """The master key is missing, malformed or not the one the data was sealed with."""


class SealError(Exception):
    """A sealed key does not open: wrong master key, another record, or altered bytes."""


class MasterKeys(Protocol):
    """Master keys at hand: a ring of them (`trust.keyring`), or just one."""

    @property
    def current(self) -> "MasterKey":
        """The key that a new store is bound to, and that a rotation leads to."""

    def opening(self, sealed: bytes, *, record: str) -> "MasterKey":
        """Return the key that a value was sealed with for this record. Raises SealError."""

    def unseal(self, sealed: bytes, *, record: str) -> bytes:
        """Open what one of these keys sealed for this record. Raises SealError."""


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

    @cached_property
    def id(self) -> str:
        """The key's name, in hex: it follows from the key, and the key does not follow from it."""
        digest = hmac.digest(self.secret, b"shaken master key id", hashlib.sha256)
        return digest[:KEY_ID_BYTES].hex()

    @property
    def current(self) -> "MasterKey":
        """This key: alone, it is the current one."""
        return self

    def seal(self, plaintext: bytes, *, record: str) -> bytes:
        """Encrypt so that it opens only under this key and for the same record name."""
        nonce = os.urandom(_NONCE_BYTES)
        header = _NAMED + bytes.fromhex(self.id)
        box = AESGCM(self.secret).encrypt(nonce, plaintext, header + _associated(record))
        return header + nonce + box

    def opening(self, sealed: bytes, *, record: str) -> "MasterKey":
        """Return this key if it opens the value. Raises SealError."""
        self.unseal(sealed, record=record)
        return self

    def unseal(self, sealed: bytes, *, record: str) -> bytes:
        """Decrypt what `seal` made for this record. Raises SealError."""
        name = key_id_of(sealed, record=record)
        if name not in {None, self.id}:
            raise SealError(
                f"{record}: does not open under this master key, {self.id}; its own is {name}"
            )
        header = b"" if name is None else sealed[:HEADER_BYTES]
        start = len(header or _UNNAMED)
        nonce, box = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return AESGCM(self.secret).decrypt(nonce, box, header + _associated(record))
        except (InvalidTag, ValueError) as error:
            raise SealError(f"{record}: does not open under this master key") from error


def key_id_of(sealed: bytes, *, record: str) -> str | None:
    """Return the id of the master key that a value (or its first bytes) names; None: none.

    Raises SealError for a format that is unknown.
    """
    version = sealed[:1]
    if version == _UNNAMED:
        return None
    if version != _NAMED or len(sealed) < HEADER_BYTES:
        raise SealError(f"{record}: sealed in an unknown format")
    return sealed[1:HEADER_BYTES].hex()


def seal_private_key(master: MasterKey, key: PrivateKey, *, record: str) -> bytes:
    """Seal a private key (as PKCS#8 DER) for the record it belongs to."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return master.seal(der, record=record)


def unseal_private_key(master: MasterKeys, sealed: bytes, *, record: str) -> PrivateKey:
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
