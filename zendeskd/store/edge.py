"""The edge between values and columns: rows become structs here, and text becomes what any database can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec
import peewee

from zendeskd.db import Database
from zendeskd.errors import NotFound, StorageError
from zendeskd.models import stamp

T = TypeVar("T")

MOST: Final = 2**63 - 1
"""The largest integer of a column."""

NO_DAY: Final = "1970-01-01T00:00:00.000Z"
"""`updated_at` of a record whose source tells neither when it changed nor when it was made: it sorts last."""


def struct_of(row: Mapping[str, Any], kind: type[T]) -> T:
    """A row (or what it holds of a struct's fields) as that struct. Raises StorageError if someone wrote nonsense."""
    try:
        return msgspec.convert(row, kind, strict=False)
    except msgspec.ValidationError as error:
        raise StorageError(
            f"A row of the database cannot be read as {kind.__name__} ({row.get('id')}): {error}.",
            hint="It was changed by hand or by another program; correct it there.",
        ) from error


def column_of(value: object) -> object:
    """A field's value as its column holds it."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (tuple, list)):
        return json_text(value)
    return value


def text(value: str) -> str:
    """Without NUL and lone surrogates, which no database holds: each becomes U+FFFD."""
    if "\0" not in value and (value.isascii() or is_utf8(value)):
        return value
    return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def text_or_none(value: str | None) -> str | None:
    return None if value is None else text(value)


def raw_text(value: str) -> str:
    """The same for JSON text, where the escape of such a character means the character."""
    return value.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()


def is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def sql_of(query: Any) -> str:
    """A peewee query as text, for one that is asked often with other values: to write it takes ten times as long as to
    run it."""
    sql: str = query.bind(peewee.SqliteDatabase(None)).sql()[0]
    return sql


def not_found(what: str, name: str, names: list[str], otherwise: str) -> NotFound:
    """`what` is a sentence without its full stop. The hint lists the names nearest to `name`."""
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return NotFound(f"{what}.", hint=f"Did you mean {' or '.join(near)}?" if near else otherwise)


class Part:
    """What the parts of the store share: the database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def _structs(self, query: Any, kind: type[T]) -> list[T]:
        return [struct_of(row, kind) for row in self._db.rows(query)]

    def _one(self, query: Any, kind: type[T], missing: Callable[[], NotFound]) -> T:
        for row in self._db.rows(query):
            return struct_of(row, kind)
        raise missing()
