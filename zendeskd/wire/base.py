"""What all shapes have in common, and errors (RFC 9457)."""

from __future__ import annotations

from typing import Final

import msgspec

SCHEMA: Final = 1
API_VERSION: Final = 1


class Reply(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=False):
    """Base of what the daemon sends."""


class Document(Reply, kw_only=True):
    """Base of whole reply documents."""

    schema: int = SCHEMA


class Request(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of what a caller sends."""


class ProblemItem(Reply, kw_only=True):
    """One of several things that are wrong. `path` names it: `organizations[3].integrations[0].interval`."""

    path: str
    detail: str
    hint: str = ""


class Problem(Reply, kw_only=True):
    """RFC 9457 `application/problem+json`: every error reply. `problems` lists all that is wrong with an import."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""
    field: str = ""
    problems: list[ProblemItem] = []
