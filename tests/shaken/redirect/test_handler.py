"""INVITEs answered by a real signer and a real verifier, with a store behind them."""

import json
from collections.abc import Generator
from datetime import UTC, datetime
from email.utils import format_datetime
from inspect import isawaitable
from typing import Any

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from shaken.acceptance import Reaction, VerificationPolicy
from shaken.attestation import Attest, AttestPolicy, ForeignAttest
from shaken.audit import SYSTEM
from shaken.call_records import MAX_REQUEST_ID, TEST_REQUEST
from shaken.importing import Upload, import_certificate
from shaken.passport import DivClaims
from shaken.redirect.handler import Redirect
from shaken.redirection import Redirection
from shaken.signing import Signer
from shaken.snapshot import take_snapshot
from shaken.store.calls import CallRecord
from shaken.store.tenants import add_trunk, replace_trunk
from shaken.tenants import Direction, Tenant, Trunk
from shaken.verifier import InboundCall
from sip.message import Request, Response
from sip.reception import AnswerOrWait, Source, Stateless
from sip.stages import at_once
from tests.shaken.redirect.invites import DEST, ORIG, PBX, invite
from tests.verification import X5U, Desk, fetched, identity
from trust.authority import Authority, Issued
from trust.certificate import CertificateKind
from trust.keys import MasterKey
from trust.roots import Purpose, read_root
from trust.store import roots
from trust.store.database import Database

FOREIGN = "12155557777"
ANOTHER = "12155550133"
"""A number of the tenant."""


class Bench:
    """A redirect handler of one trunk, whose settings a test changes, at a time that stands."""

    def __init__(
        self,
        database: Database,
        signer: Signer,
        trunk: Trunk,
        issued: Issued,
        now: int,
    ) -> None:
        self.now = now
        self.issued = issued
        self.records: list[CallRecord] = []
        self.desk = Desk(now, ())  # whom it trusts is in the store
        self._database = database
        self._trunk = trunk
        self._redirect = Redirect(
            signer,
            self.desk.verifier,
            self.records.append,
            lambda: self._snapshot,
            secret=b"secret",
            clock=lambda: float(self.now),
        )
        self.have()

    def have(self, **changes: Any) -> None:
        """Change the trunk; what is not given is as at first."""
        changes.setdefault("sip", Redirection(sources=(PBX.address,)))
        with self._database.changing() as change:
            replace_trunk(change, _changed(self._trunk, **changes))
        self._snapshot = take_snapshot(self._database)

    def sip(self, **settings: Any) -> None:
        """Change how the trunk is met."""
        self.have(sip=Redirection(sources=(PBX.address,), **settings))

    def ask(self, request: Request, source: Source = PBX) -> Response:
        """Ask for what is answered at once."""
        answer = self._answer(request, source)
        assert isinstance(answer, Response | Stateless)
        return answer.response if isinstance(answer, Stateless) else answer

    def _answer(self, request: Request, source: Source) -> AnswerOrWait:
        answer = self._redirect.answer(request, source)
        return at_once(answer) if isinstance(answer, Generator) else answer

    async def wait(self, request: Request) -> Response:
        """Ask for what takes a while."""
        answer = self._answer(request, PBX)
        assert isawaitable(answer)
        found = await answer
        assert isinstance(found, Response)
        return found

    def claims(self, answer: Response, *, ppt: str = "shaken") -> dict[str, Any]:
        """Verify the Identity of a type with a JOSE library; return what it claims."""
        key = ECKey.import_key(self.issued.private_key.public_key())
        found = []
        for value in answer.lines("Identity"):
            token, info, alg, kind = value.split(";")
            read = jws.deserialize_compact(
                token, key, registry=jws.JWSRegistry(strict_check_header=False)
            )
            assert info == f"info=<{read.headers()['x5u']}>"
            assert (alg, kind) == ("alg=ES256", f"ppt={read.headers()['ppt']}")
            if read.headers()["ppt"] == ppt:
                found.append(json.loads(read.payload))
        (claims,) = found
        return dict(claims)


