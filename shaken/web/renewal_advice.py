"""What to do about a failed renewal: what an authority says, or we do, in plain words. Pure.

The types of authorities are those of RFC 8555 §6.7 and RFC 9773 §7.4; the others are this service's
own (`trust.acme`). The authority's words are shown beside the advice, never in its place.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shaken.web.routes import BASE


@dataclass(frozen=True)
class Link:
    """A page where something is done."""

    path: str
    words: str


AUTHORITY = Link(f"{BASE}/renewals/authority", "Settings of the authority")
ACCOUNT = Link(f"{BASE}/renewals/account", "The account")
ROOTS = Link(f"{BASE}/roots?purpose=tls", "Trusted roots for TLS")
IMPORT = Link(f"{BASE}/certificates/import", "Import a certificate")


@dataclass(frozen=True)
class Advice:
    """What a failure means, what to do about it, and where. `link` None: nowhere here."""

    meaning: str
    steps: tuple[str, ...]
    link: Link | None = None

    @property
    def first(self) -> str:
        """The next step."""
        return self.steps[0]


_BY_ITSELF = "Nothing, at first: it is tried again by itself."
_PORT_80 = (
    "Let port 80 of the name lead to this service from everywhere: docs/acme.md, “Port 80”, shows"
    " how with a listener of its own, nginx and HAProxy."
)
_RECORDS = (
    "Compare the A and the AAAA record of the name with the address of this service. A wrong AAAA"
    " record is the usual cause: authorities try IPv6 first."
)
_NAME_SERVERS = (
    "Ask the name servers of the zone yourself, as in “dig NAME A” and “dig NAME CAA”: each of them"
    " must answer, without SERVFAIL."
)
_TELL_AUTHORITY = "Where it stays so, ask the authority: its words above are what it goes by."

_ADVICE: Mapping[str, Advice] = {
    # What this service found by itself.
    "self-check": Advice(
        "This service looked for the challenge as the authority does, and did not find it. The"
        " authority was not asked, so no rate limit is used up.",
        (
            "Mend what is said of each name, then have it looked at again.",
            (
                "Where names lead here from outside only, not from inside your network, turn the"
                " self-check off."
            ),
        ),
        AUTHORITY,
    ),
    "dns-publication": Advice(
        "The DNS record that proves a name could not be published, or not every name server has"
        " it yet.",
        (
            (
                "Check how DNS records are published: server or provider, key or token, and that it"
                " may change TXT records of the zone."
            ),
            "Where a name server is only slow, raise the time that is waited for it.",
        ),
        AUTHORITY,
    ),
    "no-challenge": Advice(
        "The authority does not let this name be proven in the way that the settings say.",
        ("Have the name proven by the other way: list it under “Names proven in the DNS”.",),
        AUTHORITY,
    ),
    "unreachable": Advice(
        "The authority could not be reached from this machine.",
        (
            (
                "Check that this machine may open https connections to the authority: its name"
                " resolves, and no firewall or proxy is in between."
            ),
            "Check the directory of the authority.",
        ),
        AUTHORITY,
    ),
    "untrusted": Advice(
        "The authority's own TLS certificate leads to no root that is trusted here, so nothing was"
        " sent to it.",
        (
            "Of a private authority, add its root to the trusted ones, with purpose tls.",
            (
                "Of a public one, find out who is between: a proxy that looks into TLS has such a"
                " certificate."
            ),
        ),
        ROOTS,
    ),
    "unusable-answer": Advice(
        "What answered is not understood: it may be no ACME authority, or it is out of order.",
        (_BY_ITSELF, "Where it stays so, check the directory of the authority."),
        AUTHORITY,
    ),
    "undecided": Advice(
        "The authority took longer to decide than this service waits at a time.", (_BY_ITSELF,)
    ),
    "invalid": Advice(
        "The authority ended the order and gave no reason.", (_BY_ITSELF, _TELL_AUTHORITY)
    ),
    "account-deactivated": Advice(
        "The account at the authority is given up, so nothing can be ordered with it.",
        ("Start over: the next order makes another account.",),
        ACCOUNT,
    ),
    "no-account": Advice(
        "There is no account at the authority.", ("Nothing: the next order makes one.",), ACCOUNT
    ),
    "account-in-use": Advice(
        "The account is in use by now, so it was not forgotten.",
        (
            (
                "Deactivate it first, if another one is wanted. If this one is of no use any"
                " more, say when you start over that it is lost."
            ),
        ),
        ACCOUNT,
    ),
    "asked-otherwise": Advice(
        "Something else was asked of the account before this was done.", ("Nothing.",), ACCOUNT
    ),
    "master-key": Advice(
        "A secret at rest does not open with the master key that this service has.",
        (
            "Give the service the master key that the store is sealed under (shaken keys show).",
            "If that key is lost, start over with another account, as lost.",
        ),
        ACCOUNT,
    ),
    "not-stored": Advice(
        "The authority has issued the certificate, but it could not be stored here.",
        ("Mend what the words say of it. The next try orders another one.",),
    ),
    "no-key": Advice(
        "The request of this order was deleted while it was under way, and its key with it.",
        ("Nothing: the next try makes another key. Leave requests of orders alone meanwhile.",),
    ),
    "no-attempt": Advice("The order has lost what was under way.", ("Nothing: it begins anew.",)),
    # What authorities say: of names.
    "connection": Advice("The authority could not connect to the name.", (_PORT_80, _RECORDS)),
    "dns": Advice(
        "The authority asked the DNS for the name and got no usable answer.",
        (
            (
                "Add the A or AAAA record of the name; for one that is proven in the DNS, see that"
                " its _acme-challenge record can be asked for."
            ),
            _NAME_SERVERS,
        ),
    ),
    "unauthorized": Advice(
        "The authority found something else than the challenge, or does not let the account do it.",
        (
            "See that the name leads to this service and to no other web server, in IPv4 and IPv6.",
            _PORT_80,
        ),
    ),
    "incorrectResponse": Advice(
        "What answered the authority is not what it expects.",
        (
            "See that the name leads to this service and to no other ACME client.",
            _PORT_80,
        ),
    ),
    "tls": Advice(
        "The authority was led to https and could not speak TLS there.",
        (
            (
                "Leave /.well-known/acme-challenge/ out of redirections to https, or mend the"
                " certificate there."
            ),
        ),
    ),
    "caa": Advice(
        "A CAA record of the name, or of a domain above it, lets only other authorities issue.",
        (
            (
                'Add a CAA record that names this authority, as in “0 issue "letsencrypt.org"”; for'
                " a wildcard, “issuewild” counts where there is one."
            ),
        ),
    ),
    "compound": Advice(
        "Several names are wrong, each in its own way.",
        ("Mend what is said of each name. Until then none of them gets the certificate.",),
    ),
    "rejectedIdentifier": Advice(
        "The authority does not certify this name at all.",
        (
            (
                "Take the name out, and order the others without it. Authorities refuse names that"
                " are not public, on a list of risks, or outside of what your account may have."
            ),
        ),
    ),
    "unsupportedIdentifier": Advice(
        "The authority does not know this kind of name.",
        ("Order host names only, and wildcards where the authority issues them.",),
    ),
    # Of the account.
    "externalAccountRequired": Advice(
        "The authority gives accounts by invitation only.",
        ("Enter the key id and the MAC key of the external account that it gave you.",),
        AUTHORITY,
    ),
    "userActionRequired": Advice(
        "The authority wants a person to do something first, mostly to agree to new terms.",
        ("Read what it says, do it there, then agree to the terms here.",),
        AUTHORITY,
    ),
    "accountDoesNotExist": Advice(
        "The authority knows the account no more.",
        ("Nothing: it is registered anew with the next try.",),
        ACCOUNT,
    ),
    "invalidContact": Advice(
        "The authority does not take the mail address.",
        ("Give another address, or none.",),
        AUTHORITY,
    ),
    # Of what is asked for.
    "rateLimited": Advice(
        "The authority has had more orders than it allows for this account, name or address.",
        (
            "Wait: the next try is when the authority allows it. Trying sooner makes it longer.",
            "Test with the staging authority, which has generous limits.",
        ),
    ),
    "invalidProfile": Advice(
        "The authority has no profile of this name.",
        ("Empty the profile, or write one that the authority offers.",),
        AUTHORITY,
    ),
    "badPublicKey": Advice(
        "The authority does not take keys of this type.",
        ("Choose another key type: p-256 and rsa-2048 are taken nearly everywhere.",),
        AUTHORITY,
    ),
    "badCSR": Advice(
        "The authority does not take the request as it is.",
        ("Choose another key type, or order fewer names at once.", _TELL_AUTHORITY),
        AUTHORITY,
    ),
    "alreadyReplaced": Advice(
        "The former certificate has been replaced by another order.", (_BY_ITSELF,)
    ),
    "malformed": Advice(
        "The authority does not understand what it was asked.",
        ("Check profile and names.", _TELL_AUTHORITY),
        AUTHORITY,
    ),
    # Of the authority itself.
    "serverInternal": Advice("The authority has a fault of its own.", (_BY_ITSELF,)),
    "badNonce": Advice("The authority did not take the request this time.", (_BY_ITSELF,)),
    "orderNotReady": Advice("The authority was not ready yet.", (_BY_ITSELF,)),
}

_SAME = {
    "unsupportedContact": "invalidContact",
    "badSignatureAlgorithm": "badPublicKey",
}
"""Types that ask for the same as another one."""

_UNKNOWN = Advice(
    "The authority refuses, for a reason that has no name here.",
    ("Go by its words.", _TELL_AUTHORITY),
)

KINDS = tuple(_ADVICE)
"""The types that are known."""


def advice_of(kind: str, words: str) -> Advice:
    """Say what to do about a problem of a type, given all that was said of it."""
    if kind == "unreachable" and "is not trusted" in words:
        return _ADVICE["untrusted"]
    return _ADVICE.get(_SAME.get(kind, kind), _UNKNOWN)
