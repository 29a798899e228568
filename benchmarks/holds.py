"""What must hold once the troubles of a soak are over: every ticket, every counter, every index."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from actors import Organization, Scene, mend_credentials

from zendeskd.client import ApiError, Client
from zendeskd.models import stamp

MOST_S: Final = 600.0
HIDDEN_S: Final = 4000
"""More than the export holds back, and than a minute's budget takes to come back."""
MOST_LATE_S: Final = 180
_pause = threading.Event()

_SUMS: Final = "created", "updated", "deleted"


def heal(scene: Scene, daemon: Client) -> None:
    """End the troubles, let everything be seen, and have every organisation read once more. Raises TimeoutError."""
    for org in scene.fleet:
        scene.tell_simulator(f"accounts/{org.name}/clear_faults", {})
    scene.tell_simulator("clock", {"advance": HIDDEN_S})
    begun, runs = stamp(datetime.now(UTC)), dict[str, int]()
    left = {org.name for org in scene.fleet}

    def all_read() -> bool:
        for status in daemon.sync_status().items:
            org = status.organization_id
            if org not in left:
                continue
            if status.state == "blocked":
                mend_credentials(scene, daemon, org)
                scene.count("credentials mended at the end")
            elif not status.is_active:
                daemon.start(org)
            if org in runs:
                run = daemon.run(runs[org])
                if run.status in {"queued", "running"}:
                    continue
                if run.status == "success" and (run.started_at or "") > begun:
                    left.discard(org)
                    continue
            with contextlib.suppress(ApiError):  # blocked, as the next look finds
                runs[org] = daemon.trigger(org).run_id
        return not left

    _wait_for(all_read, lambda: f"a whole run of {', '.join(sorted(left))}")


def late(daemon: Client) -> list[str]:
    """Sentences about organisations that were not read when they should have been."""
    return [
        f"{one.organization_id} ({one.state}) is {one.late_s} s late"
        for one in daemon.sync_status().items
        if (one.late_s or 0) > MOST_LATE_S
    ]


def compare(scene: Scene, daemon: Client) -> dict[str, int]:
    """Compare every organisation with its source. -> what was mended. Raises TimeoutError."""
    begun = stamp(datetime.now(UTC))
    wanted = {org.name for org in scene.fleet}

    def all_compared() -> bool:
        done = {one.organization_id: one for one in daemon.reconciliations().items if one.started_at >= begun}
        for org in wanted:
            if org not in done or done[org].status in {"failed", "cancelled", "interrupted"}:
                daemon.reconcile([org])
        return all(org in done and done[org].status == "verified" for org in wanted)

    _wait_for(all_compared, lambda: "the comparisons")
    found = [one for one in daemon.reconciliations().items if one.organization_id in wanted]
    return {what: sum(getattr(one, what) for one in found) for what in ("missing", "stale", "vanished")}


def quiet(scene: Scene, daemon: Client) -> None:
    """No more runs: what was asked for has ended, and nothing is due. Raises TimeoutError."""
    for org in scene.fleet:
        daemon.stop(org.name)
    _wait_for(lambda: not any(one.run or one.queued_run_id for one in daemon.sync_status().items), lambda: "quiet")


def differing(scene: Scene, org: Organization) -> dict[int, str]:
    """The tickets that are not here as they are there, byte for byte, and how."""
    lines = scene.ask_simulator(f"accounts/{org.name}/tickets").content.splitlines()
    there = {int(json.loads(line)["id"]): line.decode() for line in lines}
    live_there = {number for number, raw in there.items() if '"status":"deleted"' not in raw}
    query = "SELECT external_id, raw, deleted_at IS NULL FROM flow_records WHERE organization_id = ?"
    with _reading(scene) as connection:
        here = {int(key): (raw, bool(live)) for key, raw, live in connection.execute(query, (org.name,))}
    found = {}
    never_listed = org.archived if org.strategy == "list" else set()  # nor found by a comparison, if not here and live
    for number in live_there - here.keys() - never_listed:
        found[number] = "not here"
    for number, (raw, is_live) in here.items():
        if is_live and number not in live_there:
            found[number] = "live here alone"
        elif not is_live and number in live_there - never_listed:
            found[number] = "deleted here alone"
        elif (is_live or org.strategy == "export") and raw != there.get(number, raw):
            found[number] = "of another version" if _version(raw) != _version(there[number]) else "of other text"
    return found


