"""`/healthz` and `/readyz`: does the process live, and could it sign a call now."""

import msgspec

from shaken.api.routes import ApiCall, Reply, Route


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the service is; `detail` says what is missing."""

    status: str
    detail: str = ""


def alive(_: ApiCall) -> Reply:
    """Say that this worker answers."""
    return Reply(Health("ok"))


def ready(call: ApiCall) -> Reply:
    """Say whether a call could be signed now."""
    why_not = call.resources.signer.why_not_ready(call.snapshot, now=call.now)
    if why_not is None:
        return Reply(Health("ready"))
    return Reply(Health("not-ready", why_not), status=503)


ROUTES = (
    Route("GET", "/healthz", None, alive, "Whether the service lives", gives=Health),
    Route("GET", "/readyz", None, ready, "Whether a call could be signed now", gives=Health),
)
