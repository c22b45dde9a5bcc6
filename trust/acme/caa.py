"""Whether CAA records let an authority certify a name (RFC 8659, with RFC 8657's parameters).

The authority looks at them itself, at each order, and refuses; here they are looked at first, so
that a person learns what to change.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from trust.acme.lookup import CaaRecord, Resolver

CRITICAL = 128
"""The flag of a property that whoever does not know it must obey by refusing (RFC 8659 §4.1)."""

KNOWN = frozenset({"issue", "issuewild", "iodef", "issuemail", "issuevmc"})
"""Properties that authorities of TLS know, though the last three do not bind them."""

MAX_SHOWN = 200
"""Characters of somebody's records that a sentence quotes."""

_BLANK = " \t"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who is going to certify, and how.

    `domains` are the authority's `caaIdentities` (RFC 8555 §7.1.1), in lower case; `account` is the
    account's URL, None when it is not known; `method` the challenge, as in `http-01`.
    """

    domains: frozenset[str]
    account: str | None
    method: str


@dataclass(frozen=True, slots=True)
class Prohibition:
    """Records that do not let an issuer certify a name."""

    domain: str
    """Where they stand: the name or one above it."""
    records: tuple[CaaRecord, ...]
    issuer: Issuer
    tag: str
    """The property that decides: `issue`, or `issuewild`."""

    @property
    def words(self) -> str:
        """What they say, and what to change."""
        shown = ", ".join(map(str, self.records))[:MAX_SHOWN]
        shown = "".join(each if each.isprintable() else "?" for each in shown)
        wanted = min(self.issuer.domains)
        return (
            f"the CAA records of {self.domain} ({shown}) do not let {wanted} certify this name by"
            f" {self.issuer.method} for this account: add the record"
            f' 0 {self.tag} "{wanted}" to {self.domain}, or take another authority'
        )


def find_prohibition(name: str, *, issuer: Issuer, resolver: Resolver) -> Prohibition | None:
    """Return the records that forbid the issuer to certify a name, None: it may.

    The records nearest above the name decide (RFC 8659 §3). A wildcard name begins with `*.`. Where
    the issuer's domains are not known nothing is forbidden. Raises LookupFailed when records could
    not be looked up, which an authority takes for a prohibition.
    """
    if not issuer.domains:
        return None
    domain = name.removeprefix("*.")
    while domain:
        records = resolver.caa(domain)
        if records:
            tag = _deciding(records, wildcard=name.startswith("*."))
            allowed = _allow(records, issuer, tag=tag)
            return None if allowed else Prohibition(domain, records, issuer, tag)
        domain = domain.partition(".")[2]
    return None


def _deciding(records: Iterable[CaaRecord], *, wildcard: bool) -> str:
    """Return the property that decides: for a wildcard `issuewild`, if there is one (§4.3)."""
    is_wild = wildcard and any(record.tag == "issuewild" for record in records)
    return "issuewild" if is_wild else "issue"


def _allow(records: Iterable[CaaRecord], issuer: Issuer, *, tag: str) -> bool:
    relevant = []
    for record in records:
        if record.flags & CRITICAL and record.tag not in KNOWN:
            return False
        if record.tag == tag:
            relevant.append(record.value)
    return not relevant or any(_names(value, issuer) for value in relevant)


def _names(value: str, issuer: Issuer) -> bool:
    """Say whether an `issue` value names the issuer; one that is malformed names nobody (§4.2)."""
    domain, *rest = value.split(";")
    if domain.strip(_BLANK).lower() not in issuer.domains:
        return False
    parameters: dict[str, str] = {}
    for each in rest:
        tag, equals, text = (part.strip(_BLANK) for part in each.partition("="))
        if not (tag or equals):
            continue  # "ca.example;" has no parameter
        if not equals or tag.lower() in parameters:
            return False
        parameters[tag.lower()] = text
    account, methods = parameters.get("accounturi"), parameters.get("validationmethods")
    if account is not None and issuer.account is not None and account != issuer.account:
        return False
    return methods is None or issuer.method in (each.strip(_BLANK) for each in methods.split(","))
