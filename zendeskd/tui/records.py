"""The list of records: its columns and rows, and the lines above it. Pure; words from outside are cleaned."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

from zendeskd import present, wire
from zendeskd.models import SYSTEMS
from zendeskd.present import Cell
from zendeskd.tui import finding, folding
from zendeskd.tui.cards import synced
from zendeskd.tui.pages import Pages
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import GridColumn, GridRow

_ID = GridColumn("id", "ID", 6, right=True)
_ORG = GridColumn("org", "ORG", 9)
_STATUS = GridColumn("status", "STATUS", 9)
_PRIO = GridColumn("prio", "PRIO", 7)
_CHANGED = GridColumn("changed", "CHANGED", 12)
_REQUESTER = GridColumn("requester", "REQUESTER", 15)
_LINKS = GridColumn("links", "LINKS", 5, right=True)
_TITLE = GridColumn("title", "TITLE", 0)

TITLE_LEAST: Final = 28
"""Below that the title takes the room of links, priority and requester, in this order."""

TITLE_POOR: Final = 16
"""Below that it takes the room of the others too."""

TINY: Final = 50
ID_MOST: Final = 16
ORG_MOST: Final = 16
TITLE_READ: Final = 400
"""Characters of a title that are looked at: no list is wider."""


class Widths:
    """The longest id and name so far, so that columns grow and never shrink while somebody scrolls."""

    def __init__(self) -> None:
        self.id = self.org = 0
        self._seen: Mapping[int, wire.RecordItem] = {}
        self._count = 0

    def measure(self, items: Mapping[int, wire.RecordItem]) -> None:
        """Looks at those that are new, once; they come after the others."""
        begin = self._count if items is self._seen else 0
        self._seen, self._count = items, len(items)
        for item in islice(items.values(), begin, None):
            self.id = max(self.id, present.width(name_of(item)))
            self.org = max(self.org, present.width(present.clean(item.organization_id)))

    def columns(self, cells: int, *, has_orgs: bool) -> tuple[GridColumn, ...]:
        return columns(cells, longest_id=self.id, longest_org=max(1, self.org) if has_orgs else 0)


def columns(cells: int, *, longest_id: int = 0, longest_org: int = 0) -> tuple[GridColumn, ...]:
    """What fits into so many cells. `longest_org`: cells of the longest name where organisations are to be told
    apart, else 0."""
    shown = [_ID, _STATUS, _PRIO, _CHANGED, _REQUESTER, _LINKS]
    shown[0] = _ID._replace(cells=min(ID_MOST, max(_ID.cells, longest_id)))
    if longest_org:
        shown.insert(1, _ORG._replace(cells=min(ORG_MOST, max(_ORG.cells, longest_org))))
    to_go = [(_LINKS, TITLE_LEAST), (_PRIO, TITLE_LEAST), (_REQUESTER, TITLE_LEAST)]
    to_go += [(_CHANGED, TITLE_POOR), (_STATUS, TITLE_POOR)]
    for column, least in to_go:
        if _left(cells, shown) < least or (cells < TINY and column in (_CHANGED, _STATUS)):
            shown.remove(column)
    return (*shown, _TITLE._replace(cells=max(1, _left(cells, shown))))


def _left(cells: int, shown: Sequence[GridColumn]) -> int:
    """Cells for the title: less the first column, the gaps, and the scrollbar with a cell beside it."""
    return cells - 3 - sum(column.cells + 2 for column in shown)


def name_of(item: wire.RecordItem) -> str:
    """The source's own id, with the system where it is not the usual one: `48213`, `jira:PAY-2231`."""
    known = item.source_system == SYSTEMS[0]
    return present.clean(item.external_id if known else f"{item.source_system}:{item.external_id}")


def title_of(item: wire.RecordItem) -> str:
    return folding.readable(present.clean((item.title or "")[:TITLE_READ]).strip()) or "-"