def _changed(trunk: Trunk, **changes: Any) -> Trunk:
    names = Trunk.__dataclass_fields__
    return Trunk(**{name: changes.get(name, getattr(trunk, name)) for name in names})


@pytest.fixture
def issued(
    database: Database, master: MasterKey, lab_ca: Authority, tenant: Tenant, now: int
) -> Issued:
    """The tenant's certificate, in the store, and its root among the trusted ones."""
    with database.changing() as change:
        roots.add(change, read_root(lab_ca.root_pem, Purpose.STI))
    made = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    upload = Upload(
        kind=CertificateKind.STI,
        certificate=made.chain_pem,
        private_key=made.key_pem,
        tenant=tenant.address,
    )
    import_certificate(database, master, upload, actor=SYSTEM, now=now, lab=False)
    return made


@pytest.fixture
def bench(database: Database, signer: Signer, trunk: Trunk, issued: Issued, now: int) -> Bench:
    return Bench(database, signer, trunk, issued, now)


def calling(number: str, *more: tuple[str, str], **parts: str) -> Request:
    return invite(*more, caller=f"<sip:+{number}@pbx.example.com>", **parts)


# Signing


def test_a_call_is_signed_recorded_and_sent_back(bench: Bench, trunk: Trunk) -> None:
    answer = bench.ask(invite())

    assert answer.status == 302
    assert bench.claims(answer) == {
        "attest": "A",
        "dest": {"tn": [DEST]},
        "iat": bench.now,
        "orig": {"tn": ORIG},
        "origid": trunk.origid,
    }
    (record,) = bench.records
    assert (record.kind, record.attest, record.orig, record.dest) == ("signed", "A", ORIG, DEST)
    assert (record.credential, record.trunk) == (f"sip:{PBX.address}", trunk.name)
    assert (record.tenant, record.request_id) == (trunk.tenant, "call-1")


@pytest.mark.parametrize(
    ("usual", "foreign", "number", "asked", "given"),
    [
        ("A", "B", ORIG, None, "A"),
        ("A", "B", ORIG, "A", "A"),
        ("A", "B", ORIG, "B", "B"),
        ("A", "B", ORIG, "C", "C"),
        ("B", "B", ORIG, "A", "B"),
        ("C", "B", ORIG, "A", "C"),
        ("A", "B", FOREIGN, None, "B"),
        ("A", "B", FOREIGN, "A", "B"),
        ("A", "B", FOREIGN, "C", "C"),
        ("A", "C", FOREIGN, "A", "C"),
        ("B", "A", FOREIGN, "A", "B"),
        ("A", "refuse", ORIG, None, "A"),
        ("A", "refuse", FOREIGN, None, None),
        ("A", "refuse", FOREIGN, "C", None),
    ],
)
def test_a_call_may_ask_for_less_attestation_and_never_for_more(
    bench: Bench, usual: str, foreign: str, *, number: str, asked: str | None, given: str | None
) -> None:
    bench.have(attest=AttestPolicy(Attest(usual), ForeignAttest(foreign)))
    more = () if asked is None else (("P-Attestation-Indicator", asked),)

    answer = bench.ask(calling(number, *more))

    if given is None:
        assert (answer.status, answer.header("Identity")) == (403, None)
        assert "none of the tenant's numbers" in str(answer.header("Reason"))
        assert bench.records == []
    else:
        assert bench.claims(answer)["attest"] == given


@pytest.mark.parametrize(
    ("ago", "is_used"), [(0, True), (60, True), (61, False), (-15, True), (-16, False)]
)
def test_a_date_is_when_the_call_is_signed_while_it_is_fresh(
    bench: Bench, ago: int, *, is_used: bool
) -> None:
    then = bench.now - ago
    date = format_datetime(datetime.fromtimestamp(then, UTC), usegmt=True)

    answer = bench.ask(invite(("Date", date)))

    assert bench.claims(answer)["iat"] == (then if is_used else bench.now)
    told = f'399 shaken "Date is {abs(ago)} s from now, verifiers may refuse it: set the clock"'
    assert answer.header("Warning") == (None if is_used else told)


