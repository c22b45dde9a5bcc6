"""DNS names as certificates and tenants carry them: one spelling for each (RFC 5890, UTS #46)."""

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
