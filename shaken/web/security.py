"""What keeps others out of the admin pages: headers of answers, and what is refused."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from shaken.api.peer import Peer
from shaken.api.problems import Problem
from shaken.credentials import Credential
from shaken.web.routes import Page

COOKIE, SECURE_COOKIE = "shaken-session", "__Host-shaken-session"
"""The cookie of a session over plain HTTP on this machine, and over https (RFC 6265bis §4.1.3).

No other host of the domain, a tenant's say, can set one of the latter name.
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""A page loads what this service serves as style, script, image; forms and script ask only it."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer."""

NO_STORE = "no-store"
"""What is shown to a person who has signed in stays in no cache."""


def is_led_here(method: str, headers: Mapping[str, str]) -> bool:
    """Say whether a link of another site, or of a mail, leads to a page.

    Browsers keep the session's cookie to themselves then (SameSite=Strict): who is signed in seems
    to be a stranger, until the page is asked for by one of our own.
    """
    return method == "GET" and headers.get("Sec-Fetch-Site") == "cross-site"


def is_of_own_site(headers: Mapping[str, str]) -> bool:
    """Say whether a form comes from a page of this very site (Fetch Metadata, RFC 6454 §7).

    Browsers say so in headers that no page can set. What sends neither header is no browser, and
    has no cookie that somebody else could make use of.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == headers.get("Host")
    except ValueError:
        return False


def hold_transport(method: str, headers: Mapping[str, str], peer: Peer) -> None:
    """Refuse what others could read or send. Raises Problem."""
    if not peer.confidential:
        raise Problem(
            403,
            "insecure-transport",
            "These pages are not shown over plain HTTP, where others can read along. Open them with"
            " https, or on the machine itself. If a proxy in front speaks https, name it in [http]"
            " trusted_proxies, and let it send X-Forwarded-Proto.",
        )
    if method == "POST" and not is_of_own_site(headers):
        raise foreign_form()


def foreign_form() -> Problem:
    """Make what is said of a form that no page of the session has sent."""
    return Problem(
        403,
        "foreign-form",
        "This form does not come from your session's own pages, so nothing was done. Go back,"
        " load the page anew and send it again.",
    )


def hold_role(page: Page, who: Credential) -> None:
    """Refuse a page that is not for this credential's role. Raises Problem."""
    if not page.permits(who.role):
        raise Problem(
            403,
            "forbidden",
            f"Your credential ({who.name}) may look, but change nothing. Ask an administrator.",
        )
