"""Repositories as values: what each URL answers, what was asked, and a clock that is set."""

import asyncio
from typing import Any

from cryptography import x509

from shaken.addresses import UrlPolicy
from shaken.x5u.cache import Bounds
from shaken.x5u.exchange import FetchError, Reason, Request, Response
from shaken.x5u.repository import Repository
from trust.pem import read_pem

URL = "https://sti.example.com/a.pem"
DOWN = FetchError(Reason.CONNECTION, "the host cannot be reached: no route")


class Sites:
    """What is fetched. `answer` is for every URL; `gate`, when it is closed, holds fetches up."""

    def __init__(self, answer: Response | FetchError, *, now: float) -> None:
        self.answer = answer
        self.now = now
        self.asked: list[Request] = []
        self.ended = 0
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    def clock(self) -> float:
        return self.now

    async def fetch(self, request: Request) -> Response:
        self.asked.append(request)
        self.arrived.set()
        try:
            await self.gate.wait()
        finally:
            self.ended += 1
        if isinstance(self.answer, FetchError):
            raise self.answer
        return self.answer

    def repository(self, **changed: Any) -> Repository:
        parts: dict[str, Any] = {
            "policy": UrlPolicy(),
            "shelf": None,
            "local": None,
            "on_alarm": lambda *_: None,
            "bounds": Bounds(files=100, stale_seconds=86400),
            "clock": self.clock,
            "random": lambda: 0.0,
        }
        return Repository(self.fetch, **{**parts, **changed})


def file(body: str, **headers: str) -> Response:
    """Answer with a file."""
    return Response(
        body.encode(), {name.replace("_", "-"): value for name, value in headers.items()}
    )


def unchanged(**headers: str) -> Response:
    """Answer 304."""
    return Response(None, {name.replace("_", "-"): value for name, value in headers.items()})


def certificates(pem: str) -> tuple[x509.Certificate, ...]:
    """Read what a file holds."""
    return read_pem(pem).certificates
