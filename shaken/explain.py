"""Headers, tokens and certificates in words that a support engineer understands. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shaken.acceptance import REASONS
from shaken.addresses import UrlPolicy, check_url, check_x5u
from shaken.config import VerificationSettings
from shaken.diversion import MAX_LINKS
from shaken.identities import open_with_held
from shaken.passport import Passport, PassportError, decode
from shaken.rich_call_data import CLAIMS, DigestStatus, RichCallData, examine_rich_call_data
from shaken.verification import Opened, foresee
from sip.identity import Identity, IdentityError, parse_each, strip_header_name
from trust.certificate import UNREADABLE, Certificate, CertificateRefused
from trust.key_kinds import public_key_of
from trust.pem import read_pem
from trust.profiles import check_sti
from trust.tnauthlist import Spc, TnAuthListError, TnRange

ATTEST_WORDS = {
    "A": "full: the signer knows the customer, and that the customer may use this number",
    "B": "partial: the signer knows the customer, but not whether the number is theirs",
    "C": "gateway: the call only entered the signer's network here; nothing more is known",
}

_PPT_WORDS = {
    "shaken": "a SHAKEN statement of who calls whom",
    "div": "a statement that the call was diverted",
    "div-o": "a statement that the call was diverted, with the PASSporT it had before inside",
    "rph": "a statement of the call's priority",
    "rcd": "a statement of the caller's name and reason",
}

_DATA_WORDS = {
    "nam": "the caller's name",
    "apn": "another number to show",
    "icn": "where the caller's logo is",
    "jcd": "the caller's card (jCard)",
    "jcl": "where the caller's card is",
}

_DIGEST_WORDS = {
    DigestStatus.PASS: "the digest fits",
    DigestStatus.FAIL: "the digest does not fit: nothing of the data is to be shown",
    DigestStatus.UNCHECKED: "a digest of what a URL leads to, which is not checked",
}


@dataclass(frozen=True)
class Fact:
    """Something that is said, in printable characters; `name` is empty where words say it all."""

    name: str
    words: str

    def __str__(self) -> str:
        return f"  {self.name:<12} {self.words}" if self.name else f"  {self.words}"


Line = Fact | str
"""A fact, or the heading of those that follow."""


class NotExplained(Exception):  # noqa: N818 - an outcome the caller expects
    """The text is none of the things explained here; the message says why."""


def explain(text: str, *, now: datetime) -> Iterator[str]:
    """Explain an Identity header (one or several values), a bare token, or PEM certificates.

    Yields lines. Raises NotExplained before the first line when the text is something else.
    """
    stripped = text.strip()
    if "-----BEGIN" in stripped:
        return _written(_certificates(stripped, now))
    if ";" not in stripped and stripped.count(".") == 2:
        return _written(_passport(_decoded(stripped), now))
    found = parse_each(strip_header_name(stripped))
    if all(isinstance(each, IdentityError) for each in found):
        why = found[0] if found else "it is empty"
        raise NotExplained(f"this is no Identity header: {why}")
    return _written(_identities(found, now))


def explain_identity(identity: Identity, *, now: datetime) -> Iterator[Line]:
    """Tell what an Identity header says; nothing of it is verified."""
    yield _fact("info", f"{identity.info}: where the signer's certificate is fetched")
    yield from _url_doubts(identity.info)
    yield _fact("alg", identity.alg or "left out, which means ES256")
    ppt = identity.ppt or ""
    yield _fact("ppt", f"{ppt or 'left out'}: {_PPT_WORDS.get(ppt.lower(), 'not known here')}")
    for name, value in identity.extensions:
        yield _fact(name, f"{value or ''}: an extension")
    if identity.is_compact:
        yield _fact(
            "", "The token is in compact form: header and claims are left out, and verifiers"
        )
        yield _fact("", "of SHAKEN refuse it (RFC 8588 §5).")
    passport = _readable(identity.token)
    if passport is not None:
        yield from _passport(passport, now)


def explain_certificate(certificate: Certificate, *, now: datetime) -> Iterator[Fact]:
    """Explain a certificate that may sign or not."""
    yield _fact("subject", certificate.subject)
    yield _fact("issued by", certificate.issuer)
    yield _fact("valid", _validity(certificate, now))
    yield _fact("key", _key(certificate.leaf))
    yield from _authorised(certificate)
    yield _fact("fingerprint", f"{certificate.fingerprint} (SHA-256)")
    try:
        check_sti(certificate, now=now)
    except CertificateRefused as error:
        yield _fact("", f"It cannot sign SHAKEN calls: {error.detail}")
    else:
        yield _fact("", "It is fit to sign SHAKEN calls, where its issuer is trusted.")


def _identities(found: Sequence[Identity | IdentityError], now: datetime) -> Iterator[Line]:
    for number, identity in enumerate(found, start=1):
        if len(found) > 1:
            yield f"Identity header {number} of {len(found)}"
        if isinstance(identity, IdentityError):
            yield _fact("", f"It cannot be read: {identity}")
            continue
        yield from explain_identity(identity, now=now)
        for depth, opened in enumerate(open_with_held(identity)):
            yield from _foreseen(opened, now, depth)


def _readable(token: str) -> Passport | None:
    try:
        return decode(token)
    except PassportError:
        return None


def _foreseen(opened: Opened, now: datetime, depth: int) -> Iterator[Line]:
    """Tell how far a header, or what one holds, comes before its certificate is looked at."""
    usual = VerificationSettings()
    steps = foresee(opened, now=int(now.timestamp()), freshness=usual.freshness, skew=usual.skew)
    held = "" if depth == 0 else f" of the PASSporT in opt, number {depth},"
    yield f"Verification{held} now, as far as it goes without the certificate"
    for step in steps:
        if step.code is not None:
            yield _fact("FAILS", f"{step.code} {REASONS[step.code]}: {step.words}")
            return
        yield _fact("ok", step.words)
    try:
        check_url(opened.identity.info if opened.identity else "", UrlPolicy())
    except ValueError as error:
        yield _fact("FAILS", f"436 {REASONS[436]}, but in a lab: {error}")
        return
    yield _fact("next", "certificate (436, 437) and signature (438): see `shaken verify`")


def _decoded(token: str) -> Passport:
    try:
        return decode(token)
    except PassportError as error:
        raise NotExplained(f"this is no PASSporT: {error}") from error


def _passport(passport: Passport, now: datetime) -> Iterator[Line]:
    yield "PASSporT (not verified: that needs the certificate, see `shaken verify`)"
    yield from _claims(passport, now)
    for number in range(1, MAX_LINKS + 1):
        opt = passport.claims.get("opt")
        inner = _readable(opt) if isinstance(opt, str) else None
        if inner is None:
            return
        passport = inner
        yield f"PASSporT in opt, number {number}, of type {ascii(passport.header.get('ppt'))[:40]}"
        yield from _claims(passport, now)


def _claims(passport: Passport, now: datetime) -> Iterator[Fact]:
    claims, ppt = passport.claims, passport.header.get("ppt")
    yield _fact("x5u", passport.x5u or "missing")
    yield _fact("orig", f"{_parties(claims.get('orig'))}: who calls")
    yield _fact("dest", f"{_parties(claims.get('dest'))}: who is called")
    yield _fact("iat", _time(claims.get("iat"), now))
    if "attest" in claims or ppt == "shaken":
        attest = claims.get("attest")
        words = ATTEST_WORDS.get(str(attest), "none of A, B, C: verifiers answer 438")
        yield _fact("attest", f"{attest}: {words}")
        yield _fact(
            "origid", f"{claims.get('origid')}: the signer's own mark of where it came from"
        )
    if "div" in claims or ppt in {"div", "div-o"}:
        yield _fact("div", f"{_parties(claims.get('div'))}: who diverted the call to dest")
    if "opt" in claims or ppt == "div-o":
        is_read = isinstance(claims.get("opt"), str) and _readable(claims["opt"]) is not None
        words = "see below" if is_read else "missing, or none that can be read"
        yield _fact("opt", f"the PASSporT that the call had before: {words}")
    if "rph" in claims or ppt == "rph":
        yield _fact("rph", f"{_parties(claims.get('rph'))}: the priority that the call may have")
    if "sph" in claims:
        yield _fact("sph", f"{ascii(claims['sph'])[:80]}: a call back from an emergency centre")
    told = {"orig", "dest", "iat", "attest", "origid", "div", "opt", "rph", "sph"}
    if (rich := examine_rich_call_data(claims)) is not None:
        yield from _rich_call_data(rich)
        told |= set(CLAIMS)
    for name in sorted(claims.keys() - told):
        yield _fact(name, ascii(claims[name])[:200])


def _rich_call_data(rich: RichCallData) -> Iterator[Fact]:
    for name, value in rich.data.items():
        words = _DATA_WORDS.get(name, "not known here")
        yield _fact(f"rcd {name[:40]}", f"{ascii(value)[:200]}: {words}")
    if rich.reason is not None:
        yield _fact("crn", f"{ascii(rich.reason)[:200]}: why the caller calls")
    for pointer, status in rich.digests.items():
        yield _fact("rcdi", f"{ascii(pointer)[1:-1][:80]}: {_DIGEST_WORDS[status]}")
    if rich.fault is not None:
        yield _fact("rcd", f"does not hold: {rich.fault}")


def _certificates(text: str, now: datetime) -> Iterator[Line]:
    try:
        contents = read_pem(text)
    except CertificateRefused as error:
        raise NotExplained(error.detail) from error
    return _each_certificate(contents.certificates, len(contents.private_keys), now)


def _each_certificate(
    certificates: tuple[x509.Certificate, ...], keys: int, now: datetime
) -> Iterator[Line]:
    for number, each in enumerate(certificates, start=1):
        yield f"Certificate {number} of {len(certificates)}"
        yield from explain_certificate(Certificate((each,)), now=now)
    if keys:
        yield "The text holds a private key too. Whoever has it can sign: do not pass it on."


def _url_doubts(url: str) -> Iterator[Fact]:
    try:
        check_x5u(url, lab=False)
    except ValueError as error:
        yield _fact("doubt", f"carriers would not fetch it: {error}")


def _validity(certificate: Certificate, now: datetime) -> str:
    start, end = certificate.not_before, certificate.not_after
    if now < start:
        word = "not yet valid"
    elif now > end:
        word = "expired"
    else:
        word = f"valid now, {(end - now).days} days left"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: {word}"


def _key(certificate: x509.Certificate) -> str:
    try:
        key = public_key_of(certificate)
    except UNREADABLE:
        return "of an unknown kind"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"elliptic curve {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size} bit"
    return type(key).__name__


def _authorised(certificate: Certificate) -> Iterator[Fact]:
    try:
        authorised = certificate.tn_auth_list
    except TnAuthListError as error:
        yield _fact("TNAuthList", f"cannot be read: {error}")
        return
    for entry in authorised.entries if authorised else ():
        if isinstance(entry, Spc):
            yield _fact("TNAuthList", f"provider {entry.code}: speaks for this provider's calls")
        elif isinstance(entry, TnRange):
            yield _fact("TNAuthList", f"numbers {entry.start} to {entry.last}")
        else:
            yield _fact("TNAuthList", f"number {entry.number}")


def _parties(value: object) -> str:
    if not isinstance(value, dict):
        return "missing"
    found: list[Any] = []
    for member in value.values():
        found.extend(member if isinstance(member, list) else [member])
    return ", ".join(map(_party, found)) or "empty"


def _party(value: object) -> str:
    return ascii(value)[1:-1] if isinstance(value, str) else f"{value!a} (not a text)"


def _time(value: object, now: datetime) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return "missing or no integer: verifiers answer 438"
    try:
        moment = datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{value}: no time a clock could show"
    age = int((now - moment).total_seconds())
    when = f"{age} s ago" if age >= 0 else f"{-age} s in the future"
    return f"{value}, {moment:%Y-%m-%d %H:%M:%S} UTC, {when}; most verifiers allow 60 s"


def _written(lines: Iterable[Line]) -> Iterator[str]:
    return (_printable(str(line)) for line in lines)


def _fact(name: str, words: str) -> Fact:
    return Fact(_printable(name), _printable(words))


def _printable(line: str) -> str:
    """Show characters that would move the cursor, colour or reorder the line as escapes."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
