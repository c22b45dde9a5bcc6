"""Names of hosts as certificates and tenants carry them: one spelling (RFC 5890, UTS #46)."""

from ipaddress import ip_address

import idna

MAX_NAME = 253
"""Longest DNS name in its textual form without the trailing dot (RFC 1035 §2.3.4)."""


class DnsNameError(ValueError):
    """A text is no DNS name; the message says why."""


def dns_name(text: str) -> str:
    """Return the one spelling of a DNS name: lower case, A-labels, no trailing dot.

    Raises DnsNameError when the text cannot be a host name.
    """
    candidate = text.strip().rstrip(".")
    if not candidate or len(candidate) > MAX_NAME:
        raise DnsNameError(f"a DNS name has 1 to {MAX_NAME} characters")
    try:
        return idna.encode(candidate, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise DnsNameError(f"not a DNS name: {candidate[:64]!a}") from error


def host_name(text: str) -> str:
    """Return the one spelling of a certificate's name for hosts.

    That is what `dns_name` makes, with a star as the whole first label where there is one (RFC 6125
    §6.4.3), or an IP address in lower case. Raises DnsNameError for anything else.
    """
    if is_ip(text):
        return text.lower()
    star, rest = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    return star + dns_name(rest)


def is_ip(text: str) -> bool:
    """Say whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
