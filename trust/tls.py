"""TLS for listeners: SSL contexts that follow the store, chosen by server name (RFC 6066 §3).

A listener has one context without any certificate. When a client says which name it looks for,
the handshake gets the context of the certificate that a `CertificateSource` chooses; it is made
when it is first needed, and kept until the certificate is gone, replaced, or long unused. Which
certificate belongs to a name is not decided here, see `trust.selection`.
"""

import logging
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from cryptography import x509

from trust.certificate import UNREADABLE, Certificate
from trust.keys import MasterKeys, SealError, private_key_pem, unseal_private_key

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325 §4.2)."""

ALPN = ("http/1.1",)

MAX_CONTEXTS = 10_240
"""Contexts kept ready, each of some 26 KB; the longest unused gives way."""

RETRY_SECONDS = 5.0
"""How long a certificate that could not be loaded is passed over before it is tried again."""

MAX_TRIES = 16
"""Certificates that one handshake tries to load, each in some 1.5 ms, before one succeeds; those
that follow are left to the next handshakes, unless they are loaded already."""

MAX_FAILED = 1024
"""Certificates remembered as failing; beyond it all of them are tried again."""

MAX_PEERS = 1024
"""Client certificates whose key's digest is remembered."""

_log = logging.getLogger(__name__)


class PresentError(Exception):
    """A certificate cannot be presented; the message says why."""


@dataclass(frozen=True, slots=True)
class Presentable:
    """A certificate to present; `version` differs when its chain or its key does."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Material:
    """What a context is made of: chain (leaf first) and key, both PEM, the key unencrypted."""

    chain: str
    key: str = field(repr=False)


def open_material(master: MasterKeys, chain: str, sealed_key: bytes, *, record: str) -> Material:
    """Open the sealed key of a stored chain. Raises PresentError."""
    try:
        key = unseal_private_key(master, sealed_key, record=record)
    except SealError as error:
        raise PresentError(str(error)) from error
    return Material(chain, private_key_pem(key))


class CertificateSource(Protocol):
    """Where certificates come from. Both are called within handshakes, and must be quick."""

    def choose(self, server_name: str | None) -> Iterator[Presentable]:
        """Choose for a name in lower case, without trailing dot (None: no name), the best first.

        Those that follow are for where the ones before cannot be loaded.
        """

    def load(self, certificate_id: str) -> Material:
        """Read a certificate that was chosen. Raises PresentError."""


class TlsContexts:
    """The contexts of one listener. For one thread: that of the event loop."""

    def __init__(
        self,
        source: CertificateSource,
        *,
        client_roots: Path | None = None,
        limit: int = MAX_CONTEXTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where certificates come from.

        `client_roots` is a folder of `trust.clients.ClientRoots`: clients are asked for a
        certificate, and one that they show must lead there. None: they are not asked.
        """
        self._source = source
        self._client_roots = client_roots
        self._limit = limit
        self._clock = clock
        self._ready: OrderedDict[str, tuple[int, ssl.SSLContext]] = OrderedDict()
        self._failed: dict[Presentable, float] = {}

    def __len__(self) -> int:
        return len(self._ready)

    def listener(self) -> ssl.SSLContext:
        """Make the context that a listener is opened with."""
        context = self._blank()
        context.sni_callback = self._present
        return context

    def keep(self, versions: Mapping[str, int]) -> None:
        """Drop the contexts, and so the keys, of certificates not among these; load the default.

        `versions` are those of all certificates by id.
        """
        for name in [n for n, (version, _) in self._ready.items() if versions.get(n) != version]:
            del self._ready[name]
        # It stands in where another one fails, so it is there before it is needed.
        self._context_for(None)

    def forget(self) -> None:
        """Make all contexts anew when they are next needed: client roots came to the folder.

        OpenSSL does not look again for a subject that it has found there.
        """
        self._ready.clear()

    def _present(
        self, connection: ssl.SSLObject, server_name: str | None, _: ssl.SSLContext
    ) -> int | None:
        """Choose within a handshake; OpenSSL sends the alert that is returned."""
        name = None if server_name is None else server_name.lower().removesuffix(".")
        context = self._context_for(name)
        if context is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = context
        return None

    def _context_for(self, name: str | None) -> ssl.SSLContext | None:
        """Return the context of the best that can be loaded for a name; None: there is none."""
        tries = 0
        for wanted in self._source.choose(name):
            version, context = self._ready.get(wanted.id, (None, None))
            if context is not None and version == wanted.version:
                self._ready.move_to_end(wanted.id)
                return context
            if tries == MAX_TRIES or self._clock() < self._failed.get(wanted, 0.0):
                continue
            context = self._loaded(wanted)
            if context is not None:
                return context
            tries += 1
        return None

    def _loaded(self, wanted: Presentable) -> ssl.SSLContext | None:
        """Make a certificate's context and keep it; None, and a line in the log, where it fails."""
        try:
            context = self._blank()
            _fill(context, self._source.load(wanted.id))
        except (PresentError, ssl.SSLError, OSError) as error:
            self._failing(wanted, error)
            return None
        self._failed.pop(wanted, None)
        self._ready[wanted.id] = (wanted.version, context)
        self._ready.move_to_end(wanted.id)
        if len(self._ready) > self._limit:
            self._ready.popitem(last=False)
        return context

    def _failing(self, wanted: Presentable, error: Exception) -> None:
        _log.error("the certificate %s cannot be presented: %s", wanted.id, error)
        if len(self._failed) >= MAX_FAILED:
            self._failed.clear()
        self._failed[wanted] = self._clock() + RETRY_SECONDS

    def _blank(self) -> ssl.SSLContext:
        """Make a context without certificate.

        A handshake takes some of its settings from the first context and some from the last one,
        so that all are made alike.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols(ALPN)
        context.options |= ssl.OP_NO_RENEGOTIATION
        # A resumed session shows no certificate, and so none that is new. Clients keep their
        # connections open anyway.
        context.num_tickets = 0
        if self._client_roots is not None:
            context.verify_mode = ssl.CERT_OPTIONAL
            # What is registered is an anchor, whether it signed itself or not.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(capath=str(self._client_roots))
        return context


def check_presentable(material: Material) -> None:
    """Raise PresentError, with OpenSSL's reason, where no listener here could present this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(CIPHERS)
    try:
        _fill(context, material)
    except ssl.SSLError as error:
        raise PresentError((error.reason or str(error)).replace("_", " ").lower()) from error


def _fill(context: ssl.SSLContext, material: Material) -> None:
    """Give a context what it presents. Raises ssl.SSLError, OSError."""
    # Python's ssl takes a key by file name only. An anonymous file in memory is on no disk, has no
    # name that others could open, and needs no passphrase, whose hashing takes longer than a
    # handshake may.
    with os.fdopen(os.memfd_create("tls", os.MFD_CLOEXEC), "wb", buffering=0) as file:
        file.write(f"{material.key}{material.chain}".encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


def client_spki(connection: ssl.SSLObject) -> str | None:
    """Return the SHA-256 of the key (SubjectPublicKeyInfo) that a client has shown to hold.

    64 lower-case hex digits; None when it showed no certificate.
    """
    der = connection.getpeercert(binary_form=True)
    return None if der is None else spki_of(der)


@lru_cache(maxsize=MAX_PEERS)
def spki_of(der: bytes) -> str | None:
    """Return the SHA-256 of the key of a certificate (DER), as `client_spki` does; None: none."""
    try:
        return Certificate((x509.load_der_x509_certificate(der),)).spki_sha256
    except UNREADABLE:
        return None
