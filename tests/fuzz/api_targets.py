"""Fuzzed: what clients of the APIs send."""

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from cryptography import x509
from multidict import CIMultiDict

from shaken.api.problems import Problem, from_validation
from shaken.api.requests import RequestCreation
from shaken.api.signing_messages import call_of, read_signing
from shaken.api.stir import StirRequest
from shaken.api.stir_errors import StirError
from shaken.passport import Parties, Party
from shaken.requesting import Drafted, RequestRefused, Wish, draft
from shaken.signing import OutboundCall
from shaken.strictjson import JsonError, parse_object
from sip.number import canonical_number
from sip.uri import canonical_uri
from tests.fuzz.target import Target, Targets
from tests.shaken.wires import Bench
from trust.certificate import CertificateKind
from trust.request import KeyType
from trust.tnauthlist import TN_AUTH_LIST_OID, TnAuthList

COUNTRY = "DE"
"""Whose national numbers the trunk of these requests sends."""


# Signing


def _signing(data: bytes) -> OutboundCall:
    return call_of(read_signing(parse_object(data)), country=COUNTRY)


def _signing_holds(_: bytes, call: OutboundCall) -> None:
    for party in (call.orig, *_each(call.dest)):
        if isinstance(party.tn, str):
            assert canonical_number(party.tn, country=None) == party.tn
        else:
            assert canonical_uri(str(party.uri)) == party.uri
    message = {"orig": call.orig, "dest": call.dest}
    body = msgspec.json.encode({"signingRequest": message})
    again = call_of(read_signing(parse_object(body)), country=None)
    assert (again.orig, again.dest) == (call.orig, call.dest)


def _each(parties: Parties) -> list[Party]:
    numbers = [Party(tn=number) for number in parties.tn or ()]
    return numbers + [Party(uri=uri) for uri in parties.uri or ()]


def _signing_messages() -> list[bytes]:
    whole = {
        "attest": "A",
        "dest": {"tn": ["+1 215 555 0199"], "uri": ["sip:a@b.example;user=phone"]},
        "iat": 1795557822,
        "orig": {"tn": "030 123456"},
        "origid": "de305d54-75b4-431b-adb2-eb6b9e546014",
        "ppt": "shaken",
        "requestId": "7",
    }
    least = {"dest": {"tn": "1"}, "orig": {"uri": "sip:+4930123456@a;user=phone"}}
    other = {**least, "div": {"tn": "1"}}
    return [json.dumps({"signingRequest": each}).encode() for each in (whole, least, other)]


# The short way of HTTP


PIECES = b"\0\0"
"""What stands between the pieces in which an input arrives."""


def _wire(data: bytes) -> None:
    """Send pieces over one connection: each is read as it is by a connection of its own."""
    with closing(Bench()) as shared:
        wire, line = shared.connect()
        for piece in data.split(PIECES):
            wire.data_received(piece)
            shared.turn()
            alone = _read_alone(piece)
            if shared.libraries:
                assert [library.received for library in shared.libraries] == [[piece]]
                assert alone is None
                break
            assert alone is not None
            assert shared.asked[-1] == alone
            _read_alike(piece, alone)
        assert len(line.written) == len(shared.asked)


def _read_alone(piece: bytes) -> StirRequest | None:
    with closing(Bench()) as bench:
        bench.connect()[0].data_received(piece)
        bench.turn()
        return bench.asked[0] if bench.asked else None


def _read_alike(piece: bytes, asked: StirRequest) -> None:
    """Assert that a request that was taken means what the plainest reading makes of it."""
    head, end, body = piece.partition(b"\r\n\r\n")
    assert end
    first, *lines = head.split(b"\r\n")
    # RFC 9112 §3: several blanks may stand where one should.
    method, target, version = (word for word in first.decode("latin-1").split(" ") if word)
    assert (method, version) == ("POST", "HTTP/1.1")
    assert target.partition("?")[::2] == (asked.path, asked.query)
    assert asked.body is not None
    assert body.startswith(asked.body)
    rest = body.removeprefix(asked.body)
    # RFC 9112 §2.2: empty lines before the next request mean nothing.
    assert not rest.strip(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    headers = CIMultiDict(
        (name.decode("latin-1"), value.strip(b" \t").decode("utf-8", "surrogateescape"))
        for name, _, value in pairs
    )
    assert CIMultiDict(asked.headers) == headers
    assert int(headers.get("Content-Length", "0")) == len(asked.body)


def _requests() -> list[bytes]:
    head = b"POST /stir/v1/signing%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n"
    body = b'{"signingRequest": {}}'
    plain = head % (b"", len(body), b"Authorization: Bearer x\r\n") + body
    return [
        plain,
        plain + PIECES + head.replace(b"signing", b"verification") % (b"?tenant=a", 0, b""),
        plain + PIECES + b"GET /healthz HTTP/1.1\r\n\r\n",
        plain + plain,
        head % (b"", 2, b"Connection: close\r\n") + b"{}",
        head % (b"", 2, b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n",
    ]


# Certificate requests


def _request(data: bytes) -> Drafted:
    try:
        body = msgspec.convert(parse_object(data), RequestCreation)
    except msgspec.ValidationError as error:
        raise from_validation(error) from error
    return draft(
        Wish(
            kind=body.kind,
            names=body.names,
            spc=body.spc,
            tns=body.tns,
            key_type=KeyType.P256,
            organization=body.organization,
            country=body.country,
        )
    )


def _request_holds(_: bytes, drafted: Drafted) -> None:
    csr = x509.load_pem_x509_csr(drafted.request.pem.encode("ascii"))
    assert csr.is_signature_valid
    assert csr.public_key() == drafted.private_key.public_key()
    if drafted.wish.kind is CertificateKind.STI:
        value = csr.extensions.get_extension_for_oid(TN_AUTH_LIST_OID).value.public_bytes()
        assert TnAuthList.decode(value) == drafted.authorised
    else:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert tuple(names.get_values_for_type(x509.DNSName)) == drafted.names
    assert _attributes(csr) <= {drafted.wish.organization, drafted.wish.country}


def _attributes(csr: x509.CertificateSigningRequest) -> set[Any]:
    """Return what the subject says beside the common name."""
    return {each.value for each in csr.subject if each.oid != x509.NameOID.COMMON_NAME}


def _wishes() -> list[bytes]:
    wishes: list[Mapping[str, Any]] = [
        {"kind": "domain", "names": ["pbx.example.com", "*.bücher.example"], "country": "US"},
        {"kind": "system", "names": ["a.example"], "organization": "Größe"},
        {"kind": "sti", "spc": "1234", "tns": ["+12155550100", "+12155550200-+12155550299"]},
        {"kind": "sti", "tns": ["+1215*"]},
        {"kind": "domain", "names": ["192.0.2.1"]},
    ]
    return [json.dumps(each, ensure_ascii=False).encode() for each in wishes]


API_TARGETS: Targets = {
    "signing_message": Target(
        read=_signing,
        refusals=(JsonError, StirError),
        holds=_signing_holds,
        seeds=_signing_messages,
    ),
    "stir_wire": Target(read=_wire, seeds=_requests),
    "certificate_request": Target(
        read=_request,
        refusals=(JsonError, Problem, RequestRefused),
        holds=_request_holds,
        seeds=_wishes,
    ),
}
