"""SIP redirect over UDP: calls a second on one core, latencies, a flood of strangers."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.calling import Calls, calls, flood
from benchmarks.dataset import make_dataset
from benchmarks.load import openssl_rates, serving
from benchmarks.report import Line, say

MANY = 10_000
ROUNDS = 7
SECONDS = 2.0
STRANGERS = 10_000.0
"""INVITEs of strangers a second."""


def measure_redirect() -> list[Line]:
    """Measure, and return rows of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        say("writing stores with 1 and 10,000 trunks")
        one = make_dataset(Path(scratch, "one"), tenants=1)
        many = make_dataset(Path(scratch, "many"), tenants=MANY)
        with serving(one) as small, serving(many) as large:
            say("calling by each of the 10,000 trunks once: keys are parsed when first used")
            calls(small.sip_port, trunks=1, seconds=1)
            calls(large.sip_port, trunks=MANY, seconds=8)
            raw, rate_one, rate_many = [], [], []
            for number in range(1, ROUNDS + 1):
                raw.append(openssl_rates().sign)
                rate_one.append(calls(small.sip_port, trunks=1, seconds=SECONDS).rate)
                rate_many.append(calls(large.sip_port, trunks=MANY, seconds=SECONDS).rate)
                say(
                    f"round {number} of {ROUNDS}: openssl {raw[-1]:,.0f}/s, 1 trunk"
                    f" {rate_one[-1]:,.0f}/s, 10,000 trunks {rate_many[-1]:,.0f}/s"
                )
            half = statistics.median(rate_many) / 2
            calm, flooded = [], []
            for _ in range(ROUNDS):
                calm.append(calls(large.sip_port, trunks=MANY, seconds=SECONDS, rate=half))
                with flood(large.sip_port, rate=STRANGERS):
                    flooded.append(calls(large.sip_port, trunks=MANY, seconds=SECONDS, rate=half))
    return table(raw, rate_one, rate_many, calm, flooded)


def table(
    raw: list[float],
    rate_one: list[float],
    rate_many: list[float],
    calm: list[Calls],
    flooded: list[Calls],
) -> list[Line]:
    """Turn rounds into rows."""
    share = statistics.median(a / b for a, b in zip(rate_one, raw, strict=True))
    slower = 1 - statistics.median(b / a for a, b in zip(rate_one, rate_many, strict=True))
    usual = statistics.median(each.p99 for each in calm)
    under_flood = statistics.median(each.p99 for each in flooded)
    lost = sum(each.lost for each in (*calm, *flooded))
    median = statistics.median(each.median for each in calm)
    return [
        Line("SIP redirects/s, 1 trunk", f"{statistics.median(rate_one):,.0f}", ""),
        Line("SIP redirects/s, 10,000 trunks", f"{statistics.median(rate_many):,.0f}", ""),
        Line("share of openssl's rate", f"{share:.1%}", "at least 20 %", share >= 0.2),
        Line("slower with 10,000 trunks by", f"{slower:.1%}", "at most 5 %", slower <= 0.05),
        Line("half of them within (median)", f"{median:.2f} ms", ""),
        Line("99 % within, at half load", f"{usual:.2f} ms", ""),
        Line(
            "the same while strangers flood",
            f"{under_flood:.2f} ms",
            "at most twice",
            under_flood <= 2 * usual,
        ),
        Line("calls lost at half load", str(lost), "none", lost == 0),
    ]
