"""A link as it is shown: in the list of a record, and by itself while its other end is not here. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.present import Cell
from zendeskd.tui import record_text
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import GridColumn, GridRow

_TITLES: Final = {
    "relation": "RELATION", "system": "SYSTEM", "id": "ID", "status": "STATUS", "title": "TITLE", "from": "FROM",
    "origin": "FROM",
}  # fmt: skip
_AT_LEAST: Final = {"relation": 13, "system": 8, "id": 11, "status": 13, "title": 12, "from": 11, "origin": 6}
_AT_MOST: Final = {"relation": 18, "system": 8, "id": 16, "status": 14, "title": 999, "from": 18, "origin": 6}
_TO_GO: Final = ("origin", "system")
"""What leaves first where the title would have no room; then the title itself."""


def columns(links: Sequence[wire.LinkItem], cells: int) -> list[GridColumn]:
    """As wide as what is in them, within bounds; the title takes what is left. Where there are few cells, who made a
    link is only in the link itself."""
    keys = [key for key in _TITLES if key != ("origin" if cells >= record_text.ALL_COLUMNS else "from")]
    wide = {}
    for key in keys:
        longest = max((present.width(_cell(key, link).text) for link in links), default=0)
        least = _AT_LEAST[key] if cells >= record_text.ALL_COLUMNS else len(_TITLES[key])
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


def rows(links: Sequence[wire.LinkItem], columns: Sequence[GridColumn], *, is_faded: bool = False) -> list[GridRow]:
    return [GridRow(link.id, tuple(_cell(column.key, link) for column in columns), is_faded=is_faded) for link in links]


def _cell(key: str, link: wire.LinkItem) -> Cell:
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


def facts_of(
    record: wire.RecordItem, link: wire.LinkItem, cells: int, times: TimeStyle, now: datetime, *, is_synced: bool
) -> list[record_text.Line]:
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
        "linked with": f"{record_text.name_of(record)}  {record_text.title_of(record)}",
    }
    coming = f"as soon as a run of {org} brings it" if is_synced else f"once {org} has an integration with {system}"
    return [
        *(line for name, text in facts.items() for line in record_text.below(name, Cell(text), cells)),
        [Cell("")],
        *record_text.in_lines(f"Its other end is not in the local copy yet. The record is shown here {coming}.", cells),
    ]


def breadcrumb(record: wire.RecordItem, link: wire.LinkItem, arrow: str) -> str:
    """`Tickets › acme-eu › zendesk 48213 › slack #payments · not here yet`"""
    end = present.clean(f"{link.system} {link.external_id}")
    path = f" {arrow} ".join(("Tickets", present.clean(record.organization_id), record_text.name_of(record), end))
    return f"{path} · not here yet"
