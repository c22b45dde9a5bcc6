"""Dial plans sign and verify with a one-liner against the running service."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.system.caller import Answer, Caller
from tests.system.independent import verified_claims
from tests.system.process import read_demo, run_program, running

SIGN, VERIFY = "/dialplan/v1/sign", "/dialplan/v1/verify"
CALL = {"orig": "+12155550100", "dest": "+12155550199"}


@dataclass(frozen=True)
class DialPlan:
    """The demo's signer and verifier, as a dial plan uses them."""

    signer: Caller
    verifier: Caller

    def sign(self, **parameters: Any) -> str:
        """Sign a call; return the line."""
        answer = get(self.signer, SIGN, {**CALL, **parameters})
        assert answer.status == 200, answer
        return line(answer)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DialPlan]:
    with running(tmp_path_factory.mktemp("dialplan"), "--demo") as service:
        demo = read_demo(service.data)
        callers = (Caller(service.url, demo[name]["secret"]) for name in ("signer", "verifier"))
        yield DialPlan(*callers)


def get(caller: Caller, path: str, parameters: dict[str, Any]) -> Answer:
    return caller.get(f"{path}?{urlencode(parameters, doseq=True)}")


def line(answer: Answer) -> str:
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    text = answer.body.decode()
    # Not at the end either: it would end the header field that a dial plan writes.
    assert "\n" not in text
    return text


def test_a_call_is_signed_and_verified_in_one_line_each(plan: DialPlan) -> None:
    identity = plan.sign(attest="B")

    verdict = get(plan.verifier, VERIFY, {**CALL, "identity": identity})
    wrong = get(plan.verifier, VERIFY, {**CALL, "dest": "12155550111", "identity": identity})
    none = get(plan.verifier, VERIFY, CALL)

    claims = verified_claims(plan.signer, identity)
    assert (claims["orig"], claims["dest"]) == ({"tn": "12155550100"}, {"tn": ["12155550199"]})
    assert line(verdict) == "TN-Validation-Passed B accept"
    assert line(wrong).startswith("TN-Validation-Failed - accept 438 Invalid Identity Header: dest")
    assert line(none) == "No-TN-Validation - accept"


def test_a_caller_who_withholds_the_number_is_not_validated(plan: DialPlan) -> None:
    assert line(get(plan.verifier, VERIFY, {**CALL, "orig": ""})) == "No-TN-Validation - accept"


def test_parameters_may_come_in_a_form_and_several_destinations(plan: DialPlan) -> None:
    form = urlencode({"orig": "sip:alice@pbx.example.com", "attest": "C"}).encode()

    caller = plan.signer.saying(Content_Type="application/x-www-form-urlencoded")
    answer = caller.call("POST", f"{SIGN}?dest=12155550199&dest=12155550198", form)

    claims = verified_claims(plan.signer, line(answer))
    assert claims["orig"] == {"uri": "sip:alice@pbx.example.com"}
    assert claims["dest"] == {"tn": ["12155550199", "12155550198"]}


def test_a_compressed_form_is_refused_as_such(plan: DialPlan) -> None:
    form = gzip.compress(urlencode(CALL).encode())
    kind = "application/x-www-form-urlencoded"

    caller = plan.signer.saying(Content_Type=kind, Content_Encoding="gzip")
    answer = caller.call("POST", SIGN, form)

    assert answer.status == 415
    assert line(answer) == "error: send the form as it is, without Content-Encoding"


def test_the_encoding_of_a_body_that_is_not_there_does_not_matter(plan: DialPlan) -> None:
    assert get(plan.signer.saying(Content_Encoding="gzip"), SIGN, CALL).status == 200


def test_curl_does_it_as_a_dial_plan_would(plan: DialPlan) -> None:
    common = ("curl", "-sS", "-u", f"demo-signer:{plan.signer.secret}")

    said = run_program(*common, "-G", "-d", "orig=+12155550100", "-d", "dest=12155550199",
                       f"{plan.signer.url}{SIGN}")  # fmt: skip

    assert verified_claims(plan.signer, said.strip())["attest"] == "A"


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({"orig": ""}, 400, "error: send orig: a telephone number, or a URI"),
        (
            {"dest": "hello"},
            400,
            "error: Invalid 'dest' parameter value: a telephone",
        ),
        (
            {"orig": "sip:anonymous@anonymous.invalid"},
            400,
            "error: Invalid 'orig' parameter value: it names nobody",
        ),
        ({"attest": "D"}, 400, "error: Invalid 'attest' parameter value"),
        ({"iat": "yesterday"}, 400, "error: iat is a number of Unix seconds"),
        ({"iat": "1"}, 400, "error: Invalid 'iat' parameter value: 1 is not within"),
        ({"orig": ["1", "2"]}, 400, "error: orig is there twice"),
        ({"from": "1"}, 400, "error: there is no parameter from; there are orig, dest, attest"),
        ({"x" * 9 + str(n): "1" for n in range(40)}, 400, "error: the URL has more than 32"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(
    plan: DialPlan, parameters: dict[str, Any], status: int, said: str
) -> None:
    answer = get(plan.signer, SIGN, {**CALL, **parameters})

    assert answer.status == status
    assert line(answer).startswith(said)


def test_who_may_not_is_told_so_in_one_line(plan: DialPlan) -> None:
    nobody = get(plan.signer.having(None), SIGN, CALL)
    other = get(plan.verifier, SIGN, CALL)
    patched = plan.signer.call("PATCH", SIGN)
    json = plan.signer.post(SIGN, {})

    assert nobody.status == 401
    assert line(nobody).startswith("error: send a credential")
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert (other.status, line(other)) == (
        403,
        "error: Not permitted: this credential is not a signer's.",
    )
    assert (patched.status, line(patched)) == (405, "error: send GET, or POST with a form")
    assert json.status == 415
