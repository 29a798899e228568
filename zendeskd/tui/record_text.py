"""A record as it is shown: its fields in columns, its links as rows, its source. Pure; what comes out is clean."""

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
from zendeskd.tui.widgets.grid import GridColumn, GridRow

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


def command(record: wire.RecordItem, verb: str = "record") -> str:
    """`zendeskctl record acme/zendesk/48213`, safe to paste; by its number here where the name is not fit to type."""
    name = f"{record.organization_id}/{record.source_system}/{record.external_id}"
    return f"zendeskctl {verb} {shlex.quote(name) if name == present.record_name(record) else record.id}"


def breadcrumb(record: wire.RecordItem, arrow: str, times: TimeStyle, now: datetime) -> str:
    """`Tickets › acme-eu › zendesk 48213 · copied 14:24:38`"""
    path = f" {arrow} ".join(("Tickets", present.clean(record.organization_id), name_of(record)))
    gone = " · deleted" if record.deleted_at is not None else ""
    return f"{path}{gone} · copied {times.clock(record.synced_at, now)}"


def link_breadcrumb(record: wire.RecordItem, link: wire.LinkItem, arrow: str) -> str:
    """`Tickets › acme-eu › zendesk 48213 › slack #payments · not here yet`"""
    end = present.clean(f"{link.system} {link.external_id}")
    path = f" {arrow} ".join(("Tickets", present.clean(record.organization_id), name_of(record), end))
    return f"{path} · not here yet"


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
        title = _in_lines(fields["title"].text, cells)[:TITLE_LINES]
        return Around([*title, [Cell("status ", "dim"), fields["status"]], [Cell("")]], [])
    whole = set()  # what stands before the body and is not cut
    head: list[Line] = []
    title = _in_lines(fields["title"].text, cells)
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
    return Around(head, [[Cell("")], *(line for name in rest for line in _below(name, fields[name], cells))])


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


def _below(name: str, cell: Cell, cells: int) -> list[Line]:
    """A field in full, in as many lines as it takes."""
    label = f"{name:<{LABEL}} "
    lines = _in_lines(cell.text, max(8, cells - len(label)))
    return [[Cell(" " * len(label) if index else label, "dim"), *line] for index, line in enumerate(lines)]


def _in_lines(text: str, cells: int) -> list[Line]:
    text = folding.readable(text)
    return [[Cell(text[row.begin : row.end])] for row in folding.folded(text, max(2, cells))]


# --- links ------------------------------------------------------------------------------------------------------------

_TITLES: Final = {
    "relation": "RELATION", "system": "SYSTEM", "id": "ID", "status": "STATUS", "title": "TITLE", "from": "FROM",
    "origin": "FROM",
}  # fmt: skip
_AT_LEAST: Final = {"relation": 13, "system": 8, "id": 11, "status": 13, "title": 12, "from": 11, "origin": 6}
_AT_MOST: Final = {"relation": 18, "system": 8, "id": 16, "status": 14, "title": 999, "from": 18, "origin": 6}
_TO_GO: Final = ("origin", "system")
"""What leaves first where the title would have no room; then the title itself."""


def link_columns(links: Sequence[wire.LinkItem], cells: int) -> list[GridColumn]:
    """As wide as what is in them, within bounds; the title takes what is left. Where there are few cells, who made a
    link is only in the link itself."""
    keys = [key for key in _TITLES if key != ("origin" if cells >= ALL_COLUMNS else "from")]
    wide = {}
    for key in keys:
        longest = max((present.width(_link_cell(key, link).text) for link in links), default=0)
        least = _AT_LEAST[key] if cells >= ALL_COLUMNS else len(_TITLES[key])
        wide[key] = min(max(longest, least), _AT_MOST[key])

    def left() -> int:
        """Cells for the title: what the others, the gaps and a blank at both ends leave."""
        return cells - 2 - sum(wide[key] + 2 for key in keys if key != "title")

    for key in _TO_GO:
        if key in keys and left() < _AT_LEAST["title"]:
            keys.remove(key)
    if left() < _AT_LEAST["title"]:
        keys.remove("title")
        wide["relation"] = max(8, wide["relation"] + min(0, left() + 2))
    wide["title"] = max(1, left())
    return [GridColumn(key, _TITLES[key], wide[key]) for key in keys]


def link_rows(
    links: Sequence[wire.LinkItem], columns: Sequence[GridColumn], *, is_faded: bool = False
) -> list[GridRow]:
    return [
        GridRow(link.id, tuple(_link_cell(column.key, link) for column in columns), is_faded=is_faded) for link in links
    ]


def _link_cell(key: str, link: wire.LinkItem) -> Cell:
    clean = present.clean
    match key:
        case "relation":
            return Cell(present.relation(link))
        case "system":
            return Cell(clean(link.system))
        case "id":
            return Cell(clean(link.external_id))
        case "status":
            return Cell("not here yet", "dim") if link.record_id is None else Cell(clean(link.status) or "-")
        case "title":
            return Cell(clean(link.title) or "-", "dim" if link.record_id is None else "plain")
        case "origin":
            return Cell(clean(link.origin))
        case _:
            return Cell(present.origin(link))


def link_lines(
    record: wire.RecordItem, link: wire.LinkItem, cells: int, times: TimeStyle, now: datetime, *, is_synced: bool
) -> list[Line]:
    """A link whose other end is not here. `is_synced`: the organisation has an integration that could bring it."""
    clean = present.clean
    org, system = clean(record.organization_id), clean(link.system)
    who = f" by {clean(link.created_by)}" if link.created_by else ""
    facts = {
        "relation": present.relation(link),
        "system": system,
        "id": f"{clean(link.external_id)} ({clean(link.record_type)})",
        "origin": f"{clean(link.origin)}{who}",
        "since": times.whole(link.created_at, now),
        "linked with": f"{name_of(record)}  {title_of(record)}",
    }
    coming = f"as soon as a run of {org} brings it" if is_synced else f"once {org} has an integration with {system}"
    return [
        *(line for name, text in facts.items() for line in _below(name, Cell(text), cells)),
        [Cell("")],
        *_in_lines(f"Its other end is not in the local copy yet. The record is shown here {coming}.", cells),
    ]


# --- the source -------------------------------------------------------------------------------------------------------


def source_json(raw: str) -> str:
    """The source's own JSON with one value a line; what is no JSON as it is."""
    encoded = raw.encode(errors="replace")
    try:
        text = present.json_text(msgspec.json.format(encoded, indent=2))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = raw
    return folding.readable(text)
