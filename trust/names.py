"""Names of hosts as certificates and tenants carry them: one spelling (RFC 5890, UTS #46)."""

import re
from ipaddress import ip_address

import idna

MAX_NAME = 253
"""Longest DNS name in its textual form without the trailing dot (RFC 1035 §2.3.4)."""

_PLAIN_LABEL = re.compile(r"(?!xn--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)
"""A label that is in the DNS as it is written (RFC 1123 §2.1)."""


class DnsNameError(ValueError):
    """A text is no DNS name; the message says why."""


def dns_name(text: str) -> str:
    """Return the one spelling of a DNS name: lower case, A-labels, no trailing dot.

    Raises DnsNameError when the text cannot be a host name.
    """
    candidate = text.strip().rstrip(".")
    if not candidate or len(candidate) > MAX_NAME:
        raise DnsNameError(f"a DNS name has 1 to {MAX_NAME} characters")
    # IDNA reserves `--` in places 3 and 4 of every label; hosts have such names all the same.
    if all(_PLAIN_LABEL.fullmatch(label) for label in candidate.split(".")):
        return candidate.lower()
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
