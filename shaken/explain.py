"""Headers, tokens and certificates in words that a support engineer understands. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shaken.acceptance import REASONS
from shaken.addresses import UrlPolicy, check_url
from shaken.config import VerificationSettings, check_x5u
from shaken.passport import Passport, PassportError, decode
from shaken.verification import foresee
from sip.identity import Identity, IdentityError, parse_identities, strip_header_name
from trust.certificate import Certificate, CertificateRefused, check_sti
from trust.pem import read_pem
from trust.tnauthlist import Spc, TnAuthListError, TnRange

ATTEST_WORDS = {
    "A": "full: the signer knows the customer, and that the customer may use this number",
    "B": "partial: the signer knows the customer, but not whether the number is theirs",
    "C": "gateway: the call only entered the signer's network here; nothing more is known",
}

_PPT_WORDS = {
    "shaken": "a SHAKEN statement of who calls whom",
    "div": "a statement that the call was diverted",
    "rph": "a statement of the call's priority",
    "rcd": "a statement of the caller's name and reason",
}


class NotExplained(Exception):  # noqa: N818 - an outcome the caller expects
    """The text is none of the things explained here; the message says why."""


def explain(text: str, *, now: datetime) -> Iterator[str]:
    """Explain an Identity header (one or several values), a bare token, or PEM certificates.

    Yields lines. Raises NotExplained before the first line when the text is something else.
    """
    stripped = text.strip()
    if "-----BEGIN" in stripped:
        return map(_printable, _certificates(stripped, now))
    if ";" not in stripped and stripped.count(".") == 2:
        return map(_printable, _passport(_decoded(stripped), now))
    try:
        identities = parse_identities(strip_header_name(stripped))
    except IdentityError as error:
        raise NotExplained(f"this is no Identity header: {error}") from error
    return map(_printable, _identities(identities, now))


def explain_certificate(certificate: Certificate, *, now: datetime) -> Iterator[str]:
    """Explain a certificate that may sign or not."""
    yield f"  subject      {certificate.subject}"
    yield f"  issued by    {certificate.issuer}"
    yield f"  valid        {_validity(certificate, now)}"
    yield f"  key          {_key(certificate.leaf)}"
    yield from _authorised(certificate)
    yield f"  fingerprint  {certificate.fingerprint} (SHA-256)"
    try:
        check_sti(certificate, now=now)
    except CertificateRefused as error:
        yield f"  It cannot sign SHAKEN calls: {error.detail}"
    else:
        yield "  It is fit to sign SHAKEN calls, where its issuer is trusted."


def _identities(identities: tuple[Identity, ...], now: datetime) -> Iterator[str]:
    for number, identity in enumerate(identities, start=1):
        if len(identities) > 1:
            yield f"Identity header {number} of {len(identities)}"
        yield f"  info         {identity.info}: where the signer's certificate is fetched"
        yield from _url_doubts(identity.info)
        yield f"  alg          {identity.alg or 'left out, which means ES256'}"
        ppt = identity.ppt or ""
        yield f"  ppt          {ppt or 'left out'}: {_PPT_WORDS.get(ppt, 'not known here')}"
        for name, value in identity.extensions:
            yield f"  {name:<12} {value or ''}: an extension"
        if identity.is_compact:
            yield "  The token is in compact form: header and claims are left out, and verifiers"
            yield "  of SHAKEN refuse it (RFC 8588 §5)."
        passport = _readable(identity.token)
        if passport is not None:
            yield from _passport(passport, now)
        if ppt in {"", "shaken"}:
            yield from _foreseen(identity, now)


def _readable(token: str) -> Passport | None:
    try:
        return decode(token)
    except PassportError:
        return None


def _foreseen(identity: Identity, now: datetime) -> Iterator[str]:
    """Tell how far a header comes before its certificate is looked at."""
    usual = VerificationSettings()
    steps = foresee(identity, now=int(now.timestamp()), freshness=usual.freshness, skew=usual.skew)
    yield "Verification now, as far as it goes without the certificate"
    for step in steps:
        if step.code is not None:
            yield f"  FAILS        {step.code} {REASONS[step.code]}: {step.words}"
            return
        yield f"  ok           {step.words}"
    try:
        check_url(identity.info, UrlPolicy())
    except ValueError as error:
        yield f"  FAILS        436 {REASONS[436]}, but in a lab: {error}"
        return
    yield "  next         certificate (436, 437) and signature (438): see `shaken verify`"


def _decoded(token: str) -> Passport:
    try:
        return decode(token)
    except PassportError as error:
        raise NotExplained(f"this is no PASSporT: {error}") from error


def _passport(passport: Passport, now: datetime) -> Iterator[str]:
    claims = passport.claims
    yield "PASSporT (not verified: that needs the certificate, see `shaken verify`)"
    yield f"  x5u          {passport.x5u or 'missing'}"
    yield f"  orig         {_parties(claims.get('orig'))}: who calls"
    yield f"  dest         {_parties(claims.get('dest'))}: who is called"
    yield f"  iat          {_time(claims.get('iat'), now)}"
    if "attest" in claims or passport.header.get("ppt") == "shaken":
        attest = claims.get("attest")
        words = ATTEST_WORDS.get(str(attest), "none of A, B, C: verifiers answer 438")
        yield f"  attest       {attest}: {words}"
        yield f"  origid       {claims.get('origid')}: the signer's own mark of where it came from"
    for name in sorted(claims.keys() - {"orig", "dest", "iat", "attest", "origid"}):
        yield f"  {name:<12} {ascii(claims[name])[:200]}"


def _certificates(text: str, now: datetime) -> Iterator[str]:
    try:
        contents = read_pem(text)
    except CertificateRefused as error:
        raise NotExplained(error.detail) from error
    return _each_certificate(contents.certificates, len(contents.private_keys), now)


def _each_certificate(
    certificates: tuple[x509.Certificate, ...], keys: int, now: datetime
) -> Iterator[str]:
    for number, each in enumerate(certificates, start=1):
        yield f"Certificate {number} of {len(certificates)}"
        yield from explain_certificate(Certificate((each,)), now=now)
    if keys:
        yield "The text holds a private key too. Whoever has it can sign: do not pass it on."


def _url_doubts(url: str) -> Iterator[str]:
    try:
        check_x5u(url, lab=False)
    except ValueError as error:
        yield f"               carriers would not fetch it: {error}"


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
        key = certificate.public_key()
    except ValueError:
        return "of an unknown kind"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"elliptic curve {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size} bit"
    return type(key).__name__


def _authorised(certificate: Certificate) -> Iterator[str]:
    try:
        authorised = certificate.tn_auth_list
    except TnAuthListError as error:
        yield f"  TNAuthList   cannot be read: {error}"
        return
    for entry in authorised.entries if authorised else ():
        if isinstance(entry, Spc):
            yield f"  TNAuthList   provider {entry.code}: speaks for this provider's calls"
        elif isinstance(entry, TnRange):
            yield f"  TNAuthList   numbers {entry.start} to {entry.last}"
        else:
            yield f"  TNAuthList   number {entry.number}"


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


def _printable(line: str) -> str:
    """Show characters that would move the cursor, colour or reorder the line as escapes."""
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
