"""`zendeskd demo --once`: what came of the runs, compared with what the simulator would send now."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from zendeskd import wire
from zendeskd.demo.cast import CHECKED, Cast
from zendeskd.demo.stage import Stage
from zendeskd.demo.words import show
from zendeskd.simulator import Account

SYNCED_WITHIN_S: Final = 120.0
QUERIES: Final = (
    "SELECT * FROM sync_logs ORDER BY synced_at DESC LIMIT 10;",
    "SELECT source_system, COUNT(*) FROM flow_records GROUP BY source_system;",
    "SELECT * FROM integrations WHERE system_type = 'zendesk';",
)


def wait_for_runs(stage: Stage) -> dict[str, wire.RunSummary]:
    """The first run of each organisation that came to an end of the kind it should come to, or its last one. Raises
    ZendeskdError, and KeyboardInterrupt if the demo is ended meanwhile."""
    wanted = {cast.org: cast.ends for cast in CHECKED}
    found: dict[str, wire.RunSummary] = {}
    deadline = time.monotonic() + SYNCED_WITHIN_S
    while len(found) < len(wanted) and time.monotonic() < deadline and stage.is_alive:
        for item in stage.client.sync_status("zendesk").items:
            for run in reversed(item.recent_runs):
                if run.status == wanted[item.organization_id]:
                    found.setdefault(item.organization_id, run)
        stage.ending.pause(0.1)
    for item in stage.client.sync_status("zendesk").items:
        if item.recent_runs:
            found.setdefault(item.organization_id, item.recent_runs[0])
    return found


def report(database: Path, runs: dict[str, wire.RunSummary], accounts: dict[str, Account], took_s: float) -> int:
    """Print it. -> 0 if all is as it should be, else 1."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows, wrong, total = [], [], 0
        for cast in CHECKED:
            run = runs.get(cast.org)
            sent = accounts[cast.org].tickets() if cast.org in accounts else {}
            stored = _stored(connection, cast.org)
            total += len(stored)
            same = sum(stored.get(key) == raw for key, raw in sent.items())
            verdict = _verdict(cast, run, len(sent), same, len(stored))
            if verdict.startswith("WRONG"):
                wrong.append(cast.org)
            rows.append(
                (
                    cast.org,
                    run.status if run else "-",
                    f"{len(sent):,}",
                    f"{len(stored):,}",
                    f"{same:,}",
                    str(run.pages) if run else "-",
                    f"{run.retries}" if run else "-",
                    verdict,
                )
            )
        show("", *_table(("ORG", "RUN", "THERE", "HERE", "IDENTICAL", "PAGES", "RETRIES", ""), rows))
        for query in QUERIES:
            show("", f"sqlite> {query}", *_answer(connection, query))
    whole = [cast for cast in CHECKED if cast.is_whole]
    show("", f"{total:,} tickets of {len(rows)} organisations in {took_s:.1f} s.")
    if wrong:
        show(f"Not as it should be: {', '.join(wrong)}.")
        return 1
    show(f"Every ticket of the {len(whole)} organisations that can be read is here, byte for byte.")
    return 0


def _verdict(cast: Cast, run: wire.RunSummary | None, there: int, same: int, here: int) -> str:
    if run is None or run.status != cast.ends:
        return f"WRONG: should have ended {cast.ends}" + (f", {run.error_message}" if run else ", did not run")
    if cast.is_whole and not there == same == here:
        return "WRONG: not every ticket is here as it was sent"
    if cast.trouble:
        return f"on purpose: {cast.trouble}" + (f" ({run.error_code})" if run.error_code else "")
    return ""


def _stored(connection: sqlite3.Connection, org: str) -> dict[int, bytes]:
    rows = connection.execute("SELECT external_id, raw FROM flow_records WHERE organization_id = ?", (org,))
    return {int(external_id): raw.encode() for external_id, raw in rows}


def _answer(connection: sqlite3.Connection, query: str) -> list[str]:
    cursor = connection.execute(query)
    names = tuple(column[0] for column in cursor.description)
    return _table(names, [tuple(_cell(value) for value in row) for row in cursor])


def _cell(value: object) -> str:
    text = "" if value is None else str(value).replace("\n", " ")
    return text if len(text) <= 32 else text[:31] + "…"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]
