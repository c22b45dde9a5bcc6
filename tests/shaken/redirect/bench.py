"""A redirect handler as one trunk meets it."""

import json
from collections.abc import Generator
from inspect import isawaitable
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from shaken.redirect.handler import Redirect
from shaken.redirection import Redirection
from shaken.signing import Signer
from shaken.snapshot import take_snapshot
from shaken.store.calls import CallRecord
from shaken.store.tenants import replace_trunk
from shaken.tenants import Trunk
from sip.message import Request, Response
from sip.reception import AnswerOrWait, Source, Stateless
from sip.stages import at_once
from tests.shaken.redirect.invites import PBX, invite
from tests.verification import Desk
from trust.authority import Issued
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
            replace_trunk(change, changed(self._trunk, **changes))
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


def changed(trunk: Trunk, **changes: Any) -> Trunk:
    """A trunk of which something is different."""
    names = Trunk.__dataclass_fields__
    return Trunk(**{name: changes.get(name, getattr(trunk, name)) for name in names})


def calling(number: str, *more: tuple[str, str], **parts: str) -> Request:
    return invite(*more, caller=f"<sip:+{number}@pbx.example.com>", **parts)


def diverted_by(number: str) -> tuple[str, str]:
    return ("Diversion", f"<tel:+{number}>;reason=unconditional")


def own_url(answer: Response) -> str:
    return answer.lines("Identity")[0].partition("info=<")[2].partition(">")[0]