def test_an_anonymous_caller_is_signed_for_when_it_is_asserted_who_that_is(bench: Bench) -> None:
    anonymous = "<sip:anonymous@anonymous.invalid>"

    nobody = bench.ask(invite(caller=anonymous))
    asserted = bench.ask(invite(("P-Asserted-Identity", f"<tel:+{ANOTHER}>"), caller=anonymous))

    assert nobody.status == 403
    assert "P-Asserted-Identity" in str(nobody.header("Reason"))
    assert bench.claims(asserted)["orig"] == {"tn": ANOTHER}


def test_without_a_certificate_no_call_passes_as_signed(
    database: Database, signer: Signer, trunk: Trunk, lab_ca: Authority, now: int
) -> None:
    spare = lab_ca.issue_sti(spc="1234", now=datetime.fromtimestamp(now, UTC))
    bench = Bench(database, signer, trunk, spare, now)

    answer = bench.ask(invite())

    assert (answer.status, answer.header("Contact")) == (503, None)
    assert "import one" in str(answer.header("Reason"))
    assert bench.records == []


# Diversions


def diverted_by(number: str) -> tuple[str, str]:
    return ("Diversion", f"<tel:+{number}>;reason=unconditional")


def test_a_diverted_call_is_signed_with_its_diversion_and_verifies(bench: Bench) -> None:
    bench.sip(divert=True)

    answer = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))

    own = bench.claims(answer)
    assert (own["orig"], own["dest"], own["attest"]) == ({"tn": FOREIGN}, {"tn": [ANOTHER]}, "B")
    assert bench.claims(answer, ppt="div") == {
        "dest": {"tn": [DEST]},
        "div": {"tn": ANOTHER},
        "iat": bench.now,
        "orig": {"tn": FOREIGN},
    }
    assert [record.attest for record in bench.records] == ["B", ""]
    bench.have(direction=Direction.VERIFY)
    url = own_url(answer)
    bench.desk.publish(bench.issued, url)
    headers = [("Identity", value) for value in answer.lines("Identity")]
    checked = bench.ask(calling(FOREIGN, *headers))
    assert (checked.header("P-Attestation-Indicator"), checked.header("Reason")) == ("B", None)


def own_url(answer: Response) -> str:
    return answer.lines("Identity")[0].partition("info=<")[2].partition(">")[0]


