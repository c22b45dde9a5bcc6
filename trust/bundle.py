"""The roots that the installed certifi ships: Mozilla's list, as one text of PEM blocks."""

import re
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from trust.certificate import UNREADABLE, CertificateRefused
from trust.roots import Edition, Purpose, Root, Shipper, root_of

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


class BundleError(Exception):
    """The bundle cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Bundle:
    """A text of PEM blocks, and the version of the package it comes with."""

    version: str
    text: bytes = field(repr=False)

    @cached_property
    def edition(self) -> Edition:
        """Which edition of the list it is."""
        return Edition(self.version, sha256(self.text).hexdigest())

    def roots(self) -> tuple[Root, ...]:
        """Read the roots, in the order of the text. Raises BundleError when there is none.

        Blocks that hold no certificate of an authority are left out: some distributions put the
        machine's own list in the place of the bundle, and anything may stand there.
        """
        read = (_root(block) for block in _BLOCK.findall(self.text))
        found = tuple(root for root in read if root is not None)
        if not found:
            raise BundleError(f"certifi {self.version} holds no root; install it anew")
        return found


def installed_bundle() -> Bundle:
    """Take the bundle of the installed certifi. Raises BundleError."""
    try:
        return Bundle(version("certifi"), Path(certifi.where()).read_bytes())
    except OSError as error:
        raise BundleError(f"cannot read certifi's bundle: {error}; install certifi anew") from error


def _root(block: bytes) -> Root | None:
    with warnings.catch_warnings():
        # Some well-known roots have the serial number 0, of which every reading would warn.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        try:
            certificate = x509.load_pem_x509_certificate(block)
            return root_of(certificate, Purpose.TLS, shipped=Shipper.CERTIFI)
        except (CertificateRefused, *UNREADABLE):
            return None
