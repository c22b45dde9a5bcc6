"""`/openapi.json`, made from the route table and the very types that decode requests."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from shaken.api.dialplan import PARAMETERS as DIALPLAN_PARAMETERS
from shaken.api.dialplan import SIGN_PATH
from shaken.api.forms import FORM_TYPE
from shaken.api.problems import CONTENT_TYPE, ProblemDocument
from shaken.api.routes import Form, Route
from shaken.api.signing_messages import SigningRequest, SigningResponse
from shaken.api.stir import SIGNING_PATH, VERIFICATION_PATH
from shaken.api.verification_messages import VerificationRequest, VerificationResponse
from shaken.credentials import Role

_STIR_MESSAGES = (SigningRequest, SigningResponse, VerificationRequest, VerificationResponse)
_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")


def openapi_document(routes: Sequence[Route], *, version: str) -> dict[str, Any]:
    """Describe the routes as OpenAPI 3.1."""
    types = [kind for route in routes for kind in (route.takes, route.gives) if kind is not None]
    unique = list(dict.fromkeys([*types, ProblemDocument, *_STIR_MESSAGES]))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {
        SIGNING_PATH: {"post": _signing(schema_of)},
        VERIFICATION_PATH: {"post": _verification(schema_of)},
        **{path: _dialplan(path) for path in DIALPLAN_PARAMETERS},
    }
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "shaken",
            "version": version,
            "summary": "STIR/SHAKEN signing and trust service",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    if route.gives is not None:
        answer["content"] = _content(schema_of[route.gives])
    elif route.status != 204:
        answer["content"] = {route.media_type: {"schema": {"type": "string"}}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "parameters": [
            *(_parameter(name, "path") for name in _PARAMETER.findall(route.path)),
            *(_parameter(name, "query") for name in route.query),
        ],
        "responses": {
            str(route.status): answer,
            "default": {
                "description": "What went wrong, and what to do (RFC 9457).",
                "content": {CONTENT_TYPE: {"schema": schema_of[ProblemDocument]}},
            },
        },
    }
    if route.takes is not None:
        content = _content(schema_of[route.takes])
        if route.form is not None:
            content[FORM_TYPE] = _form(schema_of[route.takes], route.form)
        operation["requestBody"] = {"required": True, "content": content}
    if route.conditional:
        operation["parameters"].append(_parameter("If-None-Match", "header"))
        answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
        operation["responses"]["304"] = {"description": "The client has this state already."}
    if route.role is not None:
        operation["description"] = f"Role: {route.role.value}."
        operation["security"] = [{"bearer": []}, {"basic": []}]
    return operation


def _signing(schema_of: dict[Any, Any]) -> dict[str, Any]:
    return {
        "summary": "Sign a call (ATIS-1000082, 3GPP TS 24.229 Annex V)",
        "operationId": "sign",
        "description": "Role: signer. Errors hold the ATIS `requestError` body.",
        "security": [{"bearer": []}, {"basic": []}],
        "parameters": [_parameter("tenant", "query")],
        "requestBody": {"required": True, "content": _content(schema_of[SigningRequest])},
        "responses": {
            "200": {
                "description": "The Identity header's value",
                "headers": {
                    "X-RequestID": {"schema": {"type": "string"}},
                    "X-Certificate": {"schema": {"type": "string"}},
                },
                "content": _content(schema_of[SigningResponse]),
            },
            "default": _STIR_ERROR,
        },
    }


def _verification(schema_of: dict[Any, Any]) -> dict[str, Any]:
    return {
        "summary": "Verify a call's Identity headers (ATIS-1000082, 3GPP TS 24.229 Annex V)",
        "operationId": "verify",
        "description": "Role: verifier. A negative verdict is answered 200, too; errors hold the"
        " ATIS `requestError` body.",
        "security": [{"bearer": []}, {"basic": []}],
        "requestBody": {"required": True, "content": _content(schema_of[VerificationRequest])},
        "responses": {
            "200": {
                "description": "The verdict",
                "headers": {"X-RequestID": {"schema": {"type": "string"}}},
                "content": _content(schema_of[VerificationResponse]),
            },
            "default": _STIR_ERROR,
        },
    }


def _dialplan(path: str) -> dict[str, Any]:
    verb = path.rpartition("/")[2]
    role = Role.SIGNER if path == SIGN_PATH else Role.VERIFIER
    operation = {
        "summary": f"{verb.capitalize()} a call, in one line of text",
        "description": f"Role: {role.value}. Parameters may stand in the URL or in a form; an"
        " answer that begins with `error:` is one.",
        "security": [{"bearer": []}, {"basic": []}],
        "parameters": [_parameter(name, "query") for name in DIALPLAN_PARAMETERS[path]],
        "responses": {
            "200": {"description": "The Identity, or the verdict", "content": _LINE},
            "default": {"description": "What is wrong, and what to do", "content": _LINE},
        },
    }
    return {
        method: {**operation, "operationId": f"dialplan_{method}_{verb}"}
        for method in ("get", "post")
    }


_LINE = {"text/plain": {"schema": {"type": "string"}}}


def _content(schema: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON schema is any JSON
    return {"application/json": {"schema": schema}}


def _form(schema: Any, form: Form) -> dict[str, Any]:  # noqa: ANN401 - a JSON schema is any JSON
    """Describe a form with the members of a schema; some of them are files of bytes."""
    binary = {name: {"contentType": "application/octet-stream"} for name in form.binary}
    return {"schema": schema, "encoding": binary}


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


_STIR_ERROR = {
    "description": "An ATIS-1000082 requestError",
    "content": _content({"type": "object"}),
}


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^a-z]+", " ", route.path.removeprefix("/api/v1").lower()).split()
    return "_".join([route.method.lower(), *words])
