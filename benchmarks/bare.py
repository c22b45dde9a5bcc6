"""The least that an HTTP service does which signs: aiohttp on uvloop, msgspec, one signature.

No authentication, selection, policy or record of calls. Where this reaches another share of
OpenSSL's rate than a quarter, the machine is another than the one that targets were set on.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.load import SERVICE_CORE, free_ports
from shaken.api.stir import SIGNING_PATH
from shaken.passport import Parties, Party, ShakenClaims, header_segment, sign


class _Call(msgspec.Struct):
    attest: str
    dest: Parties
    orig: Party
    origid: str


class _Request(msgspec.Struct):
    signing_request: _Call = msgspec.field(name="signingRequest")


@contextlib.contextmanager
def bare_handler() -> Iterator[str]:
    """Run it on the service's core; yield its base URL."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare", str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError("the bare handler did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _application() -> web.Application:
    key = ec.generate_private_key(ec.SECP256R1())
    header = header_segment(x5u="https://sti.example.com/certificate.pem", ppt="shaken")
    decoder = msgspec.json.Decoder(_Request)

    async def answer(request: web.Request) -> web.Response:
        call = decoder.decode(await request.read()).signing_request
        claims = ShakenClaims(call.attest, call.dest, 1_700_000_000, call.orig, call.origid)
        body = {"signingResponse": {"identity": sign(header, claims, key)}}
        return web.Response(body=msgspec.json.encode(body), content_type="application/json")

    app = web.Application()
    app.router.add_post(SIGNING_PATH, answer)
    return app


async def _serve(port: int) -> None:
    runner = web.AppRunner(_application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write("serves\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    os.sched_setaffinity(0, {SERVICE_CORE})
    uvloop.run(_serve(int(sys.argv[1])))