def test_a_diverted_call_that_has_an_identity_gets_a_diversion_only(
    bench: Bench, lab_ca: Authority
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    carrier = lab_ca.issue_sti(spc="4321", now=datetime.fromtimestamp(bench.now, UTC))
    original = identity(carrier, bench.now, orig={"tn": FOREIGN}, dest={"tn": [ANOTHER]})
    request = calling(FOREIGN, ("Identity", original), diverted_by(ANOTHER))

    answer = bench.ask(request)

    assert len(answer.lines("Identity")) == 1
    assert bench.claims(answer, ppt="div")["orig"] == {"tn": FOREIGN}
    bench.have(direction=Direction.VERIFY)
    bench.desk.publish(bench.issued, own_url(answer))
    bench.desk.publish(carrier, X5U)
    both = [("Identity", original), ("Identity", answer.lines("Identity")[0])]
    assert bench.ask(calling(FOREIGN, *both)).header("P-Attestation-Indicator") == "A"


@pytest.mark.parametrize("orig", [{"tn": FOREIGN}, {"tn": f"+{ORIG}"}, {"uri": f"tel:{ORIG}"}])
def test_no_diversion_is_signed_of_a_call_whose_identity_is_of_another_caller(
    bench: Bench, orig: object
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig=orig, dest={"tn": [ANOTHER]})

    answer = bench.ask(calling(ORIG, ("Identity", original), diverted_by(ANOTHER)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert "another caller" in str(answer.header("Reason"))
    assert bench.records == []


def test_of_several_identities_one_of_the_caller_is_enough_for_a_diversion(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    strange, own = (
        ("Identity", identity(bench.issued, bench.now, orig={"tn": number}, dest={"tn": [ANOTHER]}))
        for number in (FOREIGN, ORIG)
    )

    answer = bench.ask(calling(ORIG, strange, own, diverted_by(ANOTHER)))

    assert bench.claims(answer, ppt="div")["orig"] == {"tn": ORIG}
    assert len(answer.lines("Identity")) == 1


def test_nothing_is_recorded_of_a_diverted_call_that_is_refused(bench: Bench) -> None:
    bench.have(
        attest=AttestPolicy(Attest.A, ForeignAttest.REFUSE),
        sip=Redirection(sources=(PBX.address,), divert=True),
    )

    answer = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert bench.records == []


@pytest.mark.parametrize(
    "orig", [{}, {"tn": FOREIGN, "uri": "sip:a@b"}, {"tn": 1}, "text", None, {"tn": [FOREIGN]}]
)
def test_an_identity_that_names_no_caller_is_none(bench: Bench, orig: object) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig=orig)

    answer = bench.ask(calling(ORIG, ("Identity", original), diverted_by(ANOTHER)))

    assert bench.claims(answer, ppt="div")["orig"] == {"tn": ORIG}
    assert bench.claims(answer)["dest"] == {"tn": [ANOTHER]}


def test_nobody_says_of_a_foreign_number_that_it_diverts(bench: Bench) -> None:
    bench.sip(divert=True)

    answer = bench.ask(calling(ORIG, diverted_by(FOREIGN)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert FOREIGN in str(answer.header("Reason"))
    assert bench.records == []


def test_a_call_that_a_nameless_party_diverted_is_signed_for_whom_it_goes_to(bench: Bench) -> None:
    bench.sip(divert=True)
    private = ("Diversion", "<sip:anonymous@anonymous.invalid>;reason=unconditional;privacy=full")

    answer = bench.ask(invite(private))

    assert bench.claims(answer)["dest"] == {"tn": [DEST]}
    assert len(answer.lines("Identity")) == 1


def test_a_diversion_is_not_signed_unless_the_trunk_asks_for_it(bench: Bench) -> None:
    answer = bench.ask(invite(diverted_by(FOREIGN)))

    assert bench.claims(answer)["dest"] == {"tn": [DEST]}
    assert len(answer.lines("Identity")) == 1


@pytest.mark.parametrize("named", ["sip:199@10.0.0.1", "sip:unknown@unknown.example.com"])
def test_who_diverts_by_an_extension_is_whom_the_identity_leads_to(
    bench: Bench, named: str
) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig={"tn": FOREIGN}, dest={"tn": [ANOTHER]})
    diverted = ("Diversion", f"<{named}>;reason=unconditional")

    answer = bench.ask(calling(FOREIGN, ("Identity", original), diverted))

    assert bench.claims(answer, ppt="div")["div"] == {"tn": ANOTHER}


def test_each_diversion_behind_the_identity_that_came_is_signed(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    third = str(int(ANOTHER) + 1)
    original = identity(bench.issued, bench.now, orig={"tn": FOREIGN}, dest={"tn": [ANOTHER]})
    both = (diverted_by(third), diverted_by(ANOTHER))

    answer = bench.ask(calling(FOREIGN, ("Identity", original), *both))

    added = [("Identity", line) for line in answer.lines("Identity")]
    assert len(added) == 2
    bench.have(direction=Direction.VERIFY)
    bench.desk.publish(bench.issued, own_url(answer))
    bench.desk.publish(bench.issued, X5U)
    checked = bench.ask(calling(FOREIGN, ("Identity", original), *added))
    assert (checked.header("P-Attestation-Indicator"), checked.header("Reason")) == ("A", None)


def test_a_diversion_goes_on_from_where_those_that_came_have_led(bench: Bench) -> None:
    bench.sip(divert=True)
    third = str(int(ANOTHER) + 1)
    first = bench.ask(calling(FOREIGN, diverted_by(ANOTHER), uri=f"tel:+{third}"))
    came = [("Identity", line) for line in first.lines("Identity")]
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    both = (diverted_by(third), diverted_by(ANOTHER))

    answer = bench.ask(calling(FOREIGN, *came, *both))

    claims = bench.claims(answer, ppt="div")
    assert (claims["div"], claims["dest"]) == ({"tn": third}, {"tn": [DEST]})


def test_no_diversion_is_signed_that_does_not_join_the_identity_that_came(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN, sip=Redirection(sources=(PBX.address,), divert=True))
    original = identity(bench.issued, bench.now, orig={"tn": ORIG}, dest={"tn": [FOREIGN]})

    answer = bench.ask(calling(ORIG, ("Identity", original), diverted_by(ANOTHER)))

    assert (answer.status, answer.header("Identity")) == (403, None)
    assert f"leads to {FOREIGN}" in str(answer.header("Reason"))
    assert bench.records == []


def test_claims_of_a_diversion_are_in_the_order_of_the_rfc() -> None:
    assert list(msgspec.structs.fields(DivClaims)) == sorted(
        msgspec.structs.fields(DivClaims), key=lambda field: field.name
    )


# Verification


def test_what_was_signed_verifies(bench: Bench, trunk: Trunk) -> None:
    answer = bench.ask(invite())
    bench.desk.publish(bench.issued, own_url(answer))

    checked = bench.ask(invite(("Identity", answer.lines("Identity")[0])))

    assert checked.header("P-Attestation-Indicator") == "A"
    assert checked.header("P-Origination-ID") == trunk.origid
    assert ";verstat=TN-Validation-Passed@" in str(checked.header("P-Asserted-Identity"))
    record = bench.records[-1]
    assert (record.kind, record.verstat, record.action) == (
        "verified",
        "TN-Validation-Passed",
        "accept",
    )
    assert (record.request_id, record.tenant) == ("call-1", trunk.tenant)


async def test_a_certificate_that_is_not_at_hand_is_waited_for(bench: Bench) -> None:
    bench.desk.files.elsewhere[X5U] = fetched(bench.issued.certificate)

    checked = await bench.wait(invite(("Identity", identity(bench.issued, bench.now))))

    assert checked.header("P-Attestation-Indicator") == "A"
    assert len(bench.records) == 1


def test_another_called_number_is_found(bench: Bench) -> None:
    bench.desk.publish(bench.issued)
    header = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]})

    checked = bench.ask(invite(("Identity", header)))

    assert checked.header("Reason") == 'STIR;cause=438;text="Invalid Identity Header"'
    assert checked.header("P-Attestation-Indicator") is None
    assert "dest" in str(checked.header("Warning"))


def ppi(header: str) -> str:
    """The compact form of a header's PASSporT, as a Reason names it (RFC 9410 §5)."""
    return f"..{header.partition(';')[0].rpartition('.')[2]}"


def test_of_several_identities_each_that_does_not_hold_is_named_even_where_one_does(
    bench: Bench,
) -> None:
    bench.desk.publish(bench.issued)
    holds = identity(bench.issued, bench.now)
    other = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]})
    old = identity(bench.issued, bench.now - 120)
    request = invite(("Identity", other), ("Identity", holds), ("Identity", old))

    checked = bench.ask(request)

    assert ";verstat=TN-Validation-Passed@" in str(checked.header("P-Asserted-Identity"))
    assert checked.lines("Reason") == (
        f'STIR;cause=438;text="Invalid Identity Header";ppi="{ppi(other)}"',
        f'STIR;cause=403;text="Stale Date";ppi="{ppi(old)}"',
    )


