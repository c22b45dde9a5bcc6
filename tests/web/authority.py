"""The form of the authority, filled in, sent and read: what its tests share."""

import re
from html import unescape
from html.parser import HTMLParser

from shaken.audit import Action, AuditedChange
from tests.web.scenery import Service
from tests.web.visitor import Seen, Visitor
from trust.acme.settings import AcmeSettings
from trust.store import acme_settings

PAGE = "/admin/renewals/authority"
OWN = "https://ca.internal.example/acme/directory"
MAC_KEY, TSIG_SECRET, TOKEN = "c2VjcmV0LW1hYy1rZXk", "dHNpZy1zZWNyZXQ=", "token-of-the-provider"

FORM = {
    "authority": "letsencrypt",
    "directory_url": "",
    "contact": "noc@example.com\r\nadmin@example.com",
    "terms_agreed": "yes",
    "eab_kid": "",
    "eab_hmac_key": "",
    "key_type": "p-256",
    "preferred_chain": "",
    "profile": "",
    "self_check": "yes",
    "dns_names": "",
    "dns_type": "",
    "dns_port": "53",
    "dns_key_algorithm": "hmac-sha256",
    "dns_ttl": "120",
    "dns_propagation_seconds": "120",
    "dns_delegate": "yes",
}
UPDATES = {
    "dns_type": "rfc2136",
    "dns_server": "192.0.2.53",
    "dns_key_name": "acme",
    "dns_key_secret": TSIG_SECRET,
    "dns_names": "*.internal.example.com",
    "dns_resolvers": "192.0.2.1\r\n192.0.2.2:5353",
}
PROVIDER = {
    "dns_type": "provider",
    "dns_provider": "cloudflare",
    "dns_options": f"auth_token = {TOKEN}\r\nzone_id = 0123",
}
ACCOUNT = {"eab_kid": "kid-1", "eab_hmac_key": MAC_KEY}
SECRETS = (MAC_KEY, TSIG_SECRET, TOKEN)


def stored(service: Service) -> AcmeSettings | None:
    """Return what is stored, secrets and all."""
    with service.prepared.open_database().reading() as connection:
        return acme_settings.load(connection, service.prepared.master)


async def have(service: Service, settings: AcmeSettings) -> None:
    """Have some settings."""

    def save(change: AuditedChange) -> None:
        acme_settings.save(change, service.prepared.master, settings)
        change.audit(Action.ACME_SETTINGS, "acme", tenant=None)

    await service.change(save)


def fields_of(seen: Seen) -> dict[str, str]:
    """Return the hidden fields of the page that asks whether it is meant."""
    found = re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)"', seen.text)
    return {name: unescape(value) for name, value in found if name != "csrf"}


class FormReader(HTMLParser):
    """Reads the fields of the form as a browser sends them when nothing is typed."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._name = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "input" and (given["type"] != "checkbox" or "checked" in given):
            self.fields[name] = given.get("value", "")
        elif tag in {"select", "textarea"}:
            self._name = name
            self.fields[name] = ""
        elif tag == "option" and "selected" in given:
            self.fields[self._name] = given["value"]

    def handle_data(self, data: str) -> None:
        if self.lasttag == "textarea" and self._name:
            # A browser leaves out the first line break.
            self.fields[self._name] = data.removeprefix("\n").replace("\n", "\r\n")
            self._name = ""


def filled_in(seen: Seen) -> dict[str, str]:
    """Return the page's form as it stands."""
    reader = FormReader()
    reader.feed(seen.text)
    return {name: value for name, value in reader.fields.items() if name not in {"csrf", "step"}}


async def look(visitor: Visitor, **fields: str) -> Seen:
    return await visitor.post(PAGE, {**FORM, **fields, "step": "look"})


async def store(visitor: Visitor, **fields: str) -> Seen:
    """Fill in the form, look, and confirm."""
    seen = await look(visitor, **fields)
    assert seen.status == 200, unescape(seen.text)
    return await visitor.post(PAGE, {**fields_of(seen), "step": "store"})
