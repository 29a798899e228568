"""What is said about runs: their list, and everything about one of them. Pure; text and tones, no Textual."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from zendeskd import present, wire
from zendeskd.present import Cell, Tone, Voice, number
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import GridColumn, GridRow
from zendeskd.tui.widgets.painting import wrapped

Line = list[Cell]
BAR_CELLS: Final = 21
_COLUMNS: Final = (
    GridColumn("run", "RUN", 6, right=True),
    GridColumn("started", "STARTED", 8),
    GridColumn("took", "TOOK", 7, right=True),
    GridColumn("result", "RESULT", 11),
    GridColumn("read", "READ", 6, right=True),
    GridColumn("new", "NEW", 5, right=True),
    GridColumn("upd", "UPD", 6, right=True),
    GridColumn("skip", "SKIP", 4, right=True),
    GridColumn("by", "BY", 10),
    GridColumn("why", "WHY", 10),
)


def columns(cells: int) -> tuple[GridColumn, ...]:
    chosen = list(_COLUMNS)
    for unwanted in ("upd", "skip", "by", "new", "why", "read"):
        if _total(chosen) <= cells - 2:
            break
        chosen = [column for column in chosen if column.key != unwanted]
    spare = max(0, cells - 2 - _total(chosen))
    if chosen[-1].key == "why":
        chosen[-1] = chosen[-1]._replace(cells=min(80, chosen[-1].cells + spare))
    return tuple(chosen)


def _total(chosen: Sequence[GridColumn]) -> int:
    return sum(column.cells + 2 for column in chosen) - 1


def rows(
    item: wire.SyncStatus | None,
    runs: Sequence[wire.RunSummary],
    chosen: Sequence[GridColumn],
    voice: Voice,
    now: datetime,
    times: TimeStyle,
    *,
    is_faded: bool = False,
) -> list[GridRow]:
    """Newest first. The numbers of the run going on are those of the live status, which is newer than any list."""
    live = None if item is None else item.run
    made = []
    for run in runs:
        cells = _cells(run, live if live is not None and live.id == run.id else None, voice, now, times)
        made.append(GridRow(run.id, tuple(cells[column.key] for column in chosen), is_faded=is_faded))
    return made


def _cells(
    run: wire.RunSummary, live: wire.LiveRun | None, voice: Voice, now: datetime, times: TimeStyle
) -> dict[str, Cell]:
    began = present.moment(run.started_at)
    is_today = began is not None and times.local(began).date() == times.local(now).date()
    lasted = present.took(run.duration_ms)
    if run.duration_ms is None and began is not None and run.status == "running":
        lasted = took(now - began)
    read, new, upd, skip = run.records_processed, run.records_created, run.records_updated, run.records_failed
    if live is not None:
        read, new, upd, skip = live.records, live.created, live.updated, live.failed
    return {
        "run": Cell(str(run.id)),
        "started": Cell(times.clock(run.started_at, now) if is_today else times.short(run.started_at, now)),
        "took": Cell(lasted),
        "result": voice.last(run.status, run.error_code),
        "read": Cell(number(read)),
        "new": Cell(number(new)),
        "upd": Cell(number(upd)),
        "skip": Cell(number(skip)),
        "by": Cell(present.clean(run.requested_by or run.trigger).replace("(dashboard)", "(tui)")),
        "why": Cell(why(run)),
    }


def why(run: wire.RunSummary) -> str:
    """Why a run did not end well, in a few words."""
    if run.status in {"success", "running", "queued"}:
        return ""
    if run.error_message:
        return present.clean(run.error_message)
    if run.status == "partial":
        return f"{number(run.records_failed)} skipped"
    return present.clean(run.end_reason).replace("_", " ")


def title(runs: Sequence[wire.RunSummary], now: datetime) -> str:
    """`Runs · 24h: 95 ok, 1 partial, 1 failed · median 6s · p95 31s`, of what was read."""
    ended = [run for run in runs if run.status not in {"running", "queued"}]
    recent = [run for run in ended if (at := present.moment(run.queued_at)) and now - at <= timedelta(hours=24)]
    span = "24h" if len(recent) < len(ended) or len(ended) < 100 else f"last {len(ended)}"
    found: dict[str, int] = {}
    for run in recent:
        word = "ok" if run.status == "success" else present.clean(run.status)
        found[word] = found.get(word, 0) + 1
    parts = ["Runs", f"{span}: {', '.join(f'{count} {word}' for word, count in found.items()) or 'none'}"]
    lasted = sorted(run.duration_ms for run in recent if run.duration_ms is not None)
    if len(lasted) > 1:
        parts.append(f"median {present.took(int(statistics.median(lasted)))}")
        parts.append(f"p95 {present.took(lasted[math.ceil(0.95 * len(lasted)) - 1])}")
    return " · ".join(parts)


def facts(
    run: wire.RunDocument,
    voice: Voice,
    now: datetime,
    times: TimeStyle,
    cells: int,
    troubles: Sequence[tuple[str, str]] = (),
) -> list[Line]:
    """Everything that is known about one run, for its own screen. `troubles`: name and sentence of what went wrong on
    the way."""
    began = present.moment(run.started_at)
    lasted = present.took(run.duration_ms)
    if run.duration_ms is None and began is not None:
        lasted = f"{took(now - began)} so far"
    asked = f"{times.clock(run.queued_at, now)} by {present.clean(run.requested_by or run.trigger)}"
    started = f"{times.clock(run.started_at, now)}, took {lasted}" if began is not None else "not begun yet"
    result = [
        Cell("result    "),
        voice.last(run.status, run.error_code),
        Cell(f"   {present.clean(run.end_reason).replace('_', ' ')}"),
    ]
    lines = [*_fact("asked", f"{asked} · started {started}", cells), *_amounts(run, cells)]
    for name, sentence in troubles:
        lines += _fact(name, sentence, cells, "warn", most=2)
    return [result, *_urgent(run, voice, now, cells), *lines]  # on small terminals the end is cut


def _amounts(run: wire.RunDocument, cells: int) -> list[Line]:
    """What it read and what it asked; of a run that goes on, as far as it is."""
    live = run.live
    read = counted(run.records_processed, run.records_created, run.records_updated, run.records_unchanged)
    pages, calls, retries = run.pages, run.api_calls, run.retries
    deleted, skipped = run.records_deleted, run.records_failed
    if live is not None:
        read = counted(live.records, live.created, live.updated, live.unchanged)
        pages, calls, retries = live.pages, live.api_calls, live.retries
        deleted, skipped = live.deleted, live.failed
    waited = f", {present.took(run.rate_limit_wait_ms)} waiting for rate limits" if run.rate_limit_wait_ms else ""
    records = f"{read}, {number(deleted)} deleted, {number(skipped)} skipped".replace("   ", ", ")
    requests = f"{number(calls)} in {present.plural(pages, 'page')}, {number(retries)} retries{waited}"
    return [*_fact("records", records, cells), *_fact("requests", requests, cells)]


def _urgent(run: wire.RunDocument, voice: Voice, now: datetime, cells: int) -> list[Line]:
    """What goes on, what it waits for, what went wrong."""
    live, lines = run.live, list[Line]()
    if live is not None:
        lines.append([Cell(f"now       {progress(live, voice)}", "busy")])
        if live.waiting_until is not None:
            waits = f"{present.until(live.waiting_until, now)}: {present.clean(live.waiting_for)}"
            lines += _fact("waits", waits, cells, "warn")
    if run.error_message or run.error_code:
        quoted = f" · request {present.clean(run.request_id)}" if run.request_id else ""
        said = f"{present.clean(run.error_code)}: {present.clean(run.error_message)}{quoted}"
        lines += _fact("error", said, cells, "bad")
    return lines


def _fact(name: str, text: str, cells: int, tone: Tone = "plain", *, most: int = 4) -> list[Line]:
    """`name` and what there is to say of it, broken at words."""
    if present.width(text) <= cells - 10:
        return [[Cell(f"{name:<10}{text}", tone)]]
    pieces = wrapped(text, max(20, cells - 10))
    if len(pieces) > most:
        pieces = [*pieces[: most - 1], " ".join(pieces[most - 1 :])]  # its end is cut where it is drawn
    return [[Cell(f"{'' if index else name:<10}{piece}", tone)] for index, piece in enumerate(pieces)]


# --- pieces -----------------------------------------------------------------------------------------------------------


def progress(run: wire.LiveRun, voice: Voice) -> str:
    """A bar only where the fraction is known."""
    pages = f"page {number(run.pages)}"
    if run.progress is None:
        return pages
    full = round(BAR_CELLS * min(1.0, max(0.0, run.progress)))
    done, open_ = ("#", "-") if voice.ascii_only else ("█", "░")
    left = "" if run.eta_s is None else f"   left ~{present.countdown(run.eta_s)}"
    return f"window {run.progress:.0%}  {done * full}{open_ * (BAR_CELLS - full)}  {pages}{left}"


def counted(read: int, new: int, updated: int, unchanged: int) -> str:
    return f"{number(read)} read   {number(new)} new   {number(updated)} updated   {number(unchanged)} unchanged"


def took(lasted: timedelta) -> str:
    return present.took(max(0, int(lasted.total_seconds())) * 1000)
