"""`make bench`: how fast calls are signed, through the whole service, on one core.

wrk sends signing requests over HTTP to a service with authentication, selection, policy and the
record of calls on. OpenSSL's own signing rate on the same core, measured in turn with it, is the
measure. Then verification, SIP redirect, the HTTPS listener and the admin pages: see
`benchmarks.verification`, `redirect`, `tls` and `pages`. Exit code 1 when a target is missed.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.bare import bare_handler
from benchmarks.dataset import make_dataset
from benchmarks.load import openssl_rates, serving, signing_rate
from benchmarks.pages import measure_pages
from benchmarks.redirect import measure_redirect
from benchmarks.report import Line, say, show
from benchmarks.tls import measure_tls
from benchmarks.verification import measure_verification

MANY = 10_000
ROUNDS = 5
SECONDS = 4


def main() -> int:
    """Measure, print the table, and say whether every target was reached."""
    with tempfile.TemporaryDirectory() as scratch:
        say("writing a store with 1 tenant, and one with 10,000 tenants and certificates")
        one = make_dataset(Path(scratch, "one"), tenants=1)
        many = make_dataset(Path(scratch, "many"), tenants=MANY)
        with serving(one) as small, serving(many) as large, bare_handler() as bare:
            say("opening each of the 10,000 keys once: keys are parsed when first used")
            small.load(2)
            large.load(6, in_turn=True)
            raw, least, rate_one, rate_many = [], [], [], []
            for number in range(1, ROUNDS + 1):
                raw.append(openssl_rates().sign)
                least.append(signing_rate(bare, small.secrets, SECONDS))
                rate_one.append(small.load(SECONDS))
                rate_many.append(large.load(SECONDS))
                say(
                    f"round {number} of {ROUNDS}: openssl {raw[-1]:,.0f}/s,"
                    f" 1 tenant {rate_one[-1]:,.0f}/s, 10,000 tenants {rate_many[-1]:,.0f}/s"
                )
            lines = table(raw, least, rate_one, rate_many, large.start_seconds)
    lines += measure_verification()
    lines += measure_redirect()
    lines += measure_tls()
    lines += measure_pages()
    show(lines)
    return 1 if any(line.reached is False for line in lines) else 0


def table(
    raw: list[float],
    least: list[float],
    rate_one: list[float],
    rate_many: list[float],
    start: float,
) -> list[Line]:
    """Turn rounds into rows: medians, and ratios of rates measured side by side."""
    bare = statistics.median(a / b for a, b in zip(least, raw, strict=True))
    share = statistics.median(a / b for a, b in zip(rate_one, raw, strict=True))
    slower = 1 - statistics.median(b / a for a, b in zip(rate_one, rate_many, strict=True))
    return [
        Line("openssl speed ecdsap256, signatures/s", f"{statistics.median(raw):,.0f}", ""),
        Line("bare aiohttp that signs, share of that", f"{bare:.1%}", ""),
        Line("signing requests/s, 1 tenant", f"{statistics.median(rate_one):,.0f}", ""),
        Line("signing requests/s, 10,000 tenants", f"{statistics.median(rate_many):,.0f}", ""),
        Line("share of openssl's rate", f"{share:.1%}", "at least 20 %", share >= 0.2),
        Line("slower with 10,000 tenants by", f"{slower:.1%}", "at most 5 %", slower <= 0.05),
        Line("start with 10,000 tenants", f"{start:.2f} s", "under 3 s", start < 3),
    ]


if __name__ == "__main__":
    sys.exit(main())
