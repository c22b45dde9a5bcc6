"""Answers of an authority that differ from what Pebble gives: links of chains, members left out."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from cryptography import x509
from requests.utils import parse_header_links

from tests.trust.acme.bench import Bench
from trust.acme import authority_client
from trust.acme.order import State

NOWHERE = "https://localhost:1/alternate"


def linking(*urls: str) -> Callable[[str], list[dict[str, str]]]:
    """Read each Link header as these alternates."""
    return lambda _: [{"url": url, "rel": "alternate"} for url in urls]


def test_alternate_chains_are_not_asked_for_when_none_is_preferred(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("pbx.example.com")
    monkeypatch.setattr(authority_client, "parse_header_links", linking(NOWHERE))

    bench.run()

    assert bench.stored(identity).state is State.ISSUED


@pytest.mark.parametrize("link", [NOWHERE, "https://[::1/alternate", "/dir"])
def test_an_alternate_chain_that_cannot_be_had_or_read_is_left_out(
    link: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("pbx.example.com")
    bench.reconfigure(preferred_chain="nobody")
    monkeypatch.setattr(authority_client, "parse_header_links", linking(link))

    bench.run()

    assert bench.stored(identity).state is State.ISSUED


def test_an_alternate_chain_may_be_linked_by_a_relative_address(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("pbx.example.com")
    root = x509.load_pem_x509_certificate(bench.pebble.root(2).encode())
    [name] = root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    bench.reconfigure(preferred_chain=str(name.value))

    def relative(header: str) -> list[dict[str, str]]:
        return [
            {**each, "url": "/" + each["url"].split("/", 3)[3]}
            for each in parse_header_links(header)
        ]

    monkeypatch.setattr(authority_client, "parse_header_links", relative)

    bench.run()

    assert bench.chain(identity)[-1].issuer == root.subject


@pytest.mark.parametrize(
    ("of", "member"),
    [
        ("finalize", "status"),
        ("challenges", "status"),
        ("challenges", "identifier"),
    ],
)
def test_an_answer_that_leaves_out_a_member_is_told_and_another_one_is_waited_for(
    of: str, member: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = bench.order("pbx.example.com")
    real = requests.Response.json

    def without(self: requests.Response, **more: Any) -> Any:
        document = real(self, **more)
        if isinstance(document, dict) and of in document:
            document.pop(member, None)
        return document

    with monkeypatch.context() as patched:
        patched.setattr(requests.Response, "json", without)
        bench.run()

    failures = bench.stored(identity).failures
    assert failures is not None
    assert failures.problem.type == "unusable-answer"
    assert "it left out members" in failures.problem.words
    bench.settle()
    assert bench.stored(identity).state is State.ISSUED
