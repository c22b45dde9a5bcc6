"""examples/kamailio/redirect.cfg in a real Kamailio, before the service and before a sipp."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from sip.message import Request
from sip.parsing import parse
from sip.response import respond
from tests.ports import free_port
from tests.system.caller import Caller
from tests.system.independent import verified_claims
from tests.system.pbx import DEST, TIMEOUT_SECONDS, over_udp, request
from tests.system.process import read_demo, running
from tests.system.site import ORIG, Site
from tests.system.telephony import PLAIN, Party, kamailio

Trunks = Mapping[str, Mapping[str, object]]

REDIRECTOR_HOST, DIVERSIONS_HOST = "127.0.0.4", "127.0.0.5"

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJhdHRlc3QiOiJBIn0.c2ln"
IDENTITY = f"{TOKEN};info=<https://sti.example.com/1.pem>;alg=ES256;ppt=shaken"

CALLED, UNKNOWN_TRUNK, REJECTED = "+12155560001", "+12155560403", "+12155560438"

MANY, REAL, RATE = 1000, 500, 150
OTHER = "+12155560002"

DIVERTER = "+12155550177"
DIVERSION = f"Diversion: <sip:{DIVERTER}@pbx.example.com>"

TRUNK: Trunks = {"kamailio": {"sip": {"sources": ["127.0.0.1"]}}}
DIVERTING: Trunks = {
    "kamailio": {"sip": {"sources": ["127.0.0.1"], "divert": True}},
    "diversions": {"direction": "sign", "sip": {"sources": [DIVERSIONS_HOST], "divert": True}},
}


@contextmanager
def asking(service: Party, site: Site, **places: str) -> Iterator[Path]:
    """Run Kamailio with the settings for the redirect server, which is that of a party."""
    address = {"192.0.2.5:5060": f"{service.host}:{service.port}"}
    with kamailio(site.writes("redirect.cfg", **address, **places), site.port) as log:
        yield log


@contextmanager
def redirecting(site: Site, **places: str) -> Iterator[Path]:
    """Run Kamailio, and who stands for the service."""
    service = Party.at(REDIRECTOR_HOST, "service", site.folder)
    with service.answering(scenario="redirector"), asking(service, site, **places) as log:
        yield log


@contextmanager
def serving(site: Site, trunks: Trunks = TRUNK) -> Iterator[tuple[Party, Caller]]:
    """Run the service with trunks for Kamailio; give where it listens, and its administrator."""
    place = Party.at(REDIRECTOR_HOST, "service", site.folder)
    settings = {"SHAKEN_SIP__UDP": f"{place.host}:{place.port}"}
    with running(site.folder, "--demo", settings=settings) as service:
        demo = read_demo(service.data)
        admin = Caller(service.url, demo["admin"]["secret"])
        for name, trunk in trunks.items():
            made = admin.post("/api/v1/trunks", {"name": name, "tenant": demo["tenant"], **trunk})
            assert made.status == 201, made
        yield place, admin


def sent_on(site: Site, *more: str) -> Request:
    """Have the PBX call with more header fields; tell what came to the carrier, which is busy."""
    with socket.socket(type=socket.SOCK_DGRAM) as carrier:
        carrier.settimeout(TIMEOUT_SECONDS)
        carrier.bind((site.carrier.host, site.carrier.port))
        with over_udp(site.port, source=site.pbx.host) as pbx:
            pbx.send(request(more=more))
            data, proxy = carrier.recvfrom(65536)
            invite = parse(data)
            assert isinstance(invite, Request)
            carrier.sendto(respond(invite, 486, to_tag="busy").serialise(), proxy)
            while pbx.receive().status != 486:
                pass
    assert proxy == ("127.0.0.1", site.port)
    return invite


def test_calls_are_signed_and_verified_by_the_redirects_of_the_service(site: Site) -> None:
    with serving(site) as (service, admin), asking(service, site) as log:
        sent = site.calls_out([f"{ORIG};{CALLED};{PLAIN}"] * REAL, rate=RATE)
        back = [f"{ORIG};{CALLED};Identity: {call.identity}" for call in sent]
        came = site.calls_in(back, rate=RATE)
        other = f"{ORIG};{OTHER};Identity: {sent[0].identity}"
        (wrong,) = site.calls_in([other], rate=1)

        claims = [verified_claims(admin, call.identity) for call in sent]
        said = log.read_text()
    assert {each["orig"]["tn"] for each in claims} == {ORIG.removeprefix("+")}
    assert {each["dest"]["tn"][0] for each in claims} == {CALLED.removeprefix("+")}
    assert len(came) == REAL
    assert {"verstat=TN-Validation-Passed" in call.asserted for call in came} == {True}
    assert {(call.attest, call.origid) for call in came} == {("A", claims[0]["origid"])}
    assert "verstat=TN-Validation-Failed" in wrong.asserted
    assert "STIR;cause=438" in wrong.reason
    assert "unsigned" not in said
    assert "unverified" not in said


def test_a_diverted_call_goes_on_with_the_callers_identity_and_the_diverters(site: Site) -> None:
    with serving(site, DIVERTING) as (service, admin), asking(service, site) as log:
        identities = sent_on(site, DIVERSION).lines("Identity")

        caller, diversion = [verified_claims(admin, each) for each in identities]
        said = log.read_text()
    assert [each.rpartition("ppt=")[2] for each in identities] == ["shaken", "div"]
    assert caller["dest"]["tn"] == [DIVERTER.removeprefix("+")]
    assert diversion["div"]["tn"] == DIVERTER.removeprefix("+")
    assert diversion["dest"]["tn"] == [DEST.removeprefix("+")]
    assert "unsigned" not in said


def test_a_diverted_call_that_was_signed_goes_on_with_the_diverters_identity_too(
    site: Site,
) -> None:
    places = {
        "192.0.2.2:5060": f"{DIVERSIONS_HOST}:{free_port(DIVERSIONS_HOST)}",
        "##!define SIGN_DIVERSIONS": "#!define SIGN_DIVERSIONS",
    }
    itself = f"Diversion: <sip:{DEST}@pbx.example.com>"
    with (
        serving(site, DIVERTING) as (service, admin),
        asking(service, site, **places) as log,
    ):
        came, _ = sent_on(site, DIVERSION).lines("Identity")  # to the diverter
        presented = f"Identity: {came}"
        both = sent_on(site, presented, DIVERSION).lines("Identity")
        undiverted = [sent_on(site, presented, *more) for more in ((), (itself,))]

        diversion = verified_claims(admin, both[1])
        said = log.read_text()
    assert both[0] == came
    assert len(both) == 2
    assert diversion["div"]["tn"] == DIVERTER.removeprefix("+")
    assert [list(each.lines("Identity")) for each in undiverted] == [[came]] * 2
    assert "unsigned" not in said


def test_the_identity_of_the_302_goes_with_the_call(site: Site) -> None:
    with redirecting(site) as log:
        sent = site.calls_out([f"{ORIG};{CALLED};{PLAIN}"] * MANY, rate=RATE)

        assert [call.identity for call in sent] == [IDENTITY] * MANY
        assert {(call.asserted, call.reason) for call in sent} == {("", "")}
        assert "unsigned" not in log.read_text()


def test_the_verdict_of_the_302_goes_with_the_call_and_nobody_elses(site: Site) -> None:
    forged = f"P-Asserted-Identity: <sip:{ORIG}@a;verstat=TN-Validation-Passed>;a;b;c"
    with redirecting(site) as log:
        verified = site.calls_in([f"{ORIG};{CALLED};Identity: {IDENTITY}"] * 20, rate=20)
        plain = site.calls_in([f"{ORIG};{CALLED};{forged}"], rate=1)

        passed = f"<sip:{ORIG}@sti.example.com;user=phone;verstat=TN-Validation-Passed>"
        assert {(call.asserted, call.attest, call.identity) for call in verified} == {
            (passed, "A", IDENTITY)
        }
        assert {call.origid for call in verified} == {"de305d54-75b4-431b-adb2-eb6b9e546014"}
        assert [call.asserted for call in plain] == [
            f"<sip:{ORIG}@{site.carrier.host};user=phone;verstat=No-TN-Validation>"
        ]
        assert "unverified" not in log.read_text()


def test_a_call_that_the_policy_rejects_gets_the_services_answer(site: Site) -> None:
    with (
        redirecting(site),
        site.pbx.answering() as answers,
        pytest.raises(AssertionError, match="438 Invalid Identity Header"),
    ):
        site.carrier.call(site.port, [f"{ORIG};{REJECTED};Identity: {IDENTITY}"], rate=1)
    assert answers.log.read_text() == ""


def test_an_answer_that_is_none_does_not_stop_calls_and_the_log_says_so(site: Site) -> None:
    with redirecting(site) as log:
        (sent,) = site.calls_out([f"{ORIG};{UNKNOWN_TRUNK};{PLAIN}"], rate=1)
        (came,) = site.calls_in([f"{ORIG};{UNKNOWN_TRUNK};Identity: {IDENTITY}"], rate=1)

        said = log.read_text()
    assert sent.identity == ""
    assert "verstat=No-TN-Validation>" in came.asserted
    assert f"from {ORIG}: the service answered 403" in said
    assert (said.count("unsigned: "), said.count("unverified: ")) == (1, 1)


def test_while_the_service_is_down_calls_go_on_and_the_log_says_so(site: Site) -> None:
    nobody = Party.at(REDIRECTOR_HOST, "service", site.folder)
    with asking(nobody, site) as log:
        (sent,) = site.calls_out([f"{ORIG};{CALLED};{PLAIN}"], rate=1)
        (came,) = site.calls_in([f"{ORIG};{CALLED};Identity: {IDENTITY}"], rate=1)

        said = log.read_text()
    assert sent.identity == ""
    assert "verstat=No-TN-Validation>" in came.asserted
    assert (said.count("unsigned: "), said.count("unverified: ")) == (1, 1)


def test_a_call_that_is_not_signed_is_refused_where_the_policy_says_so(site: Site) -> None:
    refusing = {"##!define REFUSE_UNSIGNED": "#!define REFUSE_UNSIGNED"}
    with (
        redirecting(site, **refusing),
        pytest.raises(AssertionError, match="503 Call Cannot Be Signed"),
    ):
        site.pbx.call(site.port, [f"{ORIG};{UNKNOWN_TRUNK};{PLAIN}"], rate=1)
