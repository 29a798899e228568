"""JSON that people wrote, as values; what is wrong with it, with the place and what would be right."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any, Final, TypeVar, get_args

import msgspec

from zendeskd.errors import BadRequest

T = TypeVar("T")

_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_AT: Final = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")


class Malformed(BadRequest):
    """The text is not JSON."""

    code = "malformed_json"
    status = 400


def decode(body: bytes, kind: type[T]) -> T:
    """The body as a `kind`. Raises Malformed (not JSON: where) or BadRequest (other JSON: which key)."""
    if not body.strip():
        raise BadRequest("the request has no body", hint=f"send a JSON object with {_listed(_keys(kind))}")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise misfit(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from None


def malformed(body: bytes, error: Exception) -> Malformed:
    """Says in which line and column the body stops being JSON."""
    if isinstance(error, RecursionError):
        return Malformed("the body is nested too deeply", hint="send the JSON that docs/api.md shows")
    if isinstance(error, UnicodeDecodeError):
        return Malformed("the body is not UTF-8", hint="JSON is always UTF-8")
    what = str(error)
    if what == "Input data was truncated":
        what = f"JSON is malformed: it ends too early (byte {len(body.rstrip())})"
    if (found := _BYTE.search(what)) is not None:
        before = body[: int(found[1])]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        what = f"{what[: found.start()].strip()} (line {line}, column {column})"
    return Malformed(what, hint="check the quotes and commas there")


def misfit(message: str, kind: Any) -> BadRequest:
    """msgspec's message about JSON of another shape, with the key it is about and what would be right."""
    path = found[1] if (found := _AT.search(message)) is not None else ""
    text = message[: found.start()] if found is not None else message
    if (unknown := _UNKNOWN.search(text)) is not None:
        name = unknown[1]
        return BadRequest(
            f"{name!r} is not known here", hint=nearest(name, _keys(kind)), field=f"{path}.{name}" if path else name
        )
    if (missing := _MISSING.search(text)) is not None:
        name = missing[1]
        return BadRequest(f"{name!r} is missing", field=f"{path}.{name}" if path else name, hint="give it")
    return BadRequest(f"{path}: {text}" if path else text, field=path, hint="docs/api.md shows the shape")


def nearest(name: str, known: Collection[str], *, what: str = "it can be") -> str:
    """A hint that names the nearest of `known`, or all of them."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6) or [
        one for one in known if one.lower() == name.lower().replace("_", "")
    ]
    return f"did you mean {near[0]!r}?" if near else f"{what} {_listed(known)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _keys(kind: Any) -> list[str]:
    """The JSON keys of a struct and of the structs within it."""
    found: dict[str, None] = {}
    seen: set[Any] = set()

    def walk(one: Any) -> None:
        if one in seen:
            return
        seen.add(one)
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            for field in msgspec.structs.fields(one):
                found[field.encode_name] = None
                walk(field.type)
        for inner in get_args(one):
            walk(inner)

    walk(kind)
    return list(found)
