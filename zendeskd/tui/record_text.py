"""A record as it is shown: its fields in columns, its source. Pure; what comes out is clean."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from zendeskd import present, wire
from zendeskd.present import Cell
from zendeskd.tui import folding
from zendeskd.tui.times import TimeStyle

ALL_COLUMNS: Final = 92
"""In so many cells the fields stand in three columns, and all of them fit."""

TWO_COLUMNS: Final = 56
TITLE_LINES: Final = 2
LABEL: Final = 12
"""Cells for the names of the fields that stand below each other."""

Line = list[Cell]


class Place(NamedTuple):
    """A field in a line of several: cells for its name with the gap, and for its value with the gap (0: the rest)."""

    name: str
    label: int
    value: int


_WIDE: Final = (
    (Place("status", 10, 14), Place("requester", 11, 21), Place("created", 9, 0)),
    (Place("priority", 10, 14), Place("assignee", 11, 21), Place("changed", 9, 0)),
    (Place("tags", 10, 14), Place("group", 11, 21), Place("customer", 9, 0)),
)
_NARROW: Final = ((Place("status", 10, 0),), (Place("requester", 11, 0),), (Place("changed", 10, 0),))


def _usual(cells: int) -> tuple[tuple[Place, ...], ...]:
    """Two columns, the first with what is left of its half."""
    first = max(14, cells // 2 - 14)
    return (
        (Place("status", 10, first), Place("requester", 11, 0)),
        (Place("priority", 10, first), Place("assignee", 11, 0)),
        (Place("tags", 10, first), Place("changed", 11, 0)),
    )


# --- fields -----------------------------------------------------------------------------------------------------------


def title_of(record: wire.RecordItem) -> str:
    return present.clean(record.title).strip() or "(no title)"


def name_of(record: wire.RecordItem) -> str:
    """`zendesk 48213`"""
    return present.clean(f"{record.source_system} {record.external_id}")


def command(zendeskctl: str, record: wire.RecordItem, verb: str = "record") -> str:
    """`zendeskctl record acme/zendesk/48213`, safe to paste; by its number here where the name is not fit to type."""
    name = f"{record.organization_id}/{record.source_system}/{record.external_id}"
    return f"{zendeskctl} {verb} {shlex.quote(name) if name == present.record_name(record) else record.id}"


def breadcrumb(record: wire.RecordItem, arrow: str, times: TimeStyle, now: datetime) -> str:
    """`Tickets › acme-eu › zendesk 48213 · copied 14:24:38`"""
    path = f" {arrow} ".join(("Tickets", present.clean(record.organization_id), name_of(record)))
    gone = " · deleted" if record.deleted_at is not None else ""
    return f"{path}{gone} · copied {times.clock(record.synced_at, now)}"


def _fields(record: wire.RecordDocument, times: TimeStyle, now: datetime) -> dict[str, Cell]:
    """Everything that is stored of it, by name."""
    clean, gone = present.clean, record.deleted_at is not None
    words = {
        "title": title_of(record),
        "status": "deleted" if gone else clean(record.status),
        "priority": clean(record.priority),
        "requester": clean(record.requester),
        "assignee": clean(record.assignee),
        "group": clean(record.group_name),
        "customer": clean(record.customer),
        "tags": clean(" ".join(record.tags)),
        "created": times.whole(record.created_at, now),
        "changed": times.whole(record.updated_at, now),
        "url": clean(record.url),
        "system": f"{clean(record.source_system)}, {clean(record.record_type)} {clean(record.external_id)}",
        "version": str(record.source_version),
        "first copied": times.whole(record.first_synced_at, now),
        "copied": times.whole(record.synced_at, now),
        "id here": str(record.id),
    }
    if gone:
        was = "" if record.status in {None, "deleted"} else f"; it was {clean(record.status)}"
        words["deleted"] = f"{times.whole(record.deleted_at, now)}{was}"
    return {
        name: Cell(text or "-", "warn" if name == "deleted" or (gone and name == "status") else "plain")
        for name, text in words.items()
    }


class Around(NamedTuple):
    """The lines before the body and those after it."""

    head: list[Line]
    tail: list[Line]


def around(
    record: wire.RecordDocument,
    cells: int,
    times: TimeStyle,
    now: datetime,
    *,
    is_low: bool = False,
    is_bare: bool = False,
    ascii_only: bool = False,
) -> Around:
    """What stands around the body in so many cells. `is_low`: few lines, so that the most important fields stand
    before the body and the others after it. `is_bare`: title and status alone. What had to be cut before the body
    stands in full after it."""
    fields = _fields(record, times, now)
    if is_bare:
        title = in_lines(fields["title"].text, cells)[:TITLE_LINES]
        return Around([*title, [Cell("status ", "dim"), fields["status"]], [Cell("")]], [])
    whole = set()  # what stands before the body and is not cut
    head: list[Line] = []
    title = in_lines(fields["title"].text, cells)
    if len(title) > 1 or present.width(fields["title"].text) > cells - 2:
        head += title[:TITLE_LINES]
    if len(title) <= TITLE_LINES:
        whole.add("title")
    is_wide = cells >= ALL_COLUMNS and not is_low
    for row in _WIDE if is_wide else _usual(cells) if cells >= TWO_COLUMNS else _NARROW:
        line, shown = _row(row, fields, cells, ascii_only=ascii_only)
        head.append(line)
        whole |= shown
    if "deleted" in fields:
        head.append(_labelled("deleted", fields["deleted"], 10))
        whole |= {"deleted"} if 10 + present.width(fields["deleted"].text) <= cells else set()
    if is_wide and record.url:
        head.append([Cell(present.cut(fields["url"].text, cells, ascii_only=ascii_only))])
        whole |= {"url"} if present.width(fields["url"].text) <= cells else set()
    head.append([Cell("")])
    rest = [name for name in fields if name not in whole]
    return Around(head, [[Cell("")], *(line for name in rest for line in below(name, fields[name], cells))])


def _row(places: Sequence[Place], fields: dict[str, Cell], cells: int, *, ascii_only: bool) -> tuple[Line, set[str]]:
    """-> the line, and the names of the fields that are not cut in it."""
    line, used, whole = [], 0, set()
    for name, label, value in places:
        room = value - 2 if value else max(1, cells - used - label)
        text = present.cut(fields[name].text, room, ascii_only=ascii_only)
        if text == fields[name].text:
            whole.add(name)
        gap = " " * (value - present.width(text)) if value else ""
        line += [Cell(f"{name:<{label}}", "dim"), Cell(text, fields[name].tone), Cell(gap)]
        used += label + value
    return line, whole


def _labelled(name: str, cell: Cell, label: int = LABEL) -> Line:
    return [Cell(f"{name:<{label}}", "dim"), cell]


def below(name: str, cell: Cell, cells: int) -> list[Line]:
    """A field in full, in as many lines as it takes."""
    label = f"{name:<{LABEL}} "
    lines = in_lines(cell.text, max(8, cells - len(label)))
    return [[Cell(" " * len(label) if index else label, "dim"), *line] for index, line in enumerate(lines)]


def in_lines(text: str, cells: int) -> list[Line]:
    text = folding.readable(text)
    return [[Cell(text[row.begin : row.end])] for row in folding.folded(text, max(2, cells))]


# --- the source -------------------------------------------------------------------------------------------------------


def source_json(raw: str) -> str:
    """The source's own JSON with one value a line; what is no JSON as it is."""
    encoded = raw.encode(errors="replace")
    try:
        text = present.json_text(msgspec.json.format(encoded, indent=2))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = raw
    return folding.readable(text)
