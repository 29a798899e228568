"""What is said about one organisation and about one run. Pure; text and tones, no Textual."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from zendeskd import present, wire
from zendeskd.present import Cell, Tone, Voice, number
from zendeskd.tui.rows import name_of
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import GridColumn, GridRow
from zendeskd.tui.widgets.painting import wrapped

Line = list[Cell]
BAR_CELLS: Final = 21
_CREDENTIALS: Final = {
    "oauth_client_credentials": "OAuth, renews itself",
    "oauth_refresh_token": "OAuth refresh token, renews itself",
    "api_token": "API token",
    "bearer": "bearer token",
}


def breadcrumb(item: wire.SyncStatus, voice: Voice, now: datetime) -> Line:
    """`Organisations › acme-eu   » running   last ✓ ok 16m ago   8,23,38,53 * * * *`."""
    last = voice.last(item.last_status, present.last_error_code(item))
    ran = item.recent_runs[0].synced_at if item.recent_runs else None
    ago = f" {present.since(ran, now)} ago" if ran else ""
    arrow = ">" if voice.ascii_only else "›"
    return [
        Cell(f"Organisations {arrow} {name_of(item)}   "),
        voice.signed(item.state if item.state != "idle" else item.health),
        Cell("   last "),
        last,
        Cell(f"{ago}   {present.clean(item.interval)}"),
    ]


# --- the card of what goes on -----------------------------------------------------------------------------------------


def run_card(
    item: wire.SyncStatus, voice: Voice, now: datetime, times: TimeStyle, cells: int
) -> tuple[str, list[Line]]:
    """Title and lines: the run that goes on; else what is to be done; else the last run and when the next one is."""
    if item.run is not None:
        return _going(item.run, voice, now, times)
    if item.state in {"blocked", "stopped"} or item.health in {"blocked", "failing"}:
        return _stuck(item, cells)
    return _at_rest(item, voice, now, times)


def _going(run: wire.LiveRun, voice: Voice, now: datetime, times: TimeStyle) -> tuple[str, list[Line]]:
    noun = "Comparison" if run.kind == "reconcile" else "Run"
    by = present.clean(run.requested_by or run.trigger)
    lasted = "" if (began := present.moment(run.started_at)) is None else f" ({_took(now - began)})"
    head = f"{noun} {run.id} · {by} · started {times.clock(run.started_at, now)}{lasted}"
    lines = [[Cell(_progress(run, voice))], [Cell(_counted(run.records, run.created, run.updated, run.unchanged))]]
    rate = "" if run.rate is None else f"{run.rate:,.0f} rec/s   "
    lines.append([Cell(f"{rate}{number(run.retries)} retries   {number(run.failed)} skipped")])
    if run.waiting_until is not None:
        waits = f"waits {present.until(run.waiting_until, now)}: {present.clean(run.waiting_for)}"
        lines.append([Cell(waits, "warn")])
    elif run.budgets:
        lines.append([Cell(budgets(run.budgets))])
    return head, lines


def _progress(run: wire.LiveRun, voice: Voice) -> str:
    """A bar only where the fraction is known."""
    pages = f"page {number(run.pages)}"
    if run.progress is None:
        return pages
    full = round(BAR_CELLS * min(1.0, max(0.0, run.progress)))
    done, open_ = ("#", "-") if voice.ascii_only else ("█", "░")
    left = "" if run.eta_s is None else f"   left ~{present.countdown(run.eta_s)}"
    return f"window {run.progress:.0%}  {done * full}{open_ * (BAR_CELLS - full)}  {pages}{left}"


def _counted(read: int, new: int, updated: int, unchanged: int) -> str:
    return f"{number(read)} read   {number(new)} new   {number(updated)} updated   {number(unchanged)} unchanged"


def budgets(found: Sequence[wire.Budget]) -> str:
    """`API left: export 6 of 30, account 2,461 of 2,500 /min`."""
    parts = (f"{present.clean(one.name)} {number(one.remaining)} of {number(one.total)}" for one in found)
    return f"API left: {', '.join(parts)} /min"


def _stuck(item: wire.SyncStatus, cells: int) -> tuple[str, list[Line]]:
    said = item.explanation
    you = " ".join(present.clean(said.you).split())
    lines: list[Line] = [[Cell(line)] for line in wrapped(present.clean(said.happened), cells)[:2]]
    lines += [[Cell(line, "dim")] for line in wrapped(present.clean(said.daemon), cells)[:2]]
    if you:
        lines += [[Cell(line, "warn")] for line in wrapped(f"Fix: {you}", cells)[:2]]
    return present.clean(item.health if item.state == "idle" else item.state).capitalize(), lines


def _at_rest(item: wire.SyncStatus, voice: Voice, now: datetime, times: TimeStyle) -> tuple[str, list[Line]]:
    due = present.next_cell(item, now).text
    coming = f"next in {due}" if due[:1].isdigit() else f"next {due}"
    at = f" ({times.clock(item.next_run_at, now)})" if item.next_run_at else ""
    if not item.recent_runs:
        return "No run yet", [[Cell(f"{coming}{at}")]]
    last = item.recent_runs[0]
    head = (
        f"Last run {last.id} · {present.clean(last.requested_by or last.trigger)} · {times.clock(last.synced_at, now)}"
    )
    read = _counted(last.records_processed, last.records_created, last.records_updated, last.records_unchanged)
    lasted = f" after {present.took(last.duration_ms)}" if last.duration_ms is not None else ""
    return head, [
        [voice.last(last.status, last.error_code), Cell(lasted)],
        [Cell(read)],
        [Cell(f"{number(last.retries)} retries   {number(last.records_failed)} skipped")],
        [Cell(f"{coming}{at}")],
    ]


def _took(lasted: timedelta) -> str:
    return present.took(max(0, int(lasted.total_seconds())) * 1000)


# --- the card of the data ---------------------------------------------------------------------------------------------


def synced(item: wire.SyncStatus, now: datetime, times: TimeStyle) -> str:
    """`synced to 14:18:24 (6m behind)`: how old the copy is."""
    if present.moment(item.watermark) is not None:
        return f"synced to {times.clock(item.watermark, now)} ({present.since(item.watermark, now)} behind)"
    if item.last_success_at is not None:
        return f"up to date {present.since(item.last_success_at, now)} ago"
    return "not complete yet"


def data_card(item: wire.SyncStatus, now: datetime, times: TimeStyle) -> list[Line]:
    stored = f"{number(item.total_records)} {'tickets' if item.system_type == 'zendesk' else 'records'}"
    verified = "not compared with the source yet"
    if item.reconciled is not None and item.reconciled.finished_at is not None:
        verified = f"verified {present.verified(item.reconciled, now)}"
    kind = item.credential
    credential = "no credentials" if kind is None else _CREDENTIALS.get(kind.kind, present.clean(kind.kind))
    tone = "bad" if kind is None else "plain"
    today = f"   +{number(item.records_today)} today" if item.records_today else ""
    return [[Cell(f"{stored}{today}")], [Cell(synced(item, now, times))], [Cell(verified)], [Cell(credential, tone)]]  # type: ignore[arg-type]


# --- runs -------------------------------------------------------------------------------------------------------------

_RUN_COLUMNS: Final = (
    GridColumn("run", "RUN", 6, right=True),
    GridColumn("started", "STARTED", 8),
    GridColumn("took", "TOOK", 7, right=True),
    GridColumn("result", "RESULT", 11),
    GridColumn("read", "READ", 6, right=True),
    GridColumn("new", "NEW", 5, right=True),
    GridColumn("upd", "UPD", 6, right=True),
    GridColumn("skip", "SKIP", 4, right=True),
    GridColumn("by", "BY", 9),
    GridColumn("why", "WHY", 10),
)


def run_columns(cells: int) -> tuple[GridColumn, ...]:
    chosen = list(_RUN_COLUMNS)
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


def run_rows(
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
    rows = []
    for run in runs:
        cells = _run_cells(run, live if live is not None and live.id == run.id else None, voice, now, times)
        rows.append(GridRow(run.id, tuple(cells[column.key] for column in chosen), is_faded=is_faded))
    return rows


def _run_cells(
    run: wire.RunSummary, live: wire.LiveRun | None, voice: Voice, now: datetime, times: TimeStyle
) -> dict[str, Cell]:
    began = present.moment(run.started_at)
    is_today = began is not None and times.local(began).date() == times.local(now).date()
    lasted = present.took(run.duration_ms)
    if run.duration_ms is None and began is not None and run.status == "running":
        lasted = _took(now - began)
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
        "by": Cell(present.clean(run.requested_by or run.trigger)),
        "why": Cell(run_why(run)),
    }


def run_why(run: wire.RunSummary) -> str:
    """Why a run did not end well, in a few words."""
    if run.status in {"success", "running", "queued"}:
        return ""
    if run.error_message:
        return present.clean(run.error_message)
    if run.status == "partial":
        return f"{number(run.records_failed)} skipped"
    return present.clean(run.end_reason).replace("_", " ")


def runs_title(runs: Sequence[wire.RunSummary], now: datetime) -> str:
    """`Runs · 24h: 95 ok, 1 partial, 1 failed · median 6s · p95 31s`, of what was read."""
    ended = [run for run in runs if run.status not in {"running", "queued"}]
    recent = [run for run in ended if (at := present.moment(run.queued_at)) and now - at <= timedelta(hours=24)]
    span = "24h" if len(recent) < len(ended) or len(ended) < 100 else f"last {len(ended)}"
    counted: dict[str, int] = {}
    for run in recent:
        word = "ok" if run.status == "success" else present.clean(run.status)
        counted[word] = counted.get(word, 0) + 1
    parts = ["Runs", f"{span}: {', '.join(f'{count} {word}' for word, count in counted.items()) or 'none'}"]
    lasted = sorted(run.duration_ms for run in recent if run.duration_ms is not None)
    if len(lasted) > 1:
        parts.append(f"median {present.took(int(statistics.median(lasted)))}")
        parts.append(f"p95 {present.took(lasted[math.ceil(0.95 * len(lasted)) - 1])}")
    return " · ".join(parts)


def run_facts(
    run: wire.RunDocument,
    voice: Voice,
    now: datetime,
    times: TimeStyle,
    cells: int,
    troubles: Sequence[tuple[str, str]] = (),
) -> list[Line]:
    """Everything that is known about one run, for its own screen. `troubles`: name and sentence of what went wrong on
    the way."""
    live = run.live
    read = _counted(run.records_processed, run.records_created, run.records_updated, run.records_unchanged)
    pages, calls, retries = run.pages, run.api_calls, run.retries
    deleted, skipped, lasted = run.records_deleted, run.records_failed, present.took(run.duration_ms)
    began = present.moment(run.started_at)
    if live is not None:
        read = _counted(live.records, live.created, live.updated, live.unchanged)
        pages, calls, retries = live.pages, live.api_calls, live.retries
        deleted, skipped = live.deleted, live.failed
    if run.duration_ms is None and began is not None:
        lasted = f"{_took(now - began)} so far"
    by = present.clean(run.requested_by or run.trigger)
    asked = times.clock(run.queued_at, now)
    started = f"{times.clock(run.started_at, now)}, took {lasted}" if began is not None else "not begun yet"
    waited = f", {present.took(run.rate_limit_wait_ms)} waiting for rate limits" if run.rate_limit_wait_ms else ""
    result = voice.last(run.status, run.error_code)
    lines: list[Line] = [
        [Cell("result    "), result, Cell(f"   {present.clean(run.end_reason).replace('_', ' ')}")],
        *_fact("asked", f"{asked} by {by} · started {started}", cells),
        *_fact("records", f"{read}, {number(deleted)} deleted, {number(skipped)} skipped".replace("   ", ", "), cells),
        *_fact(
            "requests", f"{number(calls)} in {present.plural(pages, 'page')}, {number(retries)} retries{waited}", cells
        ),
    ]
    urgent: list[Line] = []
    if live is not None:
        urgent.append([Cell(f"now       {_progress(live, voice)}", "busy")])
        if live.waiting_until is not None:
            waits = f"{present.until(live.waiting_until, now)}: {present.clean(live.waiting_for)}"
            urgent += _fact("waits", waits, cells, "warn")
    if run.error_message or run.error_code:
        quoted = f" · request {present.clean(run.request_id)}" if run.request_id else ""
        said = f"{present.clean(run.error_code)}: {present.clean(run.error_message)}{quoted}"
        urgent += _fact("error", said, cells, "bad")
    for name, sentence in troubles:
        lines += _fact(name, sentence, cells, "warn", most=2)
    return [lines[0], *urgent, *lines[1:]]  # on small terminals the end is cut


def _fact(name: str, text: str, cells: int, tone: Tone = "plain", *, most: int = 4) -> list[Line]:
    """`name` and what there is to say of it, broken at words."""
    if present.width(text) <= cells - 10:
        return [[Cell(f"{name:<10}{text}", tone)]]
    pieces = wrapped(text, max(20, cells - 10))
    if len(pieces) > most:
        pieces = [*pieces[: most - 1], " ".join(pieces[most - 1 :])]  # its end is cut where it is drawn
    return [[Cell(f"{'' if index else name:<10}{piece}", tone)] for index, piece in enumerate(pieces)]
