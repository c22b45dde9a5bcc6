"""What administration tests send and look for."""

import sqlite3
from itertools import count
from pathlib import Path
from typing import Any

from tests.system.caller import Answer, Caller
from trust.authority import Issued

PUBLIC_URL = "https://sti.example.com"

_numbers = count(1)


def unused(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}{next(_numbers)}"


def from_elsewhere(caller: Caller) -> Caller:
    """Return the caller at an address from which nobody has failed to authenticate yet."""
    number = next(_numbers)
    return caller.saying(X_Forwarded_For=f"198.18.{number // 256}.{number % 256}")


def upload(issued: Issued, **more: object) -> dict[str, object]:
    """Write the body that uploads a certificate with its key."""
    return {
        "kind": "sti",
        "certificate": issued.chain_pem,
        "private_key": issued.key_pem,
        **more,
    }


def problem(answer: Answer, status: int, slug: str, field: str | None = None) -> str:
    """Check that an answer is a problem document of this kind; return its detail."""
    assert answer.headers["content-type"] == "application/problem+json", answer
    document = answer.json()
    assert (answer.status, document["status"], document["type"]) == (status, status, slug), document
    assert document["title"]
    assert document["detail"]
    named = [error["field"] for error in document.get("errors", [])]
    assert named == ([] if field is None else [field]), document
    detail: str = document["detail"]
    return detail


def state(data: Path) -> str:
    """Return all that the store holds but what the service itself goes on to write.

    Those are the records of calls and their counts, and how far orders are. Its changes raise the
    revision.
    """
    connection = sqlite3.connect(f"file:{data / 'shaken.sqlite'}?mode=ro", uri=True)
    try:
        lines = connection.iterdump()
        calls = ("calls", "call_destinations", "call_counts", "call_counts_reach")
        names = (*calls, "acme_orders", "acme_accounts", "leases", "revision")
        own = ["'calls'", "'order.fail'", "VALUES('audit',", *(f'"{name}"' for name in names)]
        return "\n".join(line for line in lines if not any(name in line for name in own))
    finally:
        connection.close()


def new_tenant(admin: Caller, **more: object) -> str:
    """Make a tenant; return its address."""
    address = f"{unused('tenant')}.example.com"
    answer = admin.post("/api/v1/tenants", {"address": address, **more})
    assert answer.status == 201, answer
    return address


def new_trunk(admin: Caller, tenant: str, **more: object) -> dict[str, Any]:
    """Make a trunk of a tenant; return its record."""
    answer = admin.post("/api/v1/trunks", {"name": unused("trunk"), "tenant": tenant, **more})
    assert answer.status == 201, answer
    record: dict[str, Any] = answer.json()
    return record


def new_credential(admin: Caller, role: str, **more: object) -> tuple[str, Caller]:
    """Make a credential; return its name and a caller that has it."""
    body = {"name": unused(role), "role": role, **more}
    answer = admin.post("/api/v1/credentials", body)
    assert answer.status == 201, answer
    return str(body["name"]), admin.having(answer.json()["secret"])


def new_certificate(admin: Caller, issued: Issued, **more: object) -> dict[str, Any]:
    """Upload a certificate; return its record."""
    answer = admin.post("/api/v1/certificates", upload(issued, **more))
    assert answer.status == 201, answer
    record: dict[str, Any] = answer.json()
    return record
