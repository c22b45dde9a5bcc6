"""A person without a browser: keeps cookies, follows no redirect, reads forms as they stand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.web.scenery import Service


@dataclass(frozen=True)
class Seen:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: bytes

    @property
    def location(self) -> str:
        """Where it sends the browser."""
        return self.headers["Location"]

    @property
    def csrf(self) -> str:
        """The token in its forms."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.text)
        assert found, "there is no form on this page"
        return found[1]


@dataclass
class Visitor:
    """Somebody who asks for pages."""

    service: Service
    headers: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    cookie: str = "shaken-session"

    async def ask(self, method: str, path: str, **options: Any) -> Seen:
        """Send a request with what this visitor has."""
        headers = {**self.headers, **options.pop("headers", {})}
        if self.token is not None:
            headers["Cookie"] = f"{self.cookie}={self.token}"
        self.service.client.session.cookie_jar.clear()
        async with self.service.client.request(
            method, path, headers=headers, allow_redirects=False, **options
        ) as answer:
            body = await answer.read()
            for name, morsel in answer.cookies.items():
                self.cookie, self.token = name, morsel.value or None
            text = body.decode("utf-8", "replace")
            return Seen(answer.status, dict(answer.headers), text, body)

    async def get(self, path: str) -> Seen:
        """Ask for a page."""
        return await self.ask("GET", path)

    async def post(self, path: str, data: Any, *, csrf: str | None = None) -> Seen:
        """Send a form, by default with the token that the first page gives this visitor."""
        token = (await self.get("/admin")).csrf if csrf is None else csrf
        fields = [*data.items()] if isinstance(data, dict) else [*data]
        return await self.ask("POST", path, data=[("csrf", token), *fields])

    async def sign_in(self, name: str, secret: str | None = None, **fields: str) -> Seen:
        """Send the form for signing in."""
        secret = self.service.scenery.secrets[name] if secret is None else secret
        return await self.ask(
            "POST", "/admin/sign-in", data={"name": name, "secret": secret, **fields}
        )


async def signed_in(service: Service, name: str) -> Visitor:
    """Return somebody who has signed in."""
    visitor = Visitor(service)
    seen = await visitor.sign_in(name)
    assert seen.status == 303, seen.text
    return visitor
