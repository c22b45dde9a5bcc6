"""Proving the names of an order to the authority (RFC 8555 §7.5.1).

What answers for a name is in the store, or is published, before the authority is told to look; and
that it is to be taken back is in the store before it is published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from acme import messages

from trust.acme.authority_client import AuthorityClient, PlacedOrder
from trust.acme.authorizations import Authorization, Challenge, record_of
from trust.acme.challenges import ChallengeType, PublicationError, Publisher, TxtRecord
from trust.acme.means import Means
from trust.acme.order import Order, State
from trust.acme.outcomes import AttemptOver
from trust.acme.problem_documents import of_names
from trust.acme.problems import AcmeError, NameProblem, Problem
from trust.acme.waiting import settled
from trust.store import acme_orders, acme_tokens

TOKEN_SECONDS = 3600
"""How long a token is answered: an authority looks within minutes of being told."""


@dataclass(frozen=True)
class _Proof:
    authorization: Authorization
    challenge: Challenge

    @property
    def is_asked(self) -> bool:
        """Whether the authority waits to be told that it can look."""
        return self.challenge.status == "pending"


def check_provable(means: Means, order: Order) -> None:
    """Refuse an order that cannot be proven, before the authority hears of it. Raises AcmeError."""
    wanted = {name: means.settings.challenge_for(name) for name in order.names}
    by_dns = [name for name, challenge in wanted.items() if challenge is ChallengeType.DNS]
    if by_dns:
        _publisher(means, by_dns[0])


def prove(means: Means, order: Order, placed: PlacedOrder, client: AuthorityClient) -> Order:
    """Prove all names; return the order when the authority has accepted them.

    Raises AttemptOver when it refuses one, other AcmeErrors when this may go on later.
    """

    def look() -> list[Authorization]:
        return [client.authorization_at(url) for url in placed.authorizations]

    found = look()
    _check_not_refused(found)
    proofs = [_proof(means, each) for each in found if each.status == "pending"]
    records = tuple(
        dict.fromkeys(
            record_of(each.authorization, each.challenge)
            for each in proofs
            if each.challenge.type is ChallengeType.DNS
        )
    )
    _check_caa(means, proofs)
    order = _keep(means, order, proofs, records)
    if records:
        publisher = _publisher(means, order.names[0])
        publisher.publish(records)
        publisher.await_propagation(records)
    _check_ourselves(means, proofs)
    for proof in proofs:
        if proof.is_asked:
            client.answer(proof.challenge)
    found = settled(
        look,
        is_settled=lambda each: all(one.status != "pending" for one in each),
        retry_after=lambda each: max(
            (one.retry_after for one in each if one.retry_after is not None), default=None
        ),
        clock=means.clock,
        wait=means.wait,
    )
    _check_not_refused(found)
    return order


def tidy(means: Means, order: Order) -> Order:
    """Take back what was made public for an order. Raises PublicationError; then it is kept."""
    if order.records:
        _publisher(means, order.names[0]).withdraw(order.records)
    with means.fence.recording() as connection:
        acme_tokens.remove(connection, order=order.id)
        return acme_orders.save(connection, replace(order, records=()))


def _keep(
    means: Means, order: Order, proofs: Sequence[_Proof], records: Sequence[TxtRecord]
) -> Order:
    tokens = {
        each.challenge.token: each.challenge.value
        for each in proofs
        if each.challenge.type is ChallengeType.HTTP
    }
    published = tuple(dict.fromkeys((*order.records, *records)))
    with means.fence.recording() as connection:
        acme_tokens.put(connection, tokens, order=order.id, expires=means.now + TOKEN_SECONDS)
        authorizing = replace(order, state=State.AUTHORIZING, records=published)
        return acme_orders.save(connection, authorizing)


def _proof(means: Means, authorization: Authorization) -> _Proof:
    wanted = means.settings.challenge_for(authorization.shown_name)
    challenge = authorization.challenge(wanted)
    if challenge is None:
        offered = ", ".join(authorization.offered)
        words = f"{authorization.shown_name}: the authority does not offer {wanted}, but {offered}"
        raise AttemptOver(Problem("no-challenge", words))
    return _Proof(authorization, challenge)


def _publisher(means: Means, name: str) -> Publisher:
    if means.publisher is None:
        raise PublicationError(f"{name} is proven by dns-01: say how DNS records are published")
    return means.publisher


def _check_caa(means: Means, proofs: Sequence[_Proof]) -> None:
    """Look at the CAA records of names that dns-01 proves, before anything is published.

    The self-check of http-01 looks at those of the others.
    """
    if means.caa_check is None or not means.settings.self_check:
        return
    found = {
        proof.authorization.shown_name: means.caa_check(name=proof.authorization.shown_name)
        for proof in proofs
        if proof.is_asked and proof.challenge.type is ChallengeType.DNS
    }
    _refuse_wrong(found)


def _check_ourselves(means: Means, proofs: Sequence[_Proof]) -> None:
    if means.self_check is None or not means.settings.self_check:
        return
    found = {
        proof.authorization.name: means.self_check(
            name=proof.authorization.name,
            token=proof.challenge.token,
            key_authorization=proof.challenge.value,
        )
        for proof in proofs
        if proof.is_asked and proof.challenge.type is ChallengeType.HTTP
    }
    _refuse_wrong(found)


def _refuse_wrong(found: Mapping[str, str | None]) -> None:
    """Raise AcmeError where something was found to be wrong with a name."""
    wrong = [
        NameProblem(name, "self-check", words) for name, words in found.items() if words is not None
    ]
    if wrong:
        words = "the authority is not asked, since it could not verify every name"
        raise AcmeError(Problem("self-check", words, tuple(wrong)))


def _check_not_refused(found: Sequence[Authorization]) -> None:
    refused = [each for each in found if each.status not in {"pending", "valid"}]
    if refused:
        unknown = messages.Error.from_json({"detail": "the authority does not say why"})
        raise AttemptOver(of_names((each.shown_name, each.error or unknown) for each in refused))
