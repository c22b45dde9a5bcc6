"""Calls and their Identity headers: which header decides, and every outcome of RFC 8224 §6.2.2."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shaken.acceptance import (
    Action,
    Anonymity,
    Reaction,
    Replays,
    RevocationCheck,
    VerificationPolicy,
    Verstat,
)
from shaken.attestation import Attest
from shaken.identities import MAX_ORIGINALS
from shaken.verifier import Outcome
from shaken.x5u.exchange import FetchError, Reason
from tests.lab_crl import issue_crl, issue_indirect_crl
from tests.verification import (
    DEST,
    ORIG,
    SECONDS,
    X5U,
    Desk,
    at,
    fetched,
    fetched_crl,
    identity,
    token,
    token_of_json,
)
from trust.authority import Authority, Issued
from trust.certificate import Certificate
from trust.claim_constraints import ClaimConstraints, PermittedValues
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList, TnRange

CRL = "https://crl.example.com/list.crl"
OTHER = "https://other.example.com/b.pem"


@pytest.fixture(scope="module")
def issued(lab_ca: Authority, now: int) -> Issued:
    """The signer's certificate, that of a provider."""
    return lab_ca.issue_sti(spc="1234", now=at(now))


@pytest.fixture
def desk(lab_ca: Authority, issued: Issued, now: int) -> Desk:
    """A verifier that has the signer's certificate at hand."""
    made = Desk(now, [lab_ca.root])
    made.publish(issued)
    return made


def code_of(outcome: Outcome) -> int | None:
    assert outcome.best is not None
    assert outcome.decision.code == outcome.best.verdict.code
    assert outcome.decision.verstat is (
        Verstat.PASSED if outcome.decision.code is None else Verstat.FAILED
    )
    return outcome.decision.code


def said(outcome: Outcome) -> str:
    assert outcome.best is not None
    return outcome.best.verdict.words


# Which header decides


def test_a_header_that_holds_lets_the_call_pass(desk: Desk, issued: Issued) -> None:
    outcome = desk.at_once(identity(issued, desk.now))

    assert code_of(outcome) is None
    assert outcome.decision.action is Action.ACCEPT
    assert outcome.judged == (outcome.best,)


GOOD, GARBAGE = "good", "garbage"


@pytest.mark.parametrize(
    ("attests", "best"),
    [
        (["C", "A", "B"], "A"),
        (["B", "C"], "B"),
        ([GARBAGE, "C"], "C"),
        (["C", GARBAGE], "C"),
    ],
    ids=str,
)
def test_of_several_headers_the_best_that_holds_decides(
    desk: Desk, issued: Issued, attests: list[str], best: str
) -> None:
    headers = [
        "no header" if attest is GARBAGE else identity(issued, desk.now, attest=attest)
        for attest in attests
    ]

    outcome = desk.at_once(*headers)

    assert code_of(outcome) is None
    assert outcome.best is not None
    assert outcome.best.verdict.passport is not None
    assert outcome.best.verdict.passport.claims["attest"] == best
    garbage = attests.count(GARBAGE)
    codes = [judged.verdict.code for judged in outcome.judged]
    assert codes == [None] * (len(attests) - garbage) + [438] * garbage


def test_a_header_that_holds_is_better_than_a_higher_attestation_that_does_not(
    desk: Desk, issued: Issued
) -> None:
    stale = identity(issued, desk.now - 61, attest="A")

    assert code_of(desk.at_once(stale, identity(issued, desk.now, attest="C"))) is None


def test_headers_may_stand_in_one_field_with_commas(desk: Desk, issued: Issued) -> None:
    field = f"{identity(issued, desk.now, attest='C')}, {identity(issued, desk.now, attest='B')}"

    outcome = desk.at_once(field)

    assert len(outcome.judged) == 2
    assert code_of(outcome) is None


