"""A case of the corpus, and the authorities that all cases share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    PrivateFormat,
)

from tests.vectors.certificates.making import (
    NOW,
    authority,
)

TENANT = "pbx.example.com"
TRADITIONAL = PrivateFormat.TraditionalOpenSSL
UNKNOWN = ["chain-incomplete", "untrusted"]
"""Warnings of a certificate whose issuer is not known here."""

ROOT = authority(None, "Corpus root")
CA = authority(ROOT, "Corpus CA")
STRANGER = authority(authority(None, "Another root"), "Another CA")


@dataclass(frozen=True)
class Case:
    """One file, and what becomes of it: it is taken with `warnings`, or refused with `slug`.

    `says` are parts of the notes, or of the refusal.
    """

    name: str
    kind: str
    content: str | bytes
    warnings: list[str] = field(default_factory=list)
    slug: str | None = None
    says: list[str] = field(default_factory=list)
    field: str = "certificate"
    passphrase: str | None = None
    now: datetime = NOW
    names: list[str] | None = None


def refused(name: str, kind: str, content: str | bytes, slug: str, *says: str, **more: Any) -> Case:
    return Case(name, kind, content, slug=slug, says=list(says), **more)


def put_right(name: str, kind: str, content: str | bytes, *says: str, **more: Any) -> Case:
    return Case(name, kind, content, warnings=["put-right"] * len(says), says=list(says), **more)