def test_the_reason_that_decides_comes_first(bench: Bench) -> None:
    bench.have(verification=VerificationPolicy(stale=Reaction.REJECT))
    bench.desk.publish(bench.issued)
    old = identity(bench.issued, bench.now - 120)
    wrong = identity(bench.issued, bench.now, dest={"tn": [FOREIGN]}, attest="C")

    checked = bench.ask(invite(("Identity", wrong), ("Identity", old)))

    assert checked.status == 403
    assert [line.partition(";text")[0] for line in checked.lines("Reason")] == [
        "STIR;cause=403",
        "STIR;cause=438",
    ]


def test_what_cannot_be_read_of_several_identities_has_a_reason_without_its_name(
    bench: Bench,
) -> None:
    bench.desk.publish(bench.issued)
    holds = identity(bench.issued, bench.now)

    checked = bench.ask(invite(("Identity", holds), ("Identity", "nonsense;ppt=shaken")))

    assert checked.lines("Reason") == ('STIR;cause=436;text="Bad Identity Info"',)


def test_a_diversion_that_does_not_hold_is_named_and_the_call_it_diverts_is_not(
    bench: Bench,
) -> None:
    bench.sip(divert=True)
    answer = bench.ask(calling(FOREIGN, diverted_by(ANOTHER)))
    original, diversion = answer.lines("Identity")
    bench.have(direction=Direction.VERIFY)
    bench.desk.publish(bench.issued, own_url(answer))
    signature = ppi(diversion)[2:]
    broken = diversion.replace(signature, f"{signature[:40].swapcase()}{signature[40:]}")

    checked = bench.ask(calling(FOREIGN, ("Identity", original), ("Identity", broken)))

    assert ";verstat=TN-Validation-Failed@" in str(checked.header("P-Asserted-Identity"))
    assert checked.lines("Reason") == (
        f'STIR;cause=438;text="Invalid Identity Header";ppi="{ppi(broken)}"',
    )


