"""PASSporTs of all types, signed by a JOSE library that knows nothing of the service.

Each kind of signer has a URL of its own: the caller's provider, and whoever diverts the call.
"""

import json
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from tests.verification import DEST, ORIG, ORIGID, X5U
from trust.authority import Issued

CALLED = DEST
"""Whom the call is for at first."""

HOPS = tuple(f"1215555800{number}" for number in range(1, 8))
"""Where it is diverted to, one after the other."""

DIVERTER = "https://diverter.example.com/d.pem"

MEMBERS = jws.JWSRegistry(strict_check_header=False)


def signed(issued: Issued, ppt: str, claims: dict[str, Any], *, x5u: str = X5U) -> str:
    """Sign claims; those that are None are left out."""
    header = {"alg": "ES256", "ppt": ppt, "typ": "passport", "x5u": x5u}
    body = json.dumps({name: value for name, value in claims.items() if value is not None})
    key = ECKey.import_key(issued.key_pem)
    return jws.serialize_compact(header, body.encode(), key, registry=MEMBERS)


def header_of(token: str, ppt: str, *, x5u: str = X5U) -> str:
    """Write the value of the Identity header of a token."""
    return f"{token};info=<{x5u}>;alg=ES256;ppt={ppt}"


class Calls:
    """Writes the Identity headers of a call from ORIG to CALLED that is diverted along HOPS."""

    def __init__(self, caller: Issued, diverter: Issued, now: int) -> None:
        """Take who signs for the caller, who for those that divert, and the present."""
        self._caller = caller
        self._diverter = diverter
        self.now = now

    def shaken_token(self, **claims: Any) -> str:
        """Sign the call as it was at first."""
        made = {"attest": "A", "origid": ORIGID, **self._parties(CALLED), **claims}
        return signed(self._caller, "shaken", made)

    def shaken(self, **claims: Any) -> str:
        """Write its header."""
        return header_of(self.shaken_token(**claims), "shaken")

    def beside(self, ppt: str, **claims: Any) -> str:
        """Write the header of another PASSporT of the caller's provider."""
        made = signed(self._caller, ppt, {**self._parties(CALLED), **claims})
        return header_of(made, ppt)

    def div_token(self, one: str, other: str, ppt: str = "div", **claims: Any) -> str:
        """Sign that the call was diverted from one to another."""
        made = {**self._parties(other), "div": {"tn": one}, **claims}
        return signed(self._diverter, ppt, made, x5u=DIVERTER)

    def div(self, one: str, other: str, **claims: Any) -> str:
        """Write its header."""
        return header_of(self.div_token(one, other, **claims), "div", x5u=DIVERTER)

    def chain(self, length: int) -> list[str]:
        """Write the headers of a call that was diverted some times, in their order."""
        parties = (CALLED, *HOPS)
        return [self.shaken(), *(self.div(parties[i], parties[i + 1]) for i in range(length))]

    def nested(self, length: int, innermost: str | None = None) -> str:
        """Write the header of a call that was diverted some times, each PASSporT in the next."""
        parties = (CALLED, *HOPS)
        token = self.shaken_token() if innermost is None else innermost
        for i in range(length):
            token = self.div_token(parties[i], parties[i + 1], "div-o", opt=token)
        return header_of(token, "div-o", x5u=DIVERTER)

    def _parties(self, dest: str) -> dict[str, Any]:
        return {"orig": {"tn": ORIG}, "dest": {"tn": [dest]}, "iat": self.now}
