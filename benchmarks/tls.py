"""The HTTPS listener: choosing a certificate, handshakes, and memory.

Handshakes are counted per second of the worker's processor time, so that what the clients cost on
the other core does not count.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.dataset import Dataset
from benchmarks.load import SERVICE_CORE, Service, serving
from benchmarks.report import Line, say
from shaken.audit import SYSTEM, Action, AuditedChange, changing
from shaken.config import load_config
from shaken.importing import Importer, Upload
from shaken.service import prepare
from shaken.store.tenants import add_tenant
from shaken.tenants import Tenant
from trust.authority import Authority
from trust.certificate import CertificateKind
from trust.selection import Fallback, TlsCandidate, TlsIndex

MANY = 10_000
INDEXED = 100_000
CHOICES = 200_000
ROUNDS = 5
SECONDS = 3
CLIENTS = 3


def measure_tls() -> list[Line]:
    """Measure, and return rows of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        say("writing stores with 1 and 10,000 domain certificates, and one with bare tenants")
        one = make_tls_dataset(Path(scratch, "one"), tenants=1, certificates=True)
        many = make_tls_dataset(Path(scratch, "many"), tenants=MANY, certificates=True)
        bare = make_tls_dataset(Path(scratch, "bare"), tenants=MANY, certificates=False)
        with serving(bare) as empty:
            without = empty.resident_bytes()
        with serving(one) as small, serving(many) as large:
            at_rest = (large.resident_bytes() - without) / MANY
            say("shaking hands once for each of the 10,000 names: keys are parsed when first used")
            first = 1e6 * _open_all(large, many) / MANY
            in_use = (large.resident_bytes() - without) / MANY
            rate_one, rate_many = [], []
            for number in range(1, ROUNDS + 1):
                rate_one.append(_rate(small, one))
                rate_many.append(_rate(large, many))
                say(
                    f"round {number} of {ROUNDS}: 1 certificate {rate_one[-1]:,.0f}/s,"
                    f" 10,000 certificates {rate_many[-1]:,.0f}/s"
                )
    chosen = choice_microseconds()
    slower = 1 - statistics.median(b / a for a, b in zip(rate_one, rate_many, strict=True))
    return [
        Line("TLS handshakes/s, 1 certificate", f"{statistics.median(rate_one):,.0f}", ""),
        Line("TLS handshakes/s, 10,000", f"{statistics.median(rate_many):,.0f}", ""),
        Line("slower with 10,000 by", f"{slower:.1%}", "at most 10 %", slower <= 0.1),
        Line("first handshake of a certificate", f"{first:,.0f} us", ""),
        Line("choice among 100,000 names", f"{chosen:.1f} us", "under 20 us", chosen < 20),
        Line("memory of a certificate at rest", f"{at_rest / 1024:.1f} KiB", ""),
        Line("memory of one that is in use", f"{in_use / 1024:.1f} KiB", ""),
    ]


def make_tls_dataset(folder: Path, *, tenants: int, certificates: bool) -> Dataset:
    """Write a store of tenants, with a domain certificate each or without."""
    prepared = prepare(load_config(None, {}), folder)
    moment = datetime.now(UTC)
    authority = Authority.create("Benchmark Root", now=moment).intermediate("Issuer", now=moment)
    importer = Importer(prepared.master, lab=False)
    database = prepared.open_database()
    names = [_name(number) for number in range(tenants)]
    with changing(database, SYSTEM, now=int(time.time())) as change:
        for name in names:
            add_tenant(change, Tenant(name, (), (), Fallback.FIRST))
            change.audit(Action.TENANT_CREATE, name, tenant=name)
            if certificates:
                _add_certificate(change, importer, authority, name)
    database.close()
    (folder / "names.txt").write_text("\n".join(names))
    return Dataset(folder, [])


def _name(number: int) -> str:
    return f"pbx{number}.example.com"


def _add_certificate(
    change: AuditedChange, importer: Importer, authority: Authority, name: str
) -> None:
    issued = authority.issue_server([name], now=datetime.fromtimestamp(change.at, UTC))
    upload = Upload(
        kind=CertificateKind.DOMAIN,
        certificate=issued.chain_pem,
        private_key=issued.key_pem,
        tenant=name,
    )
    importer.add(change, importer.read(upload, now=change.at), scope=None, now=change.at)


def _open_all(service: Service, dataset: Dataset) -> float:
    """Shake hands once for each name; return the processor seconds that the worker used."""
    before = service.cpu_seconds()
    _clients(service, dataset, seconds=0, number=1)
    return service.cpu_seconds() - before


def _rate(service: Service, dataset: Dataset) -> float:
    """Return handshakes per second of the worker's processor time, at random names."""
    before = service.cpu_seconds()
    done = _clients(service, dataset, seconds=SECONDS, number=CLIENTS)
    return done / (service.cpu_seconds() - before)


def _clients(service: Service, dataset: Dataset, *, seconds: int, number: int) -> int:
    """Run clients beside the service's core, and return how many handshakes they had."""
    others = {core for core in os.sched_getaffinity(0) if core != SERVICE_CORE}
    cores = ",".join(map(str, sorted(others or {SERVICE_CORE})))
    command = [
        "taskset", "-c", cores, sys.executable, "-m", "benchmarks.handshakes",
        str(service.https_port), str(dataset.folder / "names.txt"), str(seconds),
    ]  # fmt: skip
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    done = [int(client.communicate()[0]) for client in running]
    if any(client.returncode for client in running):
        raise RuntimeError("a TLS client failed")
    return sum(done)


def choice_microseconds() -> float:
    """Return how long one choice takes among 100,000 domain certificates, in microseconds."""
    now = int(time.time())
    names = [_name(number) for number in range(INDEXED)]
    candidates = (
        TlsCandidate(name, (name,), name, now - 60, now + 60, built_in=False) for name in names
    )
    index = TlsIndex(candidates, {name: name for name in names})
    asked = random.choices(names, k=CHOICES)
    began = time.perf_counter()
    for name in asked:
        index.for_server_name(name, now=now)
    return (time.perf_counter() - began) / CHOICES * 1e6
