"""What is said about one organisation. Pure; text and tones, no Textual."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.present import Cell, Voice, number
from zendeskd.tui.rows import name_of
from zendeskd.tui.run_text import Line, counted, progress, took
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.painting import wrapped

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
    lasted = "" if (began := present.moment(run.started_at)) is None else f" ({took(now - began)})"
    head = f"{noun} {run.id} · {by} · started {times.clock(run.started_at, now)}{lasted}"
    lines = [[Cell(progress(run, voice))], [Cell(counted(run.records, run.created, run.updated, run.unchanged))]]
    rate = "" if run.rate is None else f"{run.rate:,.0f} rec/s   "
    lines.append([Cell(f"{rate}{number(run.retries)} retries   {number(run.failed)} skipped")])
    if run.waiting_until is not None:
        waits = f"waits {present.until(run.waiting_until, now)}: {present.clean(run.waiting_for)}"
        lines.append([Cell(waits, "warn")])
    elif run.budgets:
        lines.append([Cell(budgets(run.budgets))])
    return head, lines


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
    read = counted(last.records_processed, last.records_created, last.records_updated, last.records_unchanged)
    lasted = f" after {present.took(last.duration_ms)}" if last.duration_ms is not None else ""
    return head, [
        [voice.last(last.status, last.error_code), Cell(lasted)],
        [Cell(read)],
        [Cell(f"{number(last.retries)} retries   {number(last.records_failed)} skipped")],
        [Cell(f"{coming}{at}")],
    ]


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