def _version(raw: str) -> int:
    return int(json.loads(raw)["generated_timestamp"])


def in_short(org: Organization, found: dict[int, str], when: str) -> list[str]:
    """A sentence for each way in which tickets differ."""
    ways: dict[str, list[int]] = {}
    for number, how in sorted(found.items()):
        ways.setdefault(how, []).append(number)
    return [
        f"{org.name} ({org.strategy}) {when}: {len(numbers)} {how}: {', '.join(map(str, numbers[:8]))}"
        for how, numbers in ways.items()
    ]


def wrong_counters(scene: Scene) -> list[str]:
    """Sentences about counters that do not add up to what is there."""
    wrong = []
    parts = " + ".join(f"records_{name}" for name in (*_SUMS, "unchanged", "failed"))
    with _reading(scene) as connection:
        for row in connection.execute(f"SELECT id FROM sync_logs WHERE records_processed != {parts}"):
            wrong.append(f"run {row[0]}: the parts do not add up")
        for org in scene.fleet:
            one = connection.execute(
                "SELECT id, total_records FROM integrations WHERE organization_id = ?", (org.name,)
            )
            ((integration, total),) = one
            live, rows = connection.execute(
                "SELECT COALESCE(SUM(deleted_at IS NULL), 0), COUNT(*) FROM flow_records WHERE organization_id = ?",
                (org.name,),
            ).fetchone()
            if total != live:
                wrong.append(f"{org.name}: total_records is {total}, there are {live}")
            days = _sums(connection, "daily_counts", "", integration)
            runs = _sums(connection, "sync_logs", "records_", integration)
            if not days[0] <= rows <= days[0] + days[2]:  # what was deleted when it came first counts as deleted
                wrong.append(f"{org.name}: {rows} rows, of which {days[0]} were counted as created")
            if not org.is_compared and days != runs:
                wrong.append(f"{org.name}: by days {days}, by runs {runs}")
    return wrong


def wrong_at_rest(scene: Scene) -> list[str]:
    """Sentences about the files that the daemon left, which has ended."""
    with contextlib.closing(sqlite3.connect(scene.database)) as connection:
        wrong = [f"integrity_check: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        wrong += [f"foreign_key_check: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        try:  # 1: with the text of the tickets too
            connection.execute("INSERT INTO flow_records_fts (flow_records_fts, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            wrong.append(f"search index: {error}")
        connection.rollback()
        for name in ("sync_logs", "reconciliations"):
            ((left,),) = connection.execute(f"SELECT COUNT(*) FROM {name} WHERE status IN ('running', 'queued')")
            ((bugs,),) = connection.execute(f"SELECT COUNT(*) FROM {name} WHERE error_code = 'internal_error'")
            wrong += [f"{name}: {left} rows are still running"] if left else []
            wrong += [f"{name}: {bugs} ended by a bug"] if bugs else []
        ((bad,),) = connection.execute("SELECT COUNT(*) FROM quarantined_records")
        wrong += [f"{bad} records are still set aside"] if bad else []
    return wrong


def runs_by_status(scene: Scene) -> dict[str, int]:
    with _reading(scene) as connection:
        rows = connection.execute("SELECT status, COUNT(*) FROM sync_logs GROUP BY status ORDER BY 2 DESC")
        return {f"runs: {status}": number for status, number in rows.fetchall()}


def _sums(connection: sqlite3.Connection, table: str, prefix: str, integration: int) -> tuple[int, ...]:
    columns = ", ".join(f"COALESCE(SUM({prefix}{name}), 0)" for name in _SUMS)
    row: tuple[int, ...] = connection.execute(
        f"SELECT {columns} FROM {table} WHERE integration_id = ?", (integration,)
    ).fetchone()
    return row


@contextlib.contextmanager
def _reading(scene: Scene) -> Any:
    with contextlib.closing(sqlite3.connect(f"file:{scene.database}?mode=ro", uri=True)) as connection:
        yield connection


def _wait_for(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + MOST_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {MOST_S:.0f} s in vain for {what()}")
        _pause.wait(0.2)
