"""The messages of `/api/v1/acme`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shaken.managing import MAX_NAMES
from trust.acme import settings as acme
from trust.acme.order import State
from trust.certificate import CertificateKind
from trust.request import KeyType

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]


class ExternalAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account at the authority's own site, to which ours is bound (RFC 8555 §7.3.4)."""

    kid: Text
    hmac_key: Text

    def __repr__(self) -> str:
        return f"ExternalAccount(kid={self.kid!r})"


class AcmeSettingsUpdate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings anew.

    `eab` and `dns` hold secrets: left out they stay as they are, null removes them.
    """

    directory_url: Text
    contact: Annotated[list[Text], Meta(max_length=acme.MAX_CONTACTS)] = []
    terms_agreed: bool = False
    eab: ExternalAccount | UnsetType | None = UNSET
    key_type: KeyType = KeyType.P256
    preferred_chain: Text | None = None
    profile: Text | None = None
    key_reuse: bool = False
    self_check: bool = True
    dns_names: Annotated[list[Name], Meta(max_length=acme.MAX_DNS_NAMES)] = []
    dns: dict[str, Any] | UnsetType | None = UNSET


class AcmeSettingsRecord(msgspec.Struct, frozen=True):
    """The settings as they are shown. `eab_kid` names the external account.

    Where `dns` has a secret a mark stands, which means that very secret when it is sent again.
    """

    directory_url: str
    contact: tuple[str, ...]
    terms_agreed: bool
    eab_kid: str | None
    key_type: KeyType
    preferred_chain: str | None
    profile: str | None
    key_reuse: bool
    self_check: bool
    dns_names: tuple[str, ...]
    dns: dict[str, Any] | None


class OrderCreation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate to obtain and keep renewed, for one host name or several."""

    names: Annotated[list[Name], Meta(min_length=1, max_length=MAX_NAMES)]
    kind: CertificateKind = CertificateKind.DOMAIN
    tenant: Annotated[str, Meta(max_length=253)] | None = None
    force: bool = False


class RevocationReason(StrEnum):
    """Why a certificate is revoked (RFC 5280 §5.3.1): the reasons that authorities take."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"


class Renewal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A renewal now. `revoke`: why the former certificate is revoked once it is replaced."""

    revoke: RevocationReason | None = None


class NameProblemRecord(msgspec.Struct, frozen=True):
    """What is wrong with one name, in whose words; `type` as that of the whole failure."""

    name: str
    type: str
    detail: str


class FailureRecord(msgspec.Struct, frozen=True):
    """Why an order does not get further: how often in a row, when last, in whose words."""

    count: int
    last: datetime
    type: str
    detail: str
    names: tuple[NameProblemRecord, ...]


class OrderRecord(msgspec.Struct, frozen=True):
    """An order. `words` say how it stands; `certificate` is the id of the latest one."""

    id: str
    kind: CertificateKind
    names: tuple[str, ...]
    tenant: str | None
    state: State
    managed: bool
    challenges: dict[str, str]
    certificate: str | None
    not_after: datetime | None
    failures: FailureRecord | None
    next_try: datetime | None
    urgency: str
    words: str


class OrderList(msgspec.Struct, frozen=True):
    """A page of orders; `next` is what to send as `after`."""

    items: tuple[OrderRecord, ...]
    next: str | None