def test_the_verifier_is_told_what_the_invite_says(
    bench: Bench, trunk: Trunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[InboundCall] = []
    verify = bench.desk.verifier.verify_in_stages

    def overhear(call: InboundCall, *settings: Any, **more: Any) -> Any:
        asked.append(call)
        return verify(call, *settings, **more)

    monkeypatch.setattr(bench.desk.verifier, "verify_in_stages", overhear)
    date = format_datetime(datetime.fromtimestamp(bench.now - 5, UTC), usegmt=True)
    more = (("Identity", "nonsense"), ("Date", date), ("Resource-Priority", "ets.0"))

    bench.ask(invite(*more, uri=f"sip:+{ANOTHER}@sip.example.com"))

    assert asked == [
        InboundCall(
            headers=("nonsense",),
            orig=ORIG,
            dest=(DEST,),
            now=bench.now,
            time=bench.now - 5,
            name="call call-1",
            scope=trunk.tenant,
            target=(ANOTHER,),
            protected=("Resource-Priority: ets.0",),
        )
    ]


def test_a_call_id_named_like_a_test_call_means_the_call_it_means_over_http(
    bench: Bench, lab_ca: Authority, trunk: Trunk
) -> None:
    bench.desk.publish(bench.issued)
    bench.desk.roots = (lab_ca.root,)
    header = identity(bench.issued, bench.now)
    bench.ask(invite(("Identity", header), call_id=f"{TEST_REQUEST}1"))

    def replayed(name: str) -> bool:
        return bench.desk.at_once(header, name=name, scope=trunk.tenant).replayed

    assert not replayed(f"call {TEST_REQUEST}1"), "as `callId` names it over HTTP"
    assert replayed(f"call call {TEST_REQUEST}1")
    assert bench.records[-1].request_id == f"call {TEST_REQUEST}1"


def test_of_a_long_call_id_so_much_is_kept_as_of_what_http_clients_send(bench: Bench) -> None:
    bench.ask(invite(call_id="c" * 200))

    assert bench.records[-1].request_id == "c" * MAX_REQUEST_ID


@pytest.mark.parametrize(
    ("policy", "status"),
    [(VerificationPolicy(), 302), (VerificationPolicy(invalid=Reaction.REJECT), 438)],
)
def test_the_policy_decides_about_a_caller_whose_number_is_none(
    bench: Bench, policy: VerificationPolicy, status: int
) -> None:
    bench.have(verification=policy)
    bench.desk.publish(bench.issued)
    strange = "1215555010012345"

    checked = bench.ask(calling(strange, ("Identity", identity(bench.issued, bench.now))))

    assert (checked.status, checked.header("Reason")) == (
        status,
        'STIR;cause=438;text="Invalid Identity Header"',
    )
    (record,) = bench.records
    assert (record.orig, record.verstat) == (
        f"sip:+{strange}@pbx.example.com",
        "TN-Validation-Failed",
    )


@pytest.mark.parametrize("caller", ["<tel:anonymous>", "<sip:+1215555010012345@pbx;user=phone>"])
def test_a_caller_who_cannot_be_told_is_not_validated(bench: Bench, caller: str) -> None:
    bench.have(direction=Direction.VERIFY)

    checked = bench.ask(invite(("P-Attestation-Indicator", "Full"), caller=caller))

    assert checked.status == 302
    assert "verstat=No-TN-Validation" in str(checked.header("P-Asserted-Identity"))


def test_a_stale_message_is_found_by_its_date(bench: Bench) -> None:
    bench.desk.publish(bench.issued)
    date = format_datetime(datetime.fromtimestamp(bench.now - 90, UTC), usegmt=True)
    request = invite(("Identity", identity(bench.issued, bench.now)), ("Date", date))

    assert bench.ask(request).header("Reason") == 'STIR;cause=403;text="Stale Date"'


# Who is answered, and how


def test_a_stranger_is_refused_without_being_remembered(bench: Bench) -> None:
    stranger = Source("UDP", "198.51.100.1", 5060)
    for method in ("INVITE", "OPTIONS", "BYE"):
        answers = [bench._redirect.answer(invite(method=method), stranger) for _ in range(2)]

        assert all(isinstance(answer, Stateless) for answer in answers)
        first, second = (
            answer.response.serialise() for answer in answers if isinstance(answer, Stateless)
        )
        assert first == second
        assert first.startswith(b"SIP/2.0 403 Forbidden\r\n")
    assert not bench._redirect.is_known(stranger)
    assert bench.records == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (invite(method="OPTIONS"), 200),
        (invite(method="BYE"), 405),
        (invite(method="FOO"), 501),
        (invite(called="<sip:+12155559999@sip.example.com>;tag=2"), 481),
        (invite(uri="http://example.com"), 416),
        (invite(("Attestation", "Z")), 400),
        (invite(caller="<mailto:alice@example.com>"), 400),
        (invite(("P-Asserted-Identity", "<")), 400),
    ],
)
def test_what_is_no_call_to_be_signed_gets_its_answer(
    bench: Bench, request_: Request, status: int
) -> None:
    answer = bench.ask(request_)

    assert (answer.status, answer.header("Identity")) == (status, None)
    assert bench.records == []


