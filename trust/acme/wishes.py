"""What administrators want done with accounts: carried out under the lease, one after the other.

A wish is in the store until it is met, or until the authority has refused it for good. What passes,
as an authority that is down, is tried again, later each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trust.acme.account import Accounts
from trust.acme.backoff import backoff, bounded
from trust.acme.order import Failures, moment
from trust.acme.problems import AcmeError, Problem, is_transient
from trust.keys import MasterKeyError
from trust.store import acme_accounts
from trust.store.acme_accounts import Asked, Wish


@dataclass(frozen=True)
class Outcome:
    """What became of a wish. `problem` None: it is met. `again`: Unix seconds, None: not again."""

    directory: str
    wish: Wish
    problem: Problem | None = None
    again: int | None = None


def carry_out(accounts: Accounts) -> Sequence[Outcome]:
    """Do what is wanted by now. Raises LeaseLost, StoreError."""
    now = int(accounts.clock().timestamp())
    with accounts.fence.database.reading() as connection:
        wanted = acme_accounts.wanted(connection, now=now)
    return [
        _carried_out(accounts, each, each.wish, now=now) for each in wanted if each.wish is not None
    ]


def _carried_out(accounts: Accounts, asked: Asked, wish: Wish, *, now: int) -> Outcome:
    try:
        match wish:
            case Wish.ROLLOVER:
                accounts.roll_over(asked.directory)
            case Wish.DEACTIVATE:
                accounts.deactivate(asked.directory)
            case Wish.START_OVER | Wish.START_OVER_LOST:
                accounts.start_over(asked.directory, wish)
    except AcmeError as error:
        again = _again(asked, error.problem, now=now) if is_transient(error) else None
        return _put_off(accounts, asked, wish, error.problem, again)
    except MasterKeyError as error:
        # Orders go on: they may be with another authority.
        problem = Problem("master-key", str(error))
        return _put_off(accounts, asked, wish, problem, _again(asked, problem, now=now))
    return Outcome(asked.directory, wish)


def _put_off(
    accounts: Accounts, asked: Asked, wish: Wish, problem: Problem, again: int | None
) -> Outcome:
    now = int(accounts.clock().timestamp())
    left = None if again is None else wish
    after = Asked(asked.directory, left, Failures(_count(asked), now, problem), again)
    with accounts.fence.recording() as connection:
        acme_accounts.put_off(connection, wish, after)
    return Outcome(asked.directory, wish, problem, again)


def _count(asked: Asked) -> int:
    """Return which failure in a row the next one is."""
    return 1 if asked.failures is None else asked.failures.count + 1


def _again(asked: Asked, problem: Problem, *, now: int) -> int:
    """Return when something is tried again: later each time, and not before the authority says."""
    since = moment(now)
    at = since + backoff(_count(asked))
    if problem.retry_after is not None:
        at = max(at, bounded(problem.retry_after, since=since))
    return int(at.timestamp())
