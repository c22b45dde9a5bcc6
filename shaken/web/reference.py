"""`/docs`: the routes and what goes in and out of them, in words, made from `/openapi.json`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from shaken.web.routes import View

PATH = "/docs"
"""Where the reference is; for anybody, as the document that it is made from."""

Kind: TypeAlias = Sequence[tuple[str, str | None]]
"""What a value is: words, each with the name of the type that is told elsewhere on the page."""

_SECTIONS = (
    ("/stir/", "Calls"),
    ("/dialplan/", "Calls for dial plans"),
    ("/api/v1/certificates", "Certificates"),
    ("/certificates/", "Certificates"),
    ("/api/v1/listeners", "Certificates"),
    ("/api/v1/roots", "Trusted roots"),
    ("/api/v1/acme", "Renewal by ACME"),
    ("/.well-known/", "Renewal by ACME"),
    ("/api/v1/tenants", "Tenants"),
    ("/api/v1/trunks", "Trunks"),
    ("/api/v1/credentials", "Credentials"),
    ("/api/v1/calls", "Records"),
    ("/api/v1/audit", "Records"),
    ("/", "The service itself"),
)
"""Which paths are told together, by how they begin: the first that fits."""

_BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "pattern": "of the form {}",
}
"""What bounds a value, in words."""


@dataclass(frozen=True)
class Member:
    """A member of an object, or a parameter of a path or query."""

    name: str
    kind: Kind
    required: bool
    bounds: str


@dataclass(frozen=True)
class Operation:
    """A method of a path. `takes` and `gives` are None where there is no JSON."""

    method: str
    path: str
    summary: str
    words: str
    parameters: Sequence[tuple[str, Member]]
    takes: Kind | None
    gives: Kind | None
    status: str


@dataclass(frozen=True)
class Type:
    """A type that has a name: an object with members, or one of some values."""

    name: str
    words: str
    members: Sequence[Member]
    values: Sequence[str]


def reference(document: Mapping[str, Any]) -> View:
    """Make the page from the service's OpenAPI document (3.1, its schemas made by msgspec)."""
    sections: dict[str, list[Operation]] = {title: [] for _, title in _SECTIONS}
    for path, methods in document["paths"].items():
        title = next(title for start, title in _SECTIONS if path.startswith(start))
        sections[title] += [_operation(path, *each) for each in methods.items()]
    types = [_type(*each) for each in sorted(document["components"]["schemas"].items())]
    context = {
        "sections": {title: found for title, found in sections.items() if found},
        "types": types,
        "version": document["info"]["version"],
    }
    return View("reference.html", context)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    status, answer = next(iter(operation["responses"].items()))
    return Operation(
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        words=_plain(operation.get("description", "Role: none.")),
        parameters=[
            (each["in"], Member(each["name"], _kind(each["schema"]), each["required"], ""))
            for each in operation.get("parameters", ())
        ],
        takes=_content(operation.get("requestBody", {})),
        gives=_content(answer),
        status=status,
    )


def _content(body: Mapping[str, Any]) -> Kind | None:
    media = body.get("content", {})
    if not media:
        return None
    form, content = next(iter(media.items()))
    return _kind(content["schema"]) if form == "application/json" else [(form, None)]


def _type(name: str, schema: Mapping[str, Any]) -> Type:
    required = schema.get("required", ())
    members = [
        Member(member, _kind(each), member in required, _bounds(each))
        for member, each in schema.get("properties", {}).items()
    ]
    values = [str(value) for value in schema.get("enum", ())]
    return Type(name, _plain(schema.get("description", "")), members, values)


def _plain(markdown: str) -> str:
    """Leave out the marks of code, the only ones that descriptions have."""
    return markdown.replace("`", "")


def _kind(schema: Mapping[str, Any]) -> Kind:
    """Say what a schema takes; what has a name is told by it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [(name, name)]
    if "anyOf" in schema:
        return _alternatives(schema["anyOf"])
    if "enum" in schema:
        return [(" or ".join(f'"{value}"' for value in schema["enum"]), None)]
    if schema.get("type") == "array":
        return [("list of ", None), *_kind(schema.get("items", {}))]
    if isinstance(schema.get("additionalProperties"), Mapping):
        return [("object of ", None), *_kind(schema["additionalProperties"])]
    text = schema.get("format") or schema.get("type") or "anything"
    return [(text, None)]


def _alternatives(schemas: Iterable[Mapping[str, Any]]) -> Kind:
    parts: list[tuple[str, str | None]] = []
    for schema in schemas:
        parts += [*([(" or ", None)] if parts else []), *_kind(schema)]
    return parts


def _bounds(schema: Mapping[str, Any]) -> str:
    """Say what bounds a value, and what stands for one that is left out."""
    alternatives = [schema, *schema.get("anyOf", ())]
    found = [
        words.format(one[name])
        for one in alternatives
        for name, words in _BOUNDS.items()
        if name in one
    ]
    default = schema.get("default")
    if isinstance(default, str | int | float) and not isinstance(default, bool):
        found.append(f"{default} when left out")
    elif isinstance(default, bool):
        found.append(f"{str(default).lower()} when left out")
    return ", ".join(found)
