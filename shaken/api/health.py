"""`/healthz`, `/readyz`, `/metrics`: does it live, could it sign now, how do certificates stand."""

from datetime import UTC, datetime

import msgspec

from shaken.api.routes import ApiCall, Reply, Route
from shaken.credentials import Role
from shaken.metrics import MEDIA_TYPE, Renewals, exposition
from shaken.renewing import plan_of
from trust.store import acme_orders

MAX_FAILING = 10_000
"""Orders that fail and are looked at one by one for their urgency."""

OVERDUE_SECONDS = 3600
"""How long past its time an order is tried at the latest, while any worker renews."""


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the service is; `detail` says what is missing."""

    status: str
    detail: str = ""


def alive(_: ApiCall) -> Reply:
    """Say that this worker answers."""
    return Reply(Health("ok"))


def ready(call: ApiCall) -> Reply:
    """Say whether a call could be signed now."""
    why_not = call.resources.pens.why_not_ready(call.snapshot, now=call.now)
    if why_not is None:
        return Reply(Health("ready"))
    return Reply(Health("not-ready", why_not), status=503)


def metrics(call: ApiCall) -> Reply:
    """Give what a monitoring system watches."""
    call.require_everything()
    now = datetime.fromtimestamp(call.now, UTC)
    with call.resources.database.reading() as connection:
        states = acme_orders.counted(connection)
        failing = acme_orders.failing(connection, limit=MAX_FAILING)
        overdue = acme_orders.overdue(connection, before=call.now - OVERDUE_SECONDS)
    renewals = Renewals(
        states,
        [plan_of(order, now=now).urgency for order in failing],
        sum(order.failures.count for order in failing if order.failures is not None),
        overdue,
    )
    ready = call.resources.pens.why_not_ready(call.snapshot, now=call.now) is None
    return Reply(
        exposition(call.snapshot, renewals, call.resources.tally, ready=ready, now=call.now)
    )


ROUTES = (
    Route("GET", "/healthz", None, alive, "Whether the service lives", gives=Health),
    Route("GET", "/readyz", None, ready, "Whether a call could be signed now", gives=Health),
    Route(
        "GET",
        "/metrics",
        Role.VIEWER,
        metrics,
        "What a monitoring system watches, in Prometheus' text format",
        media_type=MEDIA_TYPE,
        local=True,
    ),
)
