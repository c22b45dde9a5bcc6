"""Forms at the route that takes them: written well or badly, never half taken."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shaken.api.bodies import MAX_API_BODY, MAX_PART_HEADERS
from shaken.api.forms import MAX_PARTS
from shaken.credentials import Role
from tests.shaken.world import INSIDE, Template, World, running

PATH = "/api/v1/certificates"
FORM = "multipart/form-data; boundary=xyz"


def part(name: str, content: str | bytes, *headers: str) -> bytes:
    body = content.encode() if isinstance(content, str) else content
    lines = (f'Content-Disposition: form-data; name="{name}"', *headers)
    return b"--xyz\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"\r\n"


END = b"--xyz--\r\n"


def whole(template: Template, *more: bytes) -> bytes:
    text = template.spare.chain_pem + template.spare.key_pem
    return part("kind", "sti") + part("certificate", text) + b"".join(more) + END


@dataclass(frozen=True)
class Answer:
    status: int
    document: Any

    @property
    def fields(self) -> list[str]:
        return [error["field"] for error in self.document.get("errors", [])]


async def post(
    world: World, body: bytes, *, kind: str = FORM, path: str = PATH, proto: str = "https"
) -> Answer:
    headers = {
        "Authorization": f"Bearer {world.template.secrets[Role.ADMIN, None]}",
        "Content-Type": kind,
        "X-Forwarded-For": INSIDE,
        "X-Forwarded-Proto": proto,
    }
    async with world.client.post(path, headers=headers, data=BytesIO(body)) as answer:
        return Answer(answer.status, await answer.json(content_type=None))


async def test_a_form_is_taken_as_the_same_json_would_be(world: World) -> None:
    body = whole(world.template, part("tenant", "own.example.com"), part("x5u", ""))

    answer = await post(world, body)

    assert (answer.status, answer.document["tenant"]) == (201, "own.example.com")
    audited = await world.audit("?action=certificate.import&limit=1")
    assert audited[0]["subject"] == answer.document["id"]


async def test_what_stands_behind_the_parts_is_passed_over(world: World) -> None:
    body = b"\r\n" + whole(world.template) + b"epilogue\r\nof lines\r\n"

    assert (await post(world, body)).status == 201


@pytest.mark.parametrize(
    "before",
    [b"preamble\r\n", b"\n", b"\r\n\r\n", b"--xyza\r\n", b" --xyz\r\n", b"\n" * 200_000],
)
async def test_a_form_begins_with_its_boundary(world: World, before: bytes) -> None:
    answer = await post(world, before + whole(world.template))

    assert (answer.status, answer.document["type"]) == (400, "not-a-form")
    assert "begin with the boundary" in answer.document["detail"]


def many(count: int) -> Callable[[Template], bytes]:
    more = [part(f"field{number}", "") for number in range(count - 2)]
    return lambda template: whole(template, *more)


MANY_HEADERS = [f"X-{number}: 1" for number in range(MAX_PART_HEADERS + 1)]
BROKEN: dict[str, tuple[Callable[[Template], bytes], str, list[str]]] = {
    "nothing": (lambda _: b"", "not-a-form", []),
    "no part": (lambda _: END, "invalid-request", ["kind"]),
    "another boundary": (lambda t: whole(t).replace(b"xyz", b"abc"), "not-a-form", []),
    "nothing but a line end": (lambda _: b"\r\n", "not-a-form", []),
    "cut off": (lambda t: whole(t)[:-200], "not-a-form", []),
    "no end": (lambda t: whole(t).removesuffix(END), "not-a-form", []),
    "too many parts": (many(MAX_PARTS + 1), "not-a-form", []),
    "a field of no name known": (
        lambda t: whole(t, part("comment", "mine")),
        "invalid-request",
        ["comment"],
    ),
    "a field twice": (lambda t: whole(t, part("kind", "sti")), "invalid-request", ["kind"]),
    "an empty field twice": (
        lambda t: whole(t, part("x5u", ""), part("x5u", "")),
        "invalid-request",
        ["x5u"],
    ),
    "a name in other letters": (
        lambda t: whole(t, part("tön", "a")),
        "not-a-form",
        [],
    ),
    "no name": (lambda t: whole(t, part("", "a")), "not-a-form", []),
    "no disposition": (
        lambda t: whole(t, b"--xyz\r\nContent-Type: text/plain\r\n\r\na\r\n"),
        "not-a-form",
        [],
    ),
    "a transfer coding": (
        lambda t: whole(t, part("x5u", "YQ==", "Content-Transfer-Encoding: base64")),
        "not-a-form",
        [],
    ),
    "a form within": (
        lambda t: whole(t, part("x5u", "--a--", "Content-Type: multipart/mixed; boundary=a")),
        "not-a-form",
        [],
    ),
    "too many header lines": (
        lambda t: whole(t, part("x5u", "a", *MANY_HEADERS)),
        "not-a-form",
        [],
    ),
    "a header line too long": (
        lambda t: whole(t, part("x5u", "a", "X: " + "a" * 20_000)),
        "not-a-form",
        [],
    ),
    "no header": (lambda t: whole(t, b"--xyz\r\nhello\r\n"), "not-a-form", []),
    "NUL": (lambda t: whole(t, part("x5u", "a\0")), "invalid-request", ["x5u"]),
    "no UTF-8": (lambda t: whole(t, part("x5u", b"\xff\xfe")), "not-text", ["x5u"]),
    "an unknown kind": (
        lambda t: whole(t).replace(b"sti\r\n", b"stu\r\n", 1),
        "invalid-request",
        ["kind"],
    ),
    "no kind": (lambda t: whole(t).replace(b"sti\r\n", b"\r\n", 1), "invalid-request", ["kind"]),
    "a PKCS#12 file that is none": (
        lambda t: whole(t, part("pkcs12", b"\0\xff")),
        "bad-pkcs12",
        ["pkcs12"],
    ),
    "too long a text": (
        lambda t: whole(t, part("private_key", "a" * 300_000)),
        "invalid-request",
        ["private_key"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_form_that_is_broken_is_explained_and_stores_nothing(
    world: World, case: str
) -> None:
    make, slug, fields = BROKEN[case]
    before = world.database.revision()

    answer = await post(world, make(world.template))

    assert (answer.status, answer.document["type"]) == (400, slug), answer
    assert answer.fields == fields
    assert world.database.revision() == before


async def test_a_form_of_as_many_parts_as_may_be_is_read(world: World) -> None:
    assert (await post(world, many(MAX_PARTS)(world.template))).status == 201


async def test_a_form_is_bounded(world: World) -> None:
    body = whole(world.template, part("x5u", "a" * MAX_API_BODY))

    assert (await post(world, body)).status == 413


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=" + "a" * 80]
)
async def test_a_form_without_a_boundary_of_use_is_explained(world: World, kind: str) -> None:
    answer = await post(world, whole(world.template), kind=kind)

    assert (answer.status, answer.document["type"]) == (400, "not-a-form")


@pytest.mark.parametrize(
    ("kind", "path"),
    [("multipart/mixed; boundary=xyz", PATH), (FORM, "/api/v1/tenants")],
)
async def test_forms_are_taken_where_the_route_says_so_only(
    world: World, kind: str, path: str
) -> None:
    answer = await post(world, whole(world.template), kind=kind, path=path)

    assert (answer.status, answer.document["type"]) == (415, "unsupported-media-type")
    assert ("multipart/form-data" in answer.document["detail"]) == (path == PATH)


async def test_a_form_with_a_key_does_not_travel_over_plain_http(world: World) -> None:
    answer = await post(world, whole(world.template), proto="http")

    assert (answer.status, answer.document["type"]) == (403, "insecure-transport")


async def test_the_description_shows_both_types(world: World) -> None:
    described = (await world.admin("GET", "/openapi.json")).json()

    content = described["paths"][PATH]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert content["multipart/form-data"]["schema"] == content["application/json"]["schema"]
    assert set(content["multipart/form-data"]["encoding"]) == {"pkcs12"}


@pytest.fixture(scope="module")
def together(
    template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[asyncio.Runner, World]]:
    with asyncio.Runner() as runner:
        context = running(template, tmp_path_factory.mktemp("forms"))
        yield runner, runner.run(context.__aenter__())
        runner.run(context.__aexit__(None, None, None))


PIECES = st.one_of(
    st.sampled_from(
        [
            b"--xyz\r\n",
            b"--xyz--",
            b"\r\n\r\n",
            b"\n",
            b"--xyz\r\n\r\n",
            b"Content-Length: 3\r\n",
            b"Content-Type: multipart/mixed\r\n",
            b"Content-Transfer-Encoding: quoted-printable\r\n",
            b'Content-Disposition: form-data; name="_charset_"\r\n\r\n',
            b"; filename*=utf-8''%ff; name*0=\"a\"",
        ]
    ),
    st.binary(max_size=5),
)


@settings(max_examples=300)
@given(cuts=st.lists(st.tuples(st.integers(0, 2500), st.integers(0, 40), PIECES), max_size=4))
@example(cuts=[(0, 0, b"")])
def test_a_mutated_form_is_answered(
    together: tuple[asyncio.Runner, World], cuts: list[tuple[int, int, bytes]]
) -> None:
    runner, world = together
    body = whole(world.template)
    for start, length, piece in cuts:
        body = body[:start] + piece + body[start + length :]
    before = world.database.revision()

    answer = runner.run(post(world, body))

    if answer.status == 201:
        path = f"{PATH}/{answer.document['id']}?force=true"
        assert runner.run(world.admin("DELETE", path)).status == 204
    else:
        assert answer.status == 400, answer
        assert world.database.revision() == before
