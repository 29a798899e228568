"""The rows of the list of organisations, and the sentences below it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.models import SYSTEMS
from zendeskd.present import Cell, Voice
from zendeskd.tui.listing import PROBLEMS
from zendeskd.tui.state import Key, key_of
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import GridColumn, GridRow
from zendeskd.tui.widgets.painting import wrapped

_ORG = GridColumn("org", "ORG", 9)
_NOW = GridColumn("now", "NOW", 12)
_LAST = GridColumn("last", "LAST", 11)
_AGE = GridColumn("age", "AGE", 6, right=True)
_NEXT = GridColumn("next", "NEXT", 7, right=True)
_TICKETS = GridColumn("tickets", "TICKETS", 7, right=True)
_RUNS = GridColumn("runs", "RUNS", 8)
_WHY = GridColumn("why", "WHY", 20)
ORG_MOST: Final = 24
WHY_MOST: Final = 60
_FULL: Final = 96
_SHORT: Final = 77
_LEAST: Final = ((2, 7), (1, 9), (0, 6))
"""Where there is no room for four columns: which yields first (by its place), and what it keeps. Names yield last."""


def columns(cells: int, longest: int) -> tuple[GridColumn, ...]:
    """What fits into so many cells; room that is left goes to the names (`longest`: in cells), then to the reasons."""
    if cells >= _FULL:
        chosen = [_ORG, _NOW, _LAST, _AGE, _NEXT, _TICKETS, _RUNS, _WHY]
    elif cells >= _SHORT:
        chosen = [_ORG, _NOW, _LAST, _AGE, _NEXT, _WHY]
    else:
        chosen = [_ORG, _NOW, _LAST, _AGE]
    spare = cells - 2 - sum(column.cells + 2 for column in chosen) + 1  # less the scrollbar and a cell beside it
    for place, least in _LEAST if spare < 0 else ():  # all four stay on the narrowest terminal
        yielded = min(-spare, chosen[place].cells - least)
        chosen[place] = chosen[place]._replace(cells=chosen[place].cells - yielded)
        spare += yielded
    wider = max(0, min(spare, min(ORG_MOST, longest) - _ORG.cells))
    chosen[0] = chosen[0]._replace(cells=chosen[0].cells + wider)
    if chosen[-1] is _WHY:
        chosen[-1] = _WHY._replace(cells=min(WHY_MOST, _WHY.cells + max(0, spare - wider)))
    return tuple(chosen)


def name_of(item: wire.SyncStatus) -> str:
    """The organisation, with the system where it is not the usual one."""
    org = present.clean(item.organization_id)
    return org if item.system_type == SYSTEMS[0] else f"{org} {present.clean(item.system_type)}"


def row(
    item: wire.SyncStatus,
    chosen: Sequence[GridColumn],
    voice: Voice,
    now: datetime,
    *,
    times: TimeStyle,
    marked: Collection[Key] = (),
    asked: Mapping[Key, str] | None = None,
    is_faded: bool = False,
) -> GridRow:
    """`asked`: what was sent and not yet confirmed, by integration; it stands in WHY until the daemon says so."""
    key = key_of(item)
    waits_for = (asked or {}).get(key)
    cells = tuple(_cell(column.key, item, voice, now, times, waits_for) for column in chosen)
    return GridRow(key, cells, key in marked, is_faded)


def _cell(
    column: str, item: wire.SyncStatus, voice: Voice, now: datetime, times: TimeStyle, waits_for: str | None
) -> Cell:
    match column:
        case "org":
            return Cell(name_of(item))
        case "now":
            return voice.now(item, now)
        case "last":
            return voice.last(item.last_status, present.last_error_code(item))
        case "age":
            age = present.age_cell(item, now)
            return age if times.is_relative else Cell(times.short(item.last_success_at, now), age.tone)
        case "next":
            cell = present.next_cell(item, now)
            shown = times.is_relative or item.run is not None or not _is_countdown(cell.text)
            return cell if shown else Cell(times.short(item.next_run_at, now), cell.tone)
        case "tickets":
            return Cell(present.number(item.total_records))
        case "runs":
            return voice.history(item.recent_runs)
        case _:
            return Cell(f"asked: {waits_for}", "busy") if waits_for else voice.why(item)


def _is_countdown(text: str) -> bool:
    return text[:1].isdigit()


# --- the sentences ----------------------------------------------------------------------------------------------------


def sentences(item: wire.SyncStatus, now: datetime, cells: int, *, ascii_only: bool = False) -> list[list[Cell]]:
    """Two lines: what happened, what the daemon does, what you can do. The last never yields to the others."""
    said, room = item.explanation, cells - 2
    you = " ".join(present.clean(said.you).split())
    fix = f"Fix: {you}" if you and item.health in PROBLEMS else you
    happened = f"{name_of(item)}: {present.clean(said.happened)}"
    daemon = present.clean(said.daemon)
    if item.health == "ok" and not you:
        daemon = f"{daemon} {present.known_until(item, now)}."
    lines = wrapped(" ".join(filter(None, (happened, daemon, fix))), room)
    if len(lines) > 2 and fix:
        both = f"{happened} {daemon}"
        first = both if present.width(both) <= room else happened
        lines = [present.cut(first, room, ascii_only=ascii_only), present.cut(fix, room, ascii_only=ascii_only)]
    elif len(lines) > 2:
        lines = [lines[0], present.cut(" ".join(lines[1:]), room, ascii_only=ascii_only)]
    return [[Cell(f" {line}")] for line in [*lines, "", ""][:2]]


# --- copying ----------------------------------------------------------------------------------------------------------


def copies(item: wire.SyncStatus, zendeskctl: str) -> list[tuple[str, str]]:
    """What can be copied of it, by name: its name, the last error, the commands that help, as they are typed here."""
    error = "" if item.last_error is None else present.clean(item.last_error.message)
    helps = re.findall(r"zendeskctl( [^()]*[^() ])", present.clean(item.explanation.you))
    return [
        ("name", present.clean(item.organization_id)),
        ("last error", error),
        *(("command", f"{zendeskctl}{each}") for each in helps),
    ]
