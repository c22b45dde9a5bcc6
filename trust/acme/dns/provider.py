"""Records by the API of a DNS provider, through lexicon in a process of its own."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.catalog import filled
from trust.acme.dns.lexicon_process import Job
from trust.acme.dns.program import ProgramFailed, environment, run
from trust.acme.dns.settings import ProviderSettings

BASE_SECONDS = 60
SECONDS_FOR_EACH = 5
"""How long a call may take, and how much longer for each record: some providers are slow."""

GRACE_SECONDS = 5
"""After that it ends itself, should nobody have done it."""

PASSED = (
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Variables by which libraries find proxies and roots."""

BUNDLED_SUFFIXES = {
    "TLDEXTRACT_PUBLIC_SUFFIX_LIST_URLS": "",
    "TLDEXTRACT_CACHE": "",
    "TLDEXTRACT_CACHE_PATH": "",
}
"""Lets tldextract, by which lexicon guesses zones, use the list it has: nothing is fetched."""


def seconds_for(records: int) -> int:
    """Return how long a call for so many records may take."""
    return BASE_SECONDS + SECONDS_FOR_EACH * records


class ProviderWriter:
    """Changes records at a provider."""

    def __init__(
        self, settings: ProviderSettings, *, seconds: Callable[[int], int] = seconds_for
    ) -> None:
        """Take where to, and how long a call may take, by the number of its records."""
        self._settings = settings
        self._seconds = seconds
        # Many providers keep all records of a name as one, which lexicon reads and writes back:
        # of two threads that do it at once, one would undo what the other did.
        self._turn = threading.Lock()

    def add(self, zone: str, records: Sequence[TxtRecord], /) -> None:
        """Add records of a zone. Raises PublicationError."""
        self._call("publish", zone, records)

    def remove(self, zone: str, records: Sequence[TxtRecord], /) -> None:
        """Remove records of a zone. Raises PublicationError."""
        self._call("withdraw", zone, records)

    def _call(
        self, verb: Literal["publish", "withdraw"], zone: str, records: Sequence[TxtRecord]
    ) -> None:
        seconds = self._seconds(len(records))
        job = Job(
            provider=self._settings.provider,
            options=filled(self._settings),
            zone=zone,
            ttl=self._settings.ttl,
            verb=verb,
            records=[(record.name, record.value) for record in records],
            seconds=seconds + GRACE_SECONDS,
        )
        try:
            with self._turn:
                run(
                    # -P: no module is taken from the folder that the process happens to be in.
                    (sys.executable, "-P", "-m", "trust.acme.dns.lexicon_process"),
                    stdin=msgspec.json.encode(job),
                    environment=environment(PASSED) | BUNDLED_SUFFIXES | _modules(),
                    seconds=seconds,
                )
        except ProgramFailed as error:
            # What it says when it ends by itself is free of secrets; lexicon's log may not be.
            why = error.said if error.code == 1 else error.how
            raise PublicationError(
                f"{self._settings.provider} does not {verb} records of {zone}: {why}"
            ) from error


def _modules() -> dict[str, str]:
    """Let the process find modules where this one does."""
    return {"PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))}
