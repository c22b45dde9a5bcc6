"""Records by dynamic update (RFC 2136) over TCP, signed by TSIG (RFC 8945).

An update that adds a record which is there, or deletes one which is not, changes nothing, and
neither touches other texts of the name (RFC 2136 §3.4.2).
"""

import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update

from trust.acme.challenges import PublicationError, TxtRecord
from trust.acme.dns.settings import Rfc2136Settings
from trust.acme.lookup import DnsResolver, LookupFailed
from trust.names import dns_name

UPDATE_SECONDS = 10.0
"""How long a server may take, with the connection."""

MAX_ADDRESSES = 4
"""Of the server, that are tried one after the other."""

_REFUSALS = {
    dns.rcode.FORMERR: "it does not understand the update",
    dns.rcode.SERVFAIL: "it failed; its log says why",
    dns.rcode.NOTIMP: "it does no dynamic updates",
    dns.rcode.REFUSED: "its rules do not let the key {key} change TXT records there",
    dns.rcode.NOTAUTH: "it is not the primary of this zone; name that one, or the right `zone`",
    dns.rcode.NOTZONE: "a name is not in this zone",
}

_BROKEN: dict[type[dns.exception.DNSException], str] = {
    dns.tsig.PeerBadKey: (
        "it has no key {key} with {algorithm}, or lets it change nothing in this zone (BADKEY)"
    ),
    dns.tsig.PeerBadSignature: "the secret of the key {key} is not the one it has (BADSIG)",
    dns.tsig.PeerBadTime: "its clock and the one of this machine differ (BADTIME): set them right",
    dns.tsig.PeerBadTruncation: "it wants longer signatures (BADTRUNC)",
    dns.tsig.BadSignature: "its answer is signed with another secret than the one of the key {key}",
    dns.tsig.BadTime: "its answer is signed at another time: set the clocks right",
    dns.tsig.BadKey: "its answer is signed with another key than {key}",
}
_UNUSABLE = "it gives no usable answer"


class Rfc2136Writer:
    """Changes records of one server."""

    def __init__(self, settings: Rfc2136Settings, *, resolver: DnsResolver) -> None:
        """Take where to, and who looks up the server's address."""
        self._settings = settings
        self._resolver = resolver

    def add(self, zone: str, records: Sequence[TxtRecord], /) -> None:
        """Add records of a zone, all or none. Raises PublicationError."""
        update = self._update(zone)
        for record in records:
            name = dns.name.from_text(record.name)
            update.add(name, self._settings.ttl, "TXT", f'"{record.value}"')
        self._send(update, zone)

    def remove(self, zone: str, records: Sequence[TxtRecord], /) -> None:
        """Remove records of a zone, all or none. Raises PublicationError."""
        update = self._update(zone)
        for record in records:
            update.delete(dns.name.from_text(record.name), "TXT", f'"{record.value}"')
        self._send(update, zone)

    def _update(self, zone: str) -> dns.update.UpdateMessage:
        settings = self._settings
        key = (settings.key_algorithm, settings.key_secret)
        keyring = dns.tsigkeyring.from_text({settings.key_name: key})
        return dns.update.UpdateMessage(dns.name.from_text(zone), keyring=keyring)

    def _send(self, update: dns.update.UpdateMessage, zone: str) -> None:
        failures = []
        for address in self._addresses():
            try:
                response = _exchange(update, address, self._settings.port)
            except (OSError, EOFError, dns.exception.Timeout) as error:
                failures.append(f"{address} {_silence(error)}")
            except dns.exception.DNSException as error:
                raise self._error(zone, _BROKEN.get(type(error), _UNUSABLE)) from error
            else:
                self._check(response, zone)
                return
        raise self._error(zone, "; ".join(failures))

    def _addresses(self) -> Sequence[str]:
        server = self._settings.server
        try:
            return [str(ip_address(server))]
        except ValueError:
            pass
        try:
            found = self._resolver.addresses(dns_name(server))
        except LookupFailed as error:
            raise PublicationError(str(error)) from error
        if not found:
            raise PublicationError(f"the name server {server} has no address")
        return [str(address) for address in found[:MAX_ADDRESSES]]

    def _check(self, response: dns.message.Message, zone: str) -> None:
        code = response.rcode()
        if code != dns.rcode.NOERROR:
            name = dns.rcode.to_text(code)
            said = _REFUSALS.get(code)
            raise self._error(zone, f"{said} ({name})" if said else f"it answers {name}")
        if not response.had_tsig:
            raise self._error(zone, "its answer is not signed: somebody else may have sent it")

    def _error(self, zone: str, words: str) -> PublicationError:
        settings = self._settings
        filled = words.format(zone=zone, key=settings.key_name, algorithm=settings.key_algorithm)
        return PublicationError(f"{settings.server} does not update the zone {zone}: {filled}")


def _exchange(update: dns.update.UpdateMessage, address: str, port: int) -> dns.message.Message:
    """Return the answer, whose signature is right if it has one: many servers sign no refusals."""
    expiration = time.time() + UPDATE_SECONDS
    with socket.create_connection((address, port), timeout=UPDATE_SECONDS) as connection:
        connection.settimeout(0)
        dns.query.send_tcp(connection, update, expiration)
        unproven: Any = False  # dnspython's word for: do not look at signatures
        response, _ = dns.query.receive_tcp(connection, expiration, keyring=unproven)
    if not update.is_response(response):
        raise dns.query.BadResponse
    if not response.had_tsig:
        return response
    return dns.message.from_wire(
        response.wire or b"", keyring=update.keyring, request_mac=update.mac or b""
    )


def _silence(error: Exception) -> str:
    match error:
        case dns.exception.Timeout() | TimeoutError():
            return f"does not answer within {UPDATE_SECONDS:g} s"
        case EOFError():
            return "closes the connection"
        case OSError():
            return f"cannot be reached: {error.strerror or error}"
        case _:
            return str(error)
