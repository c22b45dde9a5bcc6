"""Credentials: listed without secrets, made with one that is shown once, revoked."""

from shaken.api import credentials as api
from shaken.api.problems import Problem
from shaken.credentials import Credential, Role
from shaken.web.asking import ask_api, bad_lines, errors_of, find, lines, read_network
from shaken.web.drafts import PRIVATE_KEY
from shaken.web.routes import BASE, Answer, Page, PageCall, Redirect, View, no_page

LIST = f"{BASE}/credentials"
NEW, REVOKE = f"{BASE}/new/credential", f"{LIST}/{{name}}/revoke"

FIELDS = ("name", "role", "tenant", "trunk", "networks", "client_certificate")

ROLES = {
    Role.SIGNER: "signer: a PBX that has its calls signed",
    Role.VERIFIER: "verifier: a PBX that has incoming calls verified",
    Role.LISTENER: "listener: a server that fetches its TLS certificates with their keys",
    Role.VIEWER: "viewer: may look, here and in the API, but change nothing",
    Role.ADMIN: "admin: may change everything, or all of its tenant",
}


def listing(call: PageCall) -> Answer:
    """Show who may use the service."""
    rows = call.snapshot.credential_rows.rows.values()
    seen = sorted((row for row in rows if _is_visible(call, row)), key=lambda row: row.name)
    return View("credentials.html", {"found": find(call, LIST, seen, _words), "roles": ROLES})


def ask(call: PageCall) -> Answer:
    """Show the empty form."""
    return _form({"role": Role.SIGNER.value, "trunk": call.query.get("trunk", "")}, {})


def make(call: PageCall) -> Answer:
    """Make a credential and show its secret, this once: no address leads to it again."""
    typed = {name: call.form.text(name) for name in FIELDS}
    if wrong := bad_lines(typed["networks"], read_network):
        return _form(typed, {"networks": wrong}, status=422)
    document = {
        "name": typed["name"],
        "role": typed["role"],
        "tenant": typed["tenant"] or None,
        "trunk": typed["trunk"] or None,
        "networks": lines(typed["networks"]),
        "client_certificate": typed["client_certificate"] or None,
    }
    try:
        made = ask_api(call, api.create, document, api.CredentialCreation).value
    except Problem as problem:
        return _form(typed, errors_of(problem, FIELDS), status=422)
    return View("credential-made.html", {"made": made})


def ask_revoke(call: PageCall) -> Answer:
    """Ask whether a credential is to be revoked."""
    row = call.snapshot.credential_rows.rows.get(call.path["name"])
    if row is None or not _is_visible(call, row):
        raise no_page()
    return View("credential-revoke.html", {"one": row, "is_own": row.name == call.user.name})


def revoke(call: PageCall) -> Answer:
    """Revoke a credential."""
    api.remove(call)
    return Redirect(LIST, f"{call.path['name']} is revoked: its secret opens nothing any more.")


def _form(typed: dict[str, str], errors: dict[str, str], *, status: int = 200) -> View:
    blank = dict.fromkeys(FIELDS, "")
    roles = [(role.value, words) for role, words in ROLES.items()]
    # A private key that came by mistake stays with nobody but its owner.
    public = PRIVATE_KEY.sub("", typed.get("client_certificate", ""))
    shown = {**blank, **typed, "client_certificate": public.strip()}
    context = {"typed": shown, "errors": errors, "roles": roles}
    return View("credential-new.html", context, status)


def _is_visible(call: PageCall, row: Credential) -> bool:
    return call.scope in {None, row.tenant}


def _words(row: Credential) -> str:
    return "\n".join((row.name, row.role.value, row.tenant or "", row.trunk or ""))


PAGES = (
    Page("GET", LIST, Role.VIEWER, listing),
    Page("GET", NEW, Role.ADMIN, ask),
    Page("POST", NEW, Role.ADMIN, make),
    Page("GET", REVOKE, Role.ADMIN, ask_revoke),
    Page("POST", REVOKE, Role.ADMIN, revoke),
)