@pytest.mark.parametrize("spoilt", ["no header", "", "a.b.c", f"a.b.c;info=<{X5U}>;alg", "a,b"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_mistake_in_one_passport_of_a_field_spoils_no_other(
    desk: Desk, issued: Issued, *, spoilt: str, is_first: bool
) -> None:
    good = identity(issued, desk.now)

    outcome = desk.at_once(f"{spoilt},{good}" if is_first else f"{good},{spoilt}")

    codes = [judged.verdict.code for judged in outcome.judged]
    assert code_of(outcome) is None
    assert codes.count(None) == 1
    assert set(codes) <= {None, 436, 438}


@pytest.mark.parametrize("ppt", ["msgi", "msec", '"msgi"', "x-y.z"])
def test_a_ppt_that_is_unknown_is_ignored(desk: Desk, issued: Issued, ppt: str) -> None:
    other = identity(
        issued, desk.now, parameters=f";ppt={ppt}", header={"ppt": ppt.strip('"')}, attest=None
    )

    alone = desk.at_once(other)
    beside = desk.at_once(other, identity(issued, desk.now))

    assert (alone.best, alone.judged) == (None, ())
    assert (alone.decision.verstat, alone.decision.code) == (Verstat.NONE, None)
    assert code_of(beside) is None
    assert len(beside.judged) == 1


@pytest.mark.parametrize("ppt", ["msgi", "SHAKEN"])
def test_a_passport_of_an_unknown_type_is_ignored_without_a_parameter_too(
    desk: Desk, issued: Issued, ppt: str
) -> None:
    message = identity(issued, desk.now, parameters="", header={"ppt": ppt})

    assert desk.at_once(message).best is None


def test_more_headers_than_are_looked_at_do_no_harm(desk: Desk, issued: Issued) -> None:
    outcome = desk.at_once(identity(issued, desk.now), *["no header"] * 40)

    assert len(outcome.judged) == MAX_ORIGINALS
    assert code_of(outcome) is None


def test_headers_that_cannot_be_read_take_no_place_of_one_that_can(
    desk: Desk, issued: Issued
) -> None:
    outcome = desk.at_once(*["no header"] * 40, identity(issued, desk.now))

    assert len(outcome.judged) == MAX_ORIGINALS
    assert code_of(outcome) is None


# How a header may be written

WRITTEN = {
    "as carriers do": ";alg=ES256;ppt=shaken",
    "ppt in quotes": ';alg=ES256;ppt="shaken"',
    "without alg": ";ppt=shaken",
    "without ppt": ";alg=ES256",
    "without either": "",
    "in another order": ";ppt=shaken;alg=ES256",
    "alg in quotes": ';alg="ES256";ppt=shaken',
    "names in capitals": ";ALG=ES256;PPT=shaken",
    "values in any case": ";alg=es256;ppt=SHAKEN",
    "white space": " ; alg = ES256 ;\tppt = shaken ",
    "folded": ";alg=ES256\r\n ;ppt=shaken",
    "with what is unknown": ";alg=ES256;ppt=shaken;new;x=y",
}


@pytest.mark.parametrize("parameters", WRITTEN.values(), ids=WRITTEN)
def test_a_header_may_be_written_so(desk: Desk, issued: Issued, parameters: str) -> None:
    assert code_of(desk.at_once(identity(issued, desk.now, parameters=parameters))) is None


def test_json_may_have_any_order_and_white_space(desk: Desk, issued: Issued) -> None:
    header = f' {{"x5u":"{X5U}", "typ" : "passport",\n"ppt":"shaken","alg":"ES256"}}'
    claims = (
        f'{{"origid":"1","orig":{{"tn":"{ORIG}"}},\t"iat":{desk.now},'
        f'"dest":{{"tn":["{DEST}"]}},"attest":"A" }}'
    )
    made = token_of_json(issued.private_key, header, claims)

    assert code_of(desk.at_once(f"{made};info=<{X5U}>;ppt=shaken")) is None


Made = Callable[[Issued, int], str]


def spoiled(issued: Issued, now: int) -> str:
    good, other = identity(issued, now), identity(issued, now, attest="B")
    head, _, rest = good.partition(".")
    return ".".join([head, other.split(".")[1], rest.partition(".")[2]])


def twice(part: str) -> Made:
    def make(issued: Issued, now: int) -> str:
        header = f'{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{X5U}"}}'
        claims = (
            f'{{"attest":"A","dest":{{"tn":["{DEST}"]}},"iat":{now},"orig":{{"tn":"{ORIG}"}},'
            '"origid":"1"}'
        )
        if part == "header":
            header = header.replace("{", '{"alg":"ES256",')
        else:
            claims = claims.replace('"iat"', '"attest":"A","iat"')
        return f"{token_of_json(issued.private_key, header, claims)};info=<{X5U}>;ppt=shaken"

    return make


def compact(issued: Issued, now: int) -> str:
    return ".." + identity(issued, now).split(".", 2)[2]


def signed(**changes: Any) -> Made:
    return lambda issued, now: identity(issued, now, **changes)


def raw(text: str) -> Made:
    return lambda issued, now: text.replace("TOKEN", token(issued.private_key, now))


INVALID: dict[str, tuple[Made, int, str]] = {
    "no header": (raw("no header"), 438, "the header cannot be read: unexpected 'h'"),
    "no token": (raw(f";info=<{X5U}>"), 438, "there is no PASSporT"),
    "no info": (raw("TOKEN"), 436, "the header cannot be read: the Identity value has no info"),
    "info without a value": (raw("TOKEN;info"), 436, "in angle brackets"),
    "info without brackets": (raw(f"TOKEN;info={X5U}"), 436, "in angle brackets"),
    "info in quotes": (raw(f'TOKEN;info="{X5U}"'), 436, "in angle brackets"),
    "info is no URI": (raw("TOKEN;info=<a b>"), 436, "is not a URI"),
    "info is empty": (raw("TOKEN;info=<>"), 436, "is not a URI"),
    "info twice": (raw(f"TOKEN;info=<{X5U}>;info=<{X5U}>"), 436, "is there twice"),
    "info in the name of another": (raw("TOKEN;information=<x>"), 438, "angle brackets"),
    "alg twice": (raw(f"TOKEN;info=<{X5U}>;alg=ES256;alg=ES256"), 438, "is there twice"),
    "compact": (compact, 438, "this is the compact form; SHAKEN needs the full form"),
    "no PASSporT": (raw(f"a.b.c;info=<{X5U}>"), 438, "the token cannot be read"),
    "alg": (signed(parameters=";alg=RS256;ppt=shaken"), 438, "alg is RS256"),
    "typ": (signed(header={"typ": "JWT"}), 438, 'typ is "JWT"'),
    "crit": (signed(header={"crit": ["a"]}), 438, "the header holds 'crit'"),
    "another ppt inside": (signed(header={"ppt": "div"}), 438, "ppt is not shaken"),
    "ppt inside in capitals": (signed(header={"ppt": "SHAKEN"}), 438, "ppt is not shaken"),
    "a ppt inside that is no text": (
        signed(parameters="", header={"ppt": ["div"]}),
        438,
        "ppt is not shaken",
    ),
    "info is not x5u": (signed(header={"x5u": OTHER}), 438, "is not the PASSporT's x5u"),
    "no x5u": (signed(header={"x5u": None}), 438, "is not the PASSporT's x5u"),
    "a key twice in the header": (twice("header"), 438, "duplicate key 'alg'"),
    "a key twice in the claims": (twice("claims"), 438, "duplicate key 'attest'"),
    "altered": (spoiled, 438, "or was altered"),
    "orig": (signed(orig={"tn": "12155550101"}), 438, f"the call comes from {ORIG}"),
    "dest": (signed(dest={"tn": ["12155550101"]}), 438, f"the call goes to {DEST}"),
    "attest": (signed(attest="D"), 438, "attest is none of A, B, C"),
    "origid": (signed(origid=None), 438, "origid is missing"),
    "iat": (lambda issued, _: identity(issued, "now"), 438, "iat is missing or no integer"),
    "too early": (lambda issued, now: identity(issued, now - 61), 403, "iat is 61 s before now"),
    "too late": (lambda issued, now: identity(issued, now + 16), 403, "iat is 16 s after now"),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_header_that_does_not_hold_says_why(desk: Desk, issued: Issued, case: str) -> None:
    make, code, words = INVALID[case]

    outcome = desk.at_once(make(issued, desk.now))

    assert code_of(outcome) == code
    assert words in said(outcome)
    assert outcome.decision.words == said(outcome)
    assert said(outcome).isprintable()


@pytest.mark.parametrize("case", INVALID)
def test_what_does_not_hold_does_no_harm_to_what_does(
    desk: Desk, issued: Issued, case: str
) -> None:
    bad = INVALID[case][0](issued, desk.now)

    assert code_of(desk.at_once(bad, identity(issued, desk.now, attest="C"))) is None


# Freshness


@pytest.mark.parametrize(
    ("age", "time", "code", "words"),
    [
        (60, None, None, ""),
        (61, None, 403, "iat is 61 s before now"),
        (-15, None, None, ""),
        (-16, None, 403, "iat is 16 s after now"),
        (30, 30, None, ""),
        (30, -30, None, ""),
        (30, -31, 403, "iat is 61 s before the message's time"),
        (0, 15, None, ""),
        (0, 16, 403, "iat is 16 s after the message's time"),
        (61, 61, 403, "iat is 61 s before now"),
    ],
)
def test_an_iat_must_be_fresh_by_the_clock_and_by_the_message(
    desk: Desk, issued: Issued, *, age: int, time: int | None, code: int | None, words: str
) -> None:
    """`age` and `time` are seconds before now."""
    sent = None if time is None else desk.now - time

    outcome = desk.at_once(identity(issued, desk.now - age), time=sent)

    assert code_of(outcome) == code
    assert words in said(outcome)


def test_a_trunk_has_a_freshness_of_its_own(desk: Desk, issued: Issued) -> None:
    policy = VerificationPolicy(freshness=10, skew=2)

    for age, code in ((10, None), (11, 403), (-2, None), (-3, 403)):
        assert code_of(desk.at_once(identity(issued, desk.now - age), policy=policy)) == code


# Nothing to verify


@pytest.mark.parametrize(
    ("orig", "with_header", "policy", "action", "code"),
    [
        (ORIG, False, {}, Action.ACCEPT, None),
        (ORIG, False, {"identity_required": True}, Action.REJECT, 428),
        (None, False, {}, Action.ACCEPT, None),
        (None, True, {}, Action.ACCEPT, None),
        (None, False, {"anonymous": Anonymity.REJECT}, Action.REJECT, 433),
        (None, True, {"anonymous": Anonymity.REJECT}, Action.REJECT, 433),
        (None, True, {"identity_required": True}, Action.REJECT, 428),
    ],
)
def test_a_call_that_cannot_be_verified_is_left_to_policy(
    desk: Desk,
    issued: Issued,
    *,
    orig: str | None,
    with_header: bool,
    policy: dict[str, Any],
    action: Action,
    code: int | None,
) -> None:
    headers = [identity(issued, desk.now)] if with_header else []

    outcome = desk.at_once(*headers, orig=orig, policy=VerificationPolicy(**policy))

    assert (outcome.decision.action, outcome.decision.code) == (action, code)
    assert outcome.decision.verstat is Verstat.NONE
    assert (outcome.best, outcome.judged, outcome.replayed) == (None, (), False)


def test_policy_rejects_what_verification_found(desk: Desk, issued: Issued) -> None:
    invalid = VerificationPolicy(invalid=Reaction.REJECT)
    least = VerificationPolicy(minimum_attest=Attest.A)

    failed = desk.at_once("no header", policy=invalid).decision
    low = desk.at_once(identity(issued, desk.now, attest="B"), policy=least).decision

    assert (failed.action, failed.verstat, failed.code) == (Action.REJECT, Verstat.FAILED, 438)
    assert (low.action, low.verstat, low.code) == (Action.REJECT, Verstat.PASSED, 608)


# Replays


@pytest.mark.parametrize(
    ("usual", "trunk", "code", "replayed"),
    [
        (Replays.OFF, None, None, False),
        (Replays.REPORT, None, None, True),
        (Replays.FAIL, None, 438, True),
        (Replays.FAIL, Replays.OFF, None, False),
        (Replays.OFF, Replays.FAIL, 438, True),
    ],
)
def test_a_passport_for_another_call_is_a_replay(
    lab_ca: Authority,
    issued: Issued,
    now: int,
    *,
    usual: Replays,
    trunk: Replays | None,
    code: int | None,
    replayed: bool,
) -> None:
    desk = Desk(now, [lab_ca.root], replays=usual)
    desk.publish(issued)
    header, policy = identity(issued, now), VerificationPolicy(replays=trunk)

    first = desk.at_once(header, policy=policy)
    again = desk.at_once(header, policy=policy)
    other = desk.at_once(header, policy=policy, name="call 2")

    assert (code_of(first), first.replayed) == (None, False)
    assert (code_of(again), again.replayed) == (None, False)
    assert (code_of(other), other.replayed) == (code, replayed)
    assert [judged.verdict.code for judged in other.judged] == [code]
    if code is not None:
        assert said(other) == "this PASSporT was seen before, for another call"


def test_a_header_that_does_not_hold_is_not_remembered(desk: Desk, issued: Issued) -> None:
    header = identity(issued, desk.now)

    assert code_of(desk.at_once(header, dest=("1",))) == 438
    assert not desk.at_once(header, name="call 2").replayed


# Certificates that cannot be had


@pytest.mark.parametrize("reason", Reason)
async def test_a_certificate_that_cannot_be_fetched_is_436(
    lab_ca: Authority, issued: Issued, now: int, reason: Reason
) -> None:
    desk = Desk(now, [lab_ca.root])
    desk.files.elsewhere[X5U] = FetchError(reason, f"because of {reason}")

    outcome = await desk.verify(identity(issued, now))

    assert code_of(outcome) == 436
    assert said(outcome) == f"the certificate at {X5U} cannot be had: because of {reason}"


async def test_a_repository_that_is_silent_is_436_in_time(
    lab_ca: Authority, issued: Issued, now: int
) -> None:
    desk = Desk(now, [lab_ca.root])
    desk.files.silent.add(X5U)

    outcome = await desk.verify(identity(issued, now))

    assert code_of(outcome) == 436
    assert said(outcome) == f"the certificate did not come within {SECONDS:g} s from {X5U}"


async def test_headers_are_fetched_for_together_and_the_best_decides(
    lab_ca: Authority, desk: Desk, issued: Issued
) -> None:
    other = lab_ca.issue_sti(spc="5678", now=at(desk.now))
    third = "https://third.example.com/c.pem"
    desk.files.silent.add(third)
    desk.files.elsewhere[OTHER] = fetched(other.certificate, url=OTHER)

    outcome = await desk.verify(
        identity(issued, desk.now, x5u=third),
        identity(issued, desk.now, attest="C"),
        "no header",
        identity(other, desk.now, x5u=OTHER, attest="B"),
    )

    assert code_of(outcome) is None
    assert [judged.verdict.code for judged in outcome.judged] == [436, None, None, 438]
    assert outcome.best is outcome.judged[2]
    assert desk.files.asked == [third, OTHER]


# Certificates that must not be believed

P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
HUNDRED = TnAuthList.of(ranges=[TnRange(ORIG, 100)])


def without_signing(ca: Authority, now: int) -> Issued:
    usage = ca.root.extensions.get_extension_for_class(x509.KeyUsage).value
    spc = x509.UnrecognizedExtension(TN_AUTH_LIST_OID, TnAuthList.of(spcs=["1234"]).encode())
    no_ca = x509.BasicConstraints(ca=False, path_length=None)
    key = ec.generate_private_key(ec.SECP256R1())
    validity = (at(now - 60), at(now + 60))
    extensions = [(no_ca, True), (usage, True), (spc, False)]
    leaf = ca._issue(ca.root.subject, key.public_key(), validity, extensions)
    return Issued(ca._chain(leaf), key)


def delegated(ca: Authority, now: int, number: str) -> Issued:
    customer = ca.intermediate("Customer CA", tn_auth_list=HUNDRED, now=at(now))
    return customer.issue_sti(numbers=[number], now=at(now))


def self_made(_: Authority, now: int) -> Issued:
    return Authority.create("Stranger", now=at(now)).issue_sti(spc="1234", now=at(now))


def with_root_below(ca: Authority, now: int) -> Issued:
    """Answer with a chain that lacks its intermediate."""
    issued = ca.issue_sti(spc="1234", now=at(now))
    return Issued(Certificate((issued.certificate.leaf,)), issued.key)


def sti(**settings: Any) -> Callable[[Authority, int], Issued]:
    def issue(ca: Authority, now: int) -> Issued:
        made = {"now": at(now), **settings}
        if "start" in made:
            made["not_before"] = at(now + made.pop("start"))
        return ca.issue_sti(**made)

    return issue


ATTEST_A = ClaimConstraints(permitted_values=(PermittedValues("attest", ("B",)),))
SECOND = timedelta(seconds=1)

UNFIT: dict[str, tuple[Callable[[Authority, int], Issued], str]] = {
    "untrusted": (self_made, "unable to get local issuer certificate"),
    "without its chain": (with_root_below, "unable to get local issuer certificate"),
    "expired": (sti(spc="1234", lifetime=-SECOND), "certificate has expired"),
    "not yet valid": (sti(spc="1234", start=60), "not yet valid"),
    "key usage": (without_signing, "digitalSignature"),
    "RSA": (sti(spc="1234", key=RSA), "RSA with 2048 bits"),
    "P-384": (sti(spc="1234", key=P384), "secp384r1"),
    "no TNAuthList": (sti(), "has no TNAuthList"),
    "not covering": (sti(numbers=["12155550101"]), f"does not cover {ORIG}"),
    "not encompassed": (
        lambda ca, now: delegated(ca, now, "12155559999"),
        "12155559999",
    ),
    "constraints": (sti(spc="1234", constraints=ATTEST_A), "'attest' is 'A'"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_certificate_that_must_not_be_believed_is_437(
    lab_ca: Authority, now: int, case: str
) -> None:
    make, words = UNFIT[case]
    # P-256 signs for those whose certificate has another key: the certificate comes first.
    unfit = make(lab_ca, now)
    key = unfit.key
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        key = ec.generate_private_key(ec.SECP256R1())
    desk = Desk(now, [lab_ca.root])
    desk.publish(unfit)

    outcome = desk.at_once(identity(Issued(unfit.certificate, key), now))

    assert code_of(outcome) == 437
    assert words in said(outcome)


def test_a_delegate_speaks_for_its_number(lab_ca: Authority, now: int) -> None:
    desk, customer = Desk(now, [lab_ca.root]), delegated(lab_ca, now, ORIG)
    desk.publish(customer)

    assert code_of(desk.at_once(identity(customer, now))) is None
    other = identity(customer, now, orig={"tn": "12155550101"})
    assert code_of(desk.at_once(other, orig="12155550101")) == 437


@pytest.mark.parametrize("indirect", [False, True])
async def test_a_certificate_that_was_revoked_is_437(now: int, *, indirect: bool) -> None:
    root = Authority.create("Root", now=at(now))
    ca = root.intermediate("STI-CA", now=at(now))
    signer, issue = (root, issue_indirect_crl) if indirect else (ca, issue_crl)
    bad, good = (
        ca.issue_sti(spc="1234", now=at(now), crl_url=CRL, crl_issuer=signer.certificate.subject)
        for _ in "12"
    )
    der = issue(signer, [bad.certificate.leaf], now=at(now - 60))
    desk = Desk(now, [root.root])
    desk.lists.held[CRL] = fetched_crl(der, url=CRL, expires_at=now + 60)
    desk.publish(bad)
    desk.publish(good, OTHER)

    outcome = await desk.verify(identity(bad, now))

    assert code_of(outcome) == 437
    assert "was revoked on 2026-06-01 11:59 UTC" in said(outcome)
    assert code_of(await desk.verify(identity(good, now, x5u=OTHER))) is None


@pytest.mark.parametrize(
    ("revocation", "code"),
    [(RevocationCheck.OFF, None), (RevocationCheck.SOFT, None), (RevocationCheck.HARD, 437)],
)
async def test_without_its_list_a_certificate_is_believed_by_policy(
    lab_ca: Authority, now: int, *, revocation: RevocationCheck, code: int | None
) -> None:
    issued = lab_ca.issue_sti(spc="1234", now=at(now), crl_url=CRL)
    desk = Desk(now, [lab_ca.root], revocation=revocation)
    desk.lists.held[CRL] = FetchError(Reason.CONNECTION, "nobody is there")
    desk.publish(issued)

    outcome = await desk.verify(identity(issued, now))

    assert code_of(outcome) == code
    if code is not None:
        assert said(outcome).endswith(f"cannot be found out: {CRL}: nobody is there.")


# The certificate is judged as of `iat`


def test_a_certificate_that_expired_after_iat_is_good_and_the_call_stale(
    lab_ca: Authority, now: int
) -> None:
    expired = lab_ca.issue_sti(
        spc="1234", now=at(now), not_before=at(now - 200), lifetime=-timedelta(seconds=30)
    )
    desk = Desk(now, [lab_ca.root])
    desk.publish(expired)

    for age, code in ((0, 437), (29, 437), (31, None), (60, None), (61, 403), (199, 403)):
        assert code_of(desk.at_once(identity(expired, now - age))) == code, age
    assert code_of(desk.at_once(identity(expired, now - 201))) == 437


def test_the_first_failure_in_the_order_of_rfc_8224_counts(
    lab_ca: Authority, desk: Desk, issued: Issued
) -> None:
    stranger = self_made(lab_ca, desk.now)
    all_wrong: dict[str, Any] = {"orig": {"tn": "1"}, "attest": "D"}
    old = desk.now - 61

    unreadable = identity(stranger, old, header={"x5u": OTHER}, **all_wrong)
    assert code_of(desk.at_once(unreadable)) == 438
    assert code_of(desk.at_once(identity(stranger, old, **all_wrong))) == 403
    desk.publish(stranger)
    assert code_of(desk.at_once(identity(stranger, old, **all_wrong))) == 437
    desk.publish(issued)
    assert code_of(desk.at_once(identity(issued, old, **all_wrong))) == 403
    assert "or was altered" in said(desk.at_once(identity(stranger, desk.now, **all_wrong)))


def test_an_old_copy_of_a_certificate_is_said_to_be_one(desk: Desk, issued: Issued) -> None:
    desk.publish(issued, stale=True)

    outcome = desk.at_once(identity(issued, desk.now))

    assert outcome.best is not None
    assert outcome.best.stale
    assert code_of(outcome) is None


def test_a_call_that_passes_two_tenants_is_a_replay_for_neither(desk: Desk, issued: Issued) -> None:
    desk.publish(issued)
    header = identity(issued, desk.now)

    def replayed(name: str, scope: str) -> bool:
        return desk.at_once(header, name=name, scope=scope).replayed

    assert not replayed("call 1", "a.example.com")
    assert not replayed("another name of it", "b.example.com")
    assert replayed("call 2", "a.example.com")


def test_a_trunk_that_believes_for_longer_sees_a_replay_of_what_another_saw(
    desk: Desk, issued: Issued
) -> None:
    desk.publish(issued)
    header = identity(issued, desk.now)
    patient = VerificationPolicy(freshness=3600)

    first = desk.at_once(header, name="call 1")
    later = desk.at_once(header, name="call 2", now=desk.now + 600, policy=patient)

    assert (first.replayed, later.replayed) == (False, True)


def test_a_replay_whose_signature_is_written_in_its_other_form_is_seen(
    desk: Desk, issued: Issued
) -> None:
    desk.publish(issued)
    header = identity(issued, desk.now)

    first = desk.at_once(header, name="call 1")
    again = desk.at_once(with_the_other_s(header), name="call 2")

    assert (code_of(first), code_of(again)) == (None, None)
    assert (first.replayed, again.replayed) == (False, True)


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def with_the_other_s(header: str) -> str:
    """Return a header with the other signature that fits: (r, n - s), which anybody can write."""
    token, _, parameters = header.partition(";")
    signed, _, text = token.rpartition(".")
    signature = base64.urlsafe_b64decode(text + "==")
    s = P256_ORDER - int.from_bytes(signature[32:])
    other = base64.urlsafe_b64encode(signature[:32] + s.to_bytes(32)).rstrip(b"=").decode()
    return f"{signed}.{other};{parameters}"