def row(
    item: wire.RecordItem,
    chosen: Sequence[GridColumn],
    times: TimeStyle,
    now: datetime,
    *,
    pattern: re.Pattern[str] | None = None,
    is_faded: bool = False,
) -> GridRow:
    """`pattern`: what is marked in the title."""
    is_gone = item.deleted_at is not None
    cells = tuple(_cell(column.key, item, times, now, is_gone=is_gone) for column in chosen)
    marks = tuple((len(chosen) - 1, *span) for span in finding.spans(cells[-1].text, pattern))
    return GridRow(item.id, cells, is_faded=is_faded or is_gone, marks=marks)


def _cell(column: str, item: wire.RecordItem, times: TimeStyle, now: datetime, *, is_gone: bool) -> Cell:
    clean = present.clean
    match column:
        case "id":
            return Cell(name_of(item))
        case "org":
            return Cell(clean(item.organization_id))
        case "status":
            return Cell("deleted") if is_gone else Cell(clean(item.status) or "-")
        case "prio":
            return Cell(clean(item.priority) or "-")
        case "changed":
            return Cell(times.day(item.updated_at, now))
        case "requester":
            return Cell(clean(item.requester) or ("(removed)" if is_gone else "-"))
        case "links":
            return Cell(present.number(item.link_count) if item.link_count else "")
        case _:
            return Cell(title_of(item))


# --- the lines above --------------------------------------------------------------------------------------------------


def heading(
    orgs: Sequence[str], items: Sequence[wire.SyncStatus], arrow: str, times: TimeStyle, now: datetime, cells: int
) -> str:
    """`Tickets › acme-eu · local copy, synced to 14:18:24 (6m behind)`; of several the oldest. No `orgs`: all. Fewer
    words where it would be longer than `cells`."""
    names = present.clean(", ".join(orgs[:3]))
    who = "all organisations" if not orgs else names if len(orgs) <= 3 else f"{len(orgs)} organisations"
    begin, age = f"Tickets {arrow} {who} · ", _as_of(items, times, now)
    said = [f"{begin}local copy, {age}", f"{begin}{age}", f"{begin}{age.replace('synced to ', '')}"]
    return next((each for each in said if present.width(each) <= cells), said[-1])


def _as_of(items: Sequence[wire.SyncStatus], times: TimeStyle, now: datetime) -> str:
    dated = [item for item in items if item.watermark is not None or item.last_success_at is not None]
    if len(items) <= 1 or not dated:
        return synced(items[0], now, times) if items else "not complete yet"
    oldest = min(dated, key=lambda item: item.watermark or item.last_success_at or "")
    missing = len(items) - len(dated)
    return f"oldest {synced(oldest, now, times)}" + (f", {missing} not complete yet" if missing else "")


def title(pages: Pages | None, *, is_slow: bool, is_newer: bool) -> str:
    """`Tickets 4 · search payment 500 · newest change first`; `100+` as long as the end is not known. `is_slow`: what
    was asked for is not here yet."""
    if pages is None:
        return "Tickets · reading ..."
    parts = [f"Tickets {present.number(len(pages))}{'' if pages.is_over else '+'}"]
    if is_newer:
        parts.append("newer ones above: g")
    if is_slow:
        parts.append("searching ...")
    elif pages.is_reading and not len(pages):
        parts.append("looking further back ...")
    if pages.typed:
        parts.append(f"search {present.clean(pages.typed)}")
    return " · ".join([*parts, "newest change first"])


def note(pages: Pages | None, orgs: Sequence[str], zendeskctl: str, *, is_live: bool) -> str:
    """What an empty list says; "" where it is not empty, or not read yet."""
    if pages is not None and len(pages):
        return ""
    if pages is None or not pages.is_over:
        return "" if is_live else "\n The tickets are read as soon as the daemon answers."
    if pages.typed:
        return f"\n Nothing in the local copy matches {present.clean(pages.typed)}\n\n esc shows all again."
    name = present.clean(orgs[0]) if len(orgs) == 1 else "ORG"
    return f"\n No tickets here yet. They come with the first run:\n\n   {zendeskctl} trigger {name}"
