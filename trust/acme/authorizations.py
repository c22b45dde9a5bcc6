"""An authorization: a name of an order, and what may prove it (RFC 8555 §7.1.4)."""

from dataclasses import dataclass
from datetime import datetime

from acme import errors, messages
from josepy.jwk import JWK

from trust.acme.challenges import ChallengeType, TxtRecord
from trust.acme.problems import clean


@dataclass(frozen=True)
class Challenge:
    """One way to prove a name.

    `value` is what is to be found: the key authorization of http-01, the text of dns-01's record.
    """

    type: ChallengeType
    token: str
    value: str
    status: str
    body: messages.ChallengeBody


@dataclass(frozen=True)
class Authorization:
    """A name of an order, and how it stands with the authority.

    `status` is that of RFC 8555 §7.1.6, `error` why it failed. `offered` are the types of all its
    challenges, also of those that are not known here.
    """

    name: str
    wildcard: bool
    status: str
    challenges: tuple[Challenge, ...]
    offered: tuple[str, ...]
    error: messages.Error | None
    retry_after: datetime | None

    @property
    def shown_name(self) -> str:
        """The name as it was ordered."""
        return f"*.{self.name}" if self.wildcard else self.name

    def challenge(self, wanted: ChallengeType) -> Challenge | None:
        """Return the challenge of a type; None: the authority does not offer it."""
        return next((each for each in self.challenges if each.type is wanted), None)


def record_of(authorization: Authorization, challenge: Challenge) -> TxtRecord:
    """Return the record that proves a name by dns-01."""
    name = challenge.body.chall.validation_domain_name(authorization.name)
    return TxtRecord(name, challenge.value)


def read_authorization(
    body: messages.Authorization, *, key: JWK, retry_after: datetime | None
) -> Authorization:
    """Read an authorization; `key` is the account's. Raises acme's ClientError."""
    if body.identifier is None or body.status is None:
        raise errors.ClientError("it left out members of an authorization")
    known = {each.value for each in ChallengeType}
    offered = [(str(each.chall.to_partial_json()["type"]), each) for each in body.challenges]
    return Authorization(
        name=body.identifier.value,
        wildcard=bool(body.wildcard),
        status=body.status.name,
        challenges=tuple(_challenge(kind, each, key) for kind, each in offered if kind in known),
        offered=tuple(clean(kind) for kind, _ in offered),
        error=next((each.error for _, each in offered if each.error is not None), None),
        retry_after=retry_after,
    )


def _challenge(kind_name: str, body: messages.ChallengeBody, key: JWK) -> Challenge:
    kind = ChallengeType(kind_name)
    if kind is ChallengeType.HTTP:
        value = body.chall.key_authorization(key)
    else:
        value = body.chall.validation(key)
    return Challenge(kind, body.chall.encode("token"), value, body.status.name, body)
