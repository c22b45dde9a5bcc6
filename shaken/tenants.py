"""Tenants and trunks: who signs, and how. Values and their rules; `shaken.store` keeps them.

A tenant is known by its DNS addresses. A trunk belongs to a tenant and fills in what a signing
request leaves out.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from shaken.acceptance import DEFAULT_POLICY, VerificationPolicy
from shaken.attestation import AttestPolicy, NumberRule, OwnNumbers
from shaken.networks import Network
from shaken.redirection import NO_REDIRECTION, Redirection
from trust.selection import Fallback


class Work(StrEnum):
    """What is done with a call."""

    SIGN = "sign"
    VERIFY = "verify"


class Direction(StrEnum):
    """What a trunk's calls are: to be signed, to be verified, or told apart by their Identity."""

    SIGN = "sign"
    VERIFY = "verify"
    AUTO = "auto"

    def work(self, *, presents: bool) -> Work:
        """Say what is done with a call; `presents` says whether it has an Identity."""
        return _WORKS[self][presents]

    def allows(self, work: Work) -> bool:
        """Say whether this may be done when it is asked for by name."""
        return work in _WORKS[self]


_WORKS = {
    Direction.SIGN: (Work.SIGN, Work.SIGN),
    Direction.VERIFY: (Work.VERIFY, Work.VERIFY),
    Direction.AUTO: (Work.SIGN, Work.VERIFY),
}
"""What is done with a call that has no Identity, and with one that has."""


class AnswerForm(StrEnum):
    """Which member of a signing answer holds the Identity."""

    BOTH = "both"
    ATIS = "atis"
    """`identity` (ATIS-1000082)."""
    THREE_GPP = "3gpp"
    """`identityHeader` (3GPP TS 24.229 Annex V)."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer with its addresses (A-labels, lower case), the first one its name."""

    address: str
    aliases: tuple[str, ...]
    numbers: tuple[NumberRule, ...]
    fallback: Fallback
    managed: bool = False
    """Whether certificates for its addresses are obtained, and renewed, by themselves."""
    own_numbers: OwnNumbers = field(init=False, compare=False, repr=False)
    """Its numbers, ready to be looked up."""

    def __post_init__(self) -> None:
        """Make them ready, with the row and not with a call."""
        object.__setattr__(self, "own_numbers", OwnNumbers(self.numbers))

    @property
    def addresses(self) -> tuple[str, ...]:
        """All names that mean this tenant."""
        return (self.address, *self.aliases)


@dataclass(frozen=True, slots=True)
class Trunk:
    """A PBX's line into the service.

    `origid` is a UUID as PASSporTs hold it. `country` reads national numbers, None: all are E.164.
    """

    name: str
    tenant: str
    attest: AttestPolicy
    origid: str
    direction: Direction
    networks: tuple[Network, ...]
    country: str | None
    answer: AnswerForm
    verification: VerificationPolicy = DEFAULT_POLICY
    sip: Redirection = NO_REDIRECTION
