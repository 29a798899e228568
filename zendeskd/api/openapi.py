"""The description of the whole API in OpenAPI 3.1, made from what answers: endpoints, shapes, table of operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from zendeskd import __version__, wire
from zendeskd.api.answering import JSON_TYPE
from zendeskd.api.asked import Answer, Asked, Endpoint
from zendeskd.api.events import HEARTBEAT_MAX_S, HEARTBEAT_S, NDJSON_TYPE, SSE_TYPE
from zendeskd.api.problems import PROBLEM_TYPE
from zendeskd.log_reading import LEVELS
from zendeskd.models import SYSTEMS, AnyCredential, Secret
from zendeskd.operations import OPERATIONS, Operation

Json = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{name}"
_TEXT: Final[Json] = {"type": "string"}
_FLAG: Final[Json] = {"type": "boolean"}
_ROW: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_SYSTEM: Final[Json] = {"type": "string", "enum": list(SYSTEMS)}
_SPAN: Final = 'an instant ("2026-11-24T08:00:00Z"), a date, or a span back from now ("30d")'

_PARAMETERS: Final[Mapping[str, tuple[str, Json]]] = {
    "system": ("the kind of source system", _SYSTEM),
    "org": ("the organisation's id", _TEXT),
    "id": ("its number", _ROW),
    "link_id": ("the number of a link", _ROW),
    "organizationId": ("the organisation's id", _TEXT),
    "status": ("the status of the record, as its source writes it", _TEXT),
    "tag": ("a tag of the record", _TEXT),
    "deleted": ("true: deleted ones alone, false: without them", _FLAG),
    "q": ("words that must all be there", _TEXT),
    "recordType": ("the kind of record", _TEXT),
    "failed": ("only runs that failed", _FLAG),
    "run": ("the number of a run", _ROW),
    "level": ("this level and above", {"type": "string", "enum": list(LEVELS), "default": "info"}),
    "since": (_SPAN, _TEXT),
    "until": ("an instant", _TEXT),
    "after": ("`next` of the page before", _TEXT),
}
"""Parameters of paths and queries by name: what they are, and their schema. `limit` is the endpoint's own."""

_RECORD: Final = ("its local id, or ORG/SYSTEM/EXTERNAL_ID", _TEXT)

_ALWAYS: Final = (400, 403, 422, 429, 500, 503)
_INTRO: Final = """\
HTTP/1.1 over a Unix socket; any host name will do. Who calls is known from the kernel, there is nothing to log in
with: an *operator* may do everything, a *viewer* all that has `x-changes: false`. docs/api.md explains every call.
"""


def endpoint(others: Iterable[Endpoint]) -> Endpoint:
    """`GET /api/openapi.json`, which describes the other endpoints and itself."""

    @cache
    def document() -> Json:
        return describe((*others, itself))

    def openapi(_: Asked) -> Answer:
        return Answer(document())

    itself = Endpoint(("openapi",), "GET", "/api/openapi.json", openapi, replies={200: dict[str, Any]})
    return itself