def test_a_trunk_that_verifies_signs_nothing(bench: Bench) -> None:
    bench.have(direction=Direction.VERIFY)

    answer = bench.ask(invite())

    assert (answer.status, answer.header("Identity")) == (302, None)
    assert "No-TN-Validation" in str(answer.header("P-Asserted-Identity"))


def test_a_trunk_that_signs_verifies_nothing(bench: Bench) -> None:
    bench.have(direction=Direction.SIGN)

    answer = bench.ask(invite(("Identity", "nonsense")))

    assert bench.claims(answer)["orig"] == {"tn": ORIG}


def test_trunks_of_one_address_that_nothing_tells_apart_are_told_to_say_more(
    bench: Bench, database: Database, trunk: Trunk
) -> None:
    with database.changing() as change:
        add_trunk(change, _changed(trunk, name="twin", sip=Redirection(sources=(PBX.address,))))
    bench.have()

    answer = bench.ask(invite())

    assert answer.status == 403
    assert "several trunks may be meant" in str(answer.header("Reason"))


def test_the_networks_of_a_trunk_hold_over_sip_too(bench: Bench) -> None:
    sip = Redirection(sources=("198.51.100.7",))
    bench.have(sip=sip)  # its networks are 192.0.2.0/24

    assert bench.ask(invite(), Source("UDP", "198.51.100.7", 5060)).status == 403


def test_a_failing_signer_is_not_hidden(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(bench._redirect, "_sign", fail)
    with pytest.raises(RuntimeError):
        bench.ask(invite())
