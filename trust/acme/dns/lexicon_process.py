"""The process in which lexicon runs: reads a job from its standard input, does it, ends.

lexicon's providers wait for HTTP without a limit, and log what they are answered. In a process of
its own they are ended when they take too long, and what they print goes no further than the one
line that says why they failed, without secrets. `trust.acme.dns.provider` starts it.
"""

import re
import signal
import sys
from collections.abc import Iterable
from typing import Any, Literal, Protocol
from urllib.parse import quote, quote_plus

import msgspec
import requests
from lexicon.client import Client
from lexicon.config import ConfigResolver, DictConfigSource

from trust.acme.dns.settings import HIDDEN, is_secret
from trust.acme.problems import clean

_QUERY = re.compile(r"\?[^\s'\")]+")


class Job(msgspec.Struct, frozen=True):
    """What to do in one zone. `records` are names and values; `seconds` bound the process."""

    provider: str
    options: dict[str, Any]
    zone: str
    ttl: int
    verb: Literal["publish", "withdraw"]
    records: list[tuple[str, str]]
    seconds: int


class Operations(Protocol):
    """What a client of lexicon does in the zone it is open for."""

    def create_record(self, rtype: str, name: str, content: str) -> bool:
        """Add a record."""

    def list_records(self, rtype: str, name: str) -> list[dict[str, Any]]:
        """Return records."""

    def delete_record(self, *, rtype: str, name: str, content: str) -> bool:
        """Remove a record."""


def main() -> None:
    """Do the job of standard input; end with 0, or 1 and a line that says why."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    # Whoever started this may be gone.
    signal.alarm(job.seconds)
    if failures := perform(job):
        sys.exit("; ".join(failures))


def perform(job: Job) -> list[str]:
    """Publish or withdraw each record; return what went wrong, without secrets."""
    settings = {
        "provider_name": job.provider,
        "domain": job.zone,
        "ttl": job.ttl,
        job.provider: job.options,
    }
    config = ConfigResolver().with_dict(settings)  # type: ignore[no-untyped-call]
    failures: list[Exception] = []
    try:
        client = Client(config)
        # It guesses the zone by public suffixes; here the zone is known.
        config.add_config_source(DictConfigSource({"domain": job.zone}), 0)
        with client as operations:
            change = _publish if job.verb == "publish" else _withdraw
            for name, value in job.records:
                try:
                    change(operations, name, value)
                except Exception as error:
                    failures.append(error)
    except Exception as error:
        failures.append(error)
    secrets = [str(value) for name, value in job.options.items() if is_secret(name, value)]
    return list(dict.fromkeys(_words(error, secrets) for error in failures))


def _publish(operations: Operations, name: str, value: str) -> None:
    try:
        done = operations.create_record("TXT", name, value)
    except Exception:
        # Some refuse what is there already.
        if value not in (_texts(operations, name) or ()):
            raise
    else:
        if not done and value not in (_texts(operations, name) or ()):
            raise ValueError(f"{name}: the record was not created")


def _withdraw(operations: Operations, name: str, value: str) -> None:
    try:
        operations.delete_record(rtype="TXT", name=name, content=value)
    except Exception:
        # Some refuse what is not there any more.
        texts = _texts(operations, name)
        if texts is None or value in texts:
            raise


def _texts(operations: Operations, name: str) -> set[str] | None:
    """Return what the provider has under a name; None: it does not say, as it failed before."""
    try:
        return {str(each["content"]).strip('"') for each in operations.list_records("TXT", name)}
    except Exception:
        return None


def _words(error: Exception, secrets: Iterable[str]) -> str:
    words = f"{type(error).__name__}: {error}"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        words = f"{error}: {error.response.text}"
    for secret in sorted(secrets, key=len, reverse=True):
        for spelled in _spellings(secret):
            words = words.replace(spelled, HIDDEN)
    return clean(_QUERY.sub("?…", words))


def _spellings(secret: str) -> tuple[str, ...]:
    """Return what a text may look like in a URL, in JSON, as Python shows it."""
    return (
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        msgspec.json.encode(secret).decode()[1:-1],
        repr(secret)[1:-1],
    )


if __name__ == "__main__":
    main()