def describe(endpoints: Iterable[Endpoint]) -> Json:
    known = tuple(endpoints)
    kinds = [kind for one in known for kind in _kinds_of(one)]
    kinds = list(dict.fromkeys([*kinds, AnyCredential, wire.Problem, wire.Event]))
    references, shapes = msgspec.json.schema_components(kinds, schema_hook=_secret, ref_template=_REFERENCE)
    schemas = dict(zip(kinds, references, strict=True))
    # kept as the bytes they came as, so that nothing but the vault ever decodes them
    shapes["IntegrationSpec"]["properties"]["credentials"] = {"anyOf": [schemas[AnyCredential], {"type": "null"}]}
    paths: dict[str, Json] = {"/api/events": {"get": _events(schemas)}}
    for one in known:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "zendeskd", "version": __version__, "description": _INTRO},
        "servers": [{"url": "http://zendeskd"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": shapes},
    }


def _secret(kind: type) -> Json:
    if kind is Secret:
        return {"type": "string", "writeOnly": True}
    raise NotImplementedError


def _kinds_of(one: Endpoint) -> Iterator[Any]:
    """The shapes that it takes and gives."""
    for kind in one.replies.values():
        yield from kind if isinstance(kind, tuple) else (kind,)
    if one.takes is not None:
        yield one.takes


def _operation(one: Endpoint, schemas: Mapping[Any, Json]) -> Json:
    about = _named(one.name, [operation for operation in OPERATIONS if operation.name in one.operations])
    about["parameters"] = [*_path_parameters(one.path), *_query_parameters(one)]
    if one.takes is not None:
        content = {JSON_TYPE: {"schema": schemas[one.takes]}}
        about["requestBody"] = {"required": not one.may_be_empty, "content": content}
    about["responses"] = _responses(one, schemas)
    return about


def _named(name: str, operations: list[Operation]) -> Json:
    """`x-operations`: as the audit log names them; more than one where the body says which is meant."""
    return {
        "operationId": name,
        "summary": ", ".join(one.name.replace("_", " ") for one in operations),
        "x-operations": [one.name for one in operations],
        "x-changes": operations[0].changes,
    }


def _path_parameters(path: str) -> Iterator[Json]:
    for name in (part[1:-1] for part in path.split("/") if part.startswith("{")):
        about, schema = _RECORD if name == "id" and path.startswith("/api/records/") else _PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _query_parameters(one: Endpoint) -> Iterator[Json]:
    for name in one.query:
        about, schema = _PARAMETERS[name]
        if name in one.several:
            about, schema = f"{about}; may come several times", {"type": "array", "items": schema}
        yield _query_parameter(name, about, schema, required=name in one.needs)
    if one.page is not None:
        default, most = one.page
        schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
        yield _query_parameter("limit", "at most so many", schema)


def _query_parameter(name: str, about: str, schema: Json, *, required: bool = False) -> Json:
    """An empty one is as good as none."""
    known: Json = {"name": name, "in": "query", "required": required, "allowEmptyValue": not required}
    return {**known, "description": about, "schema": schema}


def _responses(one: Endpoint, schemas: Mapping[Any, Json]) -> Json:
    told = {status: {JSON_TYPE: {"schema": _either(kind, schemas)}} for status, kind in one.replies.items()}
    for status in _refusals(one):
        told.setdefault(status, {})[PROBLEM_TYPE] = {"schema": schemas[wire.Problem]}
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": content}
        for status, content in sorted(told.items())
    }


def _either(kind: Any, schemas: Mapping[Any, Json]) -> Json:
    return {"anyOf": [schemas[one] for one in kind]} if isinstance(kind, tuple) else schemas[kind]


def _refusals(one: Endpoint) -> Iterator[int]:
    """The statuses with which it may be answered by a problem."""
    yield from _ALWAYS
    if "{" in one.path or "organizationId" in one.query or one.changes:
        yield 404
    if one.method not in {"GET", "DELETE"}:
        yield from (408, 413)
    if one.changes:
        yield from (409, 502)


def _events(schemas: Mapping[Any, Json]) -> Json:
    """OpenAPI 3.1 has no word for one document after the other; `x-line` is the schema of each."""
    about = _named("events", [operation for operation in OPERATIONS if operation.name == "events"])
    heartbeat = {"type": "integer", "minimum": 1, "maximum": HEARTBEAT_MAX_S, "default": HEARTBEAT_S}
    about["parameters"] = [_query_parameter("heartbeatS", "an empty line comes after so many quiet seconds", heartbeat)]
    line = {"schema": {"type": "string"}, "x-line": schemas[wire.Event]}
    problem = {PROBLEM_TYPE: {"schema": schemas[wire.Problem]}}
    about["responses"] = {
        "200": {"description": "a stream that does not end", "content": {NDJSON_TYPE: line, SSE_TYPE: line}},
        **{str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in _ALWAYS},
    }
    return about
