"""The full-text index over title, body, requester, assignee and tags. SQLite's own (FTS5); all of its SQL is here.

The index keeps no copy of the text, so taking a row out wants the very text that was put in: it is read before the
row changes. Nothing is done by triggers, because a page of a thousand rows is one statement here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from zendeskd.store.edge import MOST, text

Entry = tuple[Any, ...]
"""(record id, title, body, requester, assignee, tags)"""

_ENTRIES: Final = (
    "SELECT id, title, body, requester, assignee, tags FROM flow_records WHERE id IN (SELECT value FROM json_each(?))"
)
_FORGET: Final = (
    "INSERT INTO flow_records_fts (flow_records_fts, rowid, title, body, requester, assignee, tags) "
    "VALUES ('delete', ?, ?, ?, ?, ?, ?)"
)
_LEARN: Final = "INSERT INTO flow_records_fts (rowid, title, body, requester, assignee, tags) VALUES (?, ?, ?, ?, ?, ?)"
_LEARN_RANGE: Final = (
    "INSERT INTO flow_records_fts (rowid, title, body, requester, assignee, tags) "
    "SELECT id, title, body, requester, assignee, tags FROM flow_records WHERE id BETWEEN ? AND ?"
)
_MERGE: Final = "INSERT INTO flow_records_fts (flow_records_fts, rank) VALUES ('merge', ?)"
_HITS: Final = "SELECT rowid FROM flow_records_fts WHERE flow_records_fts MATCH ? ORDER BY rowid DESC LIMIT ?"
_AMONG: Final = (
    "SELECT rowid FROM flow_records_fts WHERE flow_records_fts MATCH ? AND rowid BETWEEN ? AND ? "
    "AND +rowid IN (SELECT value FROM json_each(?))"  # with the plus: no look-up for each
)

_MOST_WORDS: Final = 32
_LONGEST_WORD: Final = 200

_WHOLE: Final = '"'
_BEGINNING: Final = '" *'
"""How a word ends in an expression. One that begins with a quote and a star looks like it, which costs some time."""

_WORTH_A_LOOK_UP: Final = 200
"""Hits that are read in the time of one look-up: each takes 0.1 to 0.4 µs, a look-up 20 µs in an index of one piece and
250 in one of 36."""


def entries(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Entry]:
    """What the index holds of these records, as long as they were not changed in this transaction."""
    return connection.execute(_ENTRIES, (json.dumps(ids),)).fetchall()


def forget(connection: sqlite3.Connection, old: Iterable[Entry]) -> None:
    connection.executemany(_FORGET, old)


def replace(connection: sqlite3.Connection, changed: Sequence[tuple[Entry, Entry]]) -> None:
    """(What the index holds of a record, what it is to hold), the lowest ids first. Each is taken out and put in at
    once: a word that it keeps is then one change, in one piece of the index, which no merge can part (see `merging`).
    """
    for old, new in changed:
        connection.execute(_FORGET, old)
        connection.execute(_LEARN, new)


def learn_range(connection: sqlite3.Connection, first: int, last: int) -> None:
    connection.execute(_LEARN_RANGE, (first, last))


def merge(connection: sqlite3.Connection, pages: int) -> bool:
    """Go on with merging the pieces of the index, for about so many of its pages of 16 KB. -> whether there was
    anything to do, as told by the count of changes (sqlite.org/fts5.html, "The 'merge' Command")."""
    before = connection.total_changes
    connection.execute(_MERGE, (pages,))
    return connection.total_changes not in (before, before + 1)


def expression(typed: str) -> str | None:
    """What a person typed as an FTS5 query: every word must be there, in any column; `pay*` is the start of one.

    Never raises and lets no operator through: each word is quoted, and what is joined by punctuation must stand
    together. None if there is not one word in it.
    """
    words = [word[:_LONGEST_WORD] for word in text(typed).split()]
    parts = [
        f'"{word.replace(chr(34), " ")}{_BEGINNING if word.endswith("*") else _WHOLE}'
        for word in words
        if any(char.isalnum() for char in word)
    ]
    return " AND ".join(parts[:_MOST_WORDS]) or None


def hits(connection: sqlite3.Connection, words: str, most: int) -> list[int]:
    """The ids of up to `most` records that match an `expression`, the highest first."""
    return [row[0] for row in connection.execute(_HITS, (words, most))]


def hits_among(connection: sqlite3.Connection, words: str, ids: Iterable[int], frequency: float) -> list[int]:
    """Those of the records that match an `expression`, of which about `frequency` of all do. Records whose ids lie
    near each other are looked up together; for the beginning of a word all are, as SQLite reads all its hits anyhow."""
    wanted = sorted(ids)
    apart = MOST if _BEGINNING in words else _WORTH_A_LOOK_UP / frequency
    ends = [place for place, (one, next_one) in enumerate(pairwise(wanted), 1) if next_one - one > apart]
    found: list[int] = []
    for begin, end in pairwise([0, *ends, len(wanted)]):
        some = wanted[begin:end]
        if some:
            found += (row[0] for row in connection.execute(_AMONG, (words, some[0], some[-1], json.dumps(some))))
    return found
