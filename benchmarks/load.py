"""A running service on one core, and wrk as the PBXs that call it."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dataset import Dataset

SERVICE_CORE = 0
CONNECTIONS = 64
"""Of a site with many PBXs: each keeps its connection open, as SIP servers' HTTP clients do."""
START_SECONDS = 30
LUA = Path(__file__).with_name("signing.lua")

_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_FAILED = re.compile(r"Non-2xx or 3xx responses: ([0-9]+)")
_OPENSSL = re.compile(r"ecdsa \(nistp256\)\s+\S+\s+\S+\s+([0-9.]+)\s+([0-9.]+)")


@dataclass(frozen=True)
class Service:
    """A running service: where, how long it took to start, and wrk's file of secrets."""

    url: str
    start_seconds: float
    secrets: Path
    worker: int
    https_port: int
    sip_port: int

    def load(self, seconds: int, *, in_turn: bool = False) -> float:
        """Sign as `signing_rate` does."""
        return signing_rate(self.url, self.secrets, seconds, in_turn=in_turn)

    def cpu_seconds(self) -> float:
        """Return the processor time the worker has used."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Return the memory that the worker has for itself."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def signing_rate(url: str, secrets: Path, seconds: int, *, in_turn: bool = False) -> float:
    """Sign with wrk for some seconds and return requests per second.

    The tenants are taken at random, or each in turn. Raises RuntimeError when any request was
    refused.
    """
    order = "turn" if in_turn else "random"
    command = [
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(LUA),
        f"{url}/stir/v1/signing", "--", str(secrets), order,
    ]  # fmt: skip
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    if failed := _FAILED.search(ran.stdout):
        raise RuntimeError(f"{failed[1]} requests were refused")
    rate = _RATE.search(ran.stdout)
    if rate is None:
        raise RuntimeError(f"wrk said {ran.stdout}")
    return float(rate[1])


@contextlib.contextmanager
def serving(dataset: Dataset, settings: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Run the service on a dataset, its one worker pinned to one core; settings add to usual."""
    port, https_port, sip_port = free_ports(3)
    secrets = dataset.folder / "secrets.txt"
    secrets.write_text("\n".join(dataset.secrets) + "\n")
    environment = {
        **os.environ,
        "SHAKEN_HTTP__ADDRESS": f"127.0.0.1:{port}",
        "SHAKEN_HTTPS__ADDRESS": f"127.0.0.1:{https_port}",
        "SHAKEN_SIP__UDP": f"127.0.0.1:{sip_port}",
        "SHAKEN_PUBLIC_URL": "https://sti.example.com",
        "SHAKEN_LOG__LEVEL": "WARNING",
        **(settings or {}),
    }
    command = [sys.executable, "-m", "shaken", "serve", "--data-dir", str(dataset.folder)]
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {SERVICE_CORE})
        _wait_until_it_serves(process)
        took = time.monotonic() - began
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Service(
            f"http://127.0.0.1:{port}", took, secrets, int(children[0]), https_port, sip_port
        )
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        if process.stderr:
            process.stderr.close()


def _wait_until_it_serves(process: subprocess.Popen[str]) -> None:
    said = []
    for line in process.stderr or ():
        if "serves on" in line:
            return
        said.append(line)
    raise RuntimeError(f"the service did not start: {''.join(said)}")


@dataclass(frozen=True)
class OpensslRates:
    """What `openssl speed` does per second."""

    sign: float
    verify: float


def openssl_rates() -> OpensslRates:
    """Return what `openssl speed` signs and verifies per second on the service's core."""
    command = ["openssl", "speed", "-seconds", "2", "ecdsap256"]
    ran = subprocess.run(
        ["taskset", "-c", str(SERVICE_CORE), *command], check=True, capture_output=True, text=True
    )
    found = _OPENSSL.search(ran.stdout)
    if found is None:
        raise RuntimeError(f"openssl said {ran.stdout}")
    return OpensslRates(float(found[1]), float(found[2]))


def free_ports(count: int) -> list[int]:
    """Return different ports of loopback that nobody uses now."""
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
    return found
