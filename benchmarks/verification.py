"""Verification over HTTP with certificates at hand, and while a repository hangs.

The signers are the service's own: their chains are read once, as those of others are. OpenSSL's
rate of verifying on the same core, measured in turn with it, is the measure.
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import aiohttp
from jwt.utils import base64url_encode

from benchmarks.dataset import Dataset, make_dataset
from benchmarks.load import (
    CONNECTIONS,
    SERVICE_CORE,
    START_SECONDS,
    Service,
    openssl_rates,
    serving,
)
from benchmarks.report import Line, say
from benchmarks.steady import p99_at

MANY = 1_000
ROUNDS = 3
SECONDS = 3
HANGING = 50
"""Calls a second whose certificates do not come, one after the other: strangers' calls do not come
all at once."""
LUA = Path(__file__).with_name("verifying.lua")
CALL = {"orig": {"tn": "12155550100"}, "dest": {"tn": ["12355551212"]}}
SETTINGS = {
    "SHAKEN_VERIFICATION__FRESHNESS": "86400",
    "SHAKEN_FETCH__ALLOW_PRIVATE": "true",
    "SHAKEN_FETCH__ALLOW_ANY_PORT": "true",
}

_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_FAILED = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")


def measure_verification() -> list[Line]:
    """Measure, and return rows of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        say("writing stores with 1 and 1,000 signers")
        one = make_dataset(Path(scratch, "one"), tenants=1)
        many = make_dataset(Path(scratch, "many"), tenants=MANY)
        with serving(one, SETTINGS) as small, serving(many, SETTINGS) as large:
            _sign_all(small, one)
            _sign_all(large, many)
            _load(small, one)
            _load(large, many)
            raw, rate_one, rate_many = [], [], []
            for number in range(1, ROUNDS + 1):
                raw.append(openssl_rates().verify)
                rate_one.append(_load(small, one))
                rate_many.append(_load(large, many))
                say(
                    f"round {number} of {ROUNDS}: openssl {raw[-1]:,.0f}/s, 1 signer"
                    f" {rate_one[-1]:,.0f}/s, 1,000 signers {rate_many[-1]:,.0f}/s"
                )
            usual, hanging = [], []
            half = statistics.median(rate_many) / 2
            for _ in range(ROUNDS):
                usual.append(_p99(large, many, half))
                with _calls_that_hang(large, many):
                    hanging.append(_p99(large, many, half))
    share = statistics.median(a / b for a, b in zip(rate_one, raw, strict=True))
    slower = 1 - statistics.median(b / a for a, b in zip(rate_one, rate_many, strict=True))
    calm = statistics.median(usual)
    return [
        Line("openssl speed ecdsap256, verifications/s", f"{statistics.median(raw):,.0f}", ""),
        Line("verification requests/s, 1 signer", f"{statistics.median(rate_one):,.0f}", ""),
        Line("share of openssl's rate", f"{share:.1%}", "at least 40 %", share >= 0.4),
        Line("slower with 1,000 signers by", f"{slower:.1%}", "at most 5 %", slower <= 0.05),
        Line("99 % within, at half load", f"{calm:.2f} ms", ""),
        Line(
            "the same while a repository hangs",
            f"{statistics.median(hanging):.2f} ms",
            "at most twice",
            statistics.median(hanging) <= 2 * calm,
        ),
    ]


def _sign_all(service: Service, dataset: Dataset) -> None:
    """Sign calls as the tenants in turn, as many of one as of many; write what verifies them."""
    bodies = []
    for secret in itertools.islice(itertools.cycle(dataset.secrets), MANY):
        answer = _post(service, "signing", secret, {"signingRequest": {**CALL, "attest": "A"}})
        identity = answer["signingResponse"]["identity"]
        bodies.append(json.dumps(_request(identity)))
    (dataset.folder / "bodies.txt").write_text("\n".join(bodies) + "\n")


def _request(identity: str) -> dict[str, Any]:
    call = {"from": CALL["orig"], "to": CALL["dest"], "identity": identity}
    return {"verificationRequest": call}


def _post(service: Service, what: str, secret: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{service.url}/stir/v1/{what}",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        document: dict[str, Any] = json.loads(answer.read())
        return document


def _load(service: Service, dataset: Dataset) -> float:
    command = [
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(LUA),
        f"{service.url}/stir/v1/verification", "--", str(dataset.folder / "bodies.txt"),
        dataset.verifier,
    ]  # fmt: skip
    ran = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if failed := _FAILED.search(ran):
        raise RuntimeError(f"{failed[1]} requests were refused")
    rate = _RATE.search(ran)
    if rate is None:
        raise RuntimeError(f"wrk said {ran}")
    return float(rate[1])


def _p99(service: Service, dataset: Dataset, rate: float) -> float:
    bodies = (dataset.folder / "bodies.txt").read_bytes().splitlines()
    url = f"{service.url}/stir/v1/verification"
    return p99_at(url, dataset.verifier, bodies, rate=rate, seconds=SECONDS)


@contextmanager
def _calls_that_hang(service: Service, dataset: Dataset) -> Iterator[None]:
    """Ask for verdicts by certificates of a host that accepts connections and says nothing.

    A process of its own asks, on another core: it takes time from neither the service nor wrk.
    """
    body = json.loads((dataset.folder / "bodies.txt").read_text().splitlines()[0])
    token = body["verificationRequest"]["identity"].partition(";")[0]
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as host:
        port = host.getsockname()[1]
        processes = multiprocessing.get_context("spawn")
        begun = processes.Event()
        caller = processes.Process(
            target=_ask_on, args=(service.url, dataset.verifier, token, port, begun), daemon=True
        )
        caller.start()
        try:
            begun.wait(START_SECONDS)
            yield
            if not caller.is_alive():
                raise RuntimeError("the calls that hang have ended")
        finally:
            caller.terminate()
            caller.join()


def _ask_on(url: str, secret: str, token: str, port: int, begun: Event) -> None:
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {SERVICE_CORE} or {SERVICE_CORE})
    asyncio.run(_keep_asking(url, secret, token, port, begun))


async def _keep_asking(url: str, secret: str, token: str, port: int, begun: Event) -> None:
    """Ask for ever, evenly, each time about a certificate that was not asked for before."""
    waiting: set[asyncio.Task[None]] = set()
    connections = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {secret}"}
    async with aiohttp.ClientSession(connector=connections, headers=headers) as session:

        async def ask(number: int) -> None:
            hanging = f"https://127.0.0.1:{port}/{os.getpid()}-{number}.pem"
            request = _request(_naming(token, hanging))
            async with session.post(f"{url}/stir/v1/verification", json=request) as answer:
                answer.raise_for_status()
                await answer.read()

        for number in itertools.count():
            task = asyncio.create_task(ask(number))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            begun.set()
            await asyncio.sleep(1 / HANGING)


def _naming(token: str, url: str) -> str:
    """Return a header whose PASSporT names another URL; nobody gets to its signature."""
    _, claims, signature = token.split(".")
    header = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": url}
    first = base64url_encode(json.dumps(header, separators=(",", ":")).encode()).decode()
    return f"{first}.{claims}.{signature};info=<{url}>;alg=ES256;ppt=shaken"
