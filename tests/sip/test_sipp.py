"""sipp as a real peer (Debian package sip-tester)."""

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from sip.message import Request
from sip.response import respond
from sip.server import Answer, Limits, SipServer, Source
from tests.sip.listening import Endpoint, bound

SCENARIO = Path(__file__).parent / "sipp" / "redirected.xml"
CALLS = 300

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])


class Redirect:
    """Sends each call to a place of its own, so that a second answer would be another one."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, message: Request, _source: Source) -> Answer:
        self.calls.append(message.call_id)
        target = f"<sip:call-{len(self.calls)}@target.example.com>"
        tag = f"tag-{len(self.calls)}"
        return respond(message, 302, to_tag=tag, headers=(("Contact", target),))


async def _sipp(endpoint: Endpoint, folder: Path, *options: str) -> None:
    program = shutil.which("sipp")
    assert program, "sipp is missing: install the Debian package sip-tester"
    arguments = (
        *(f"{endpoint[0]}:{endpoint[1]}", "-sf", str(SCENARIO), "-i", "127.0.0.1"),
        *("-m", str(CALLS), "-r", "150", "-l", str(2 * CALLS), "-nostdin", "-trace_err"),
        *("-timeout", "60", "-timeout_error", *options),
    )
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        cwd=folder,
        env={"TERM": "dumb"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{output.decode('latin-1')[-3000:]}\n{_errors(folder)}"


def _errors(folder: Path) -> str:
    return "".join(file.read_text("latin-1") for file in folder.glob("*_errors.log"))[-3000:]


@pytest.mark.parametrize("lost_percent", [0, 15])
async def test_calls_over_udp_are_redirected_once_each_whatever_gets_lost(
    tmp_path: Path, lost_percent: int
) -> None:
    handler = Redirect()
    sock, endpoint = bound(socket.SOCK_DGRAM)
    async with SipServer(handler, udp=[sock]):
        await _sipp(endpoint, tmp_path, "-t", "u1", "-lost", str(lost_percent))

    assert len(handler.calls) == len(set(handler.calls)) == CALLS


@pytest.mark.parametrize("transport", ["t1", "tn"])
async def test_calls_over_tcp_are_redirected_over_one_connection_or_many(
    tmp_path: Path, transport: str
) -> None:
    handler = Redirect()
    sock, endpoint = bound(socket.SOCK_STREAM)
    async with SipServer(handler, tcp=[sock], limits=Limits(connections_per_address=CALLS)):
        await _sipp(endpoint, tmp_path, "-t", transport, "-max_socket", "1000")

    assert len(handler.calls) == len(set(handler.calls)) == CALLS
