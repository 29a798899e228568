"""Tickets a second and CPU a ticket of a full sync and of a run with nothing new, beside a bare loop.

    .venv/bin/python benchmarks/sync.py [--tickets 100000]

The bare loop is what one would write by hand with the fastest libraries: httpx, msgspec, and `executemany` into the
same table (unique key and indexes, WAL, one transaction a page), nothing else: no search index, no links, no counters,
no retries, no log. Both read the same pages from the same simulator, one after the other, so the ratio holds on a noisy
machine where the figures do not. CPU is that of the reading process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
from processes import Daemon, cpu_s, peak_mb

from zendeskd import wire

_pause = threading.Event()


class Ticket(msgspec.Struct):
    id: int
    generated_timestamp: int
    subject: str | None
    description: str | None
    status: str | None
    priority: str | None
    created_at: str
    updated_at: str


class Envelope(msgspec.Struct):
    tickets: list[msgspec.Raw]
    end_of_stream: bool
    after_cursor: str | None = None


@contextlib.contextmanager
def simulator(tickets: int) -> Iterator[tuple[str, dict[str, object]]]:
    command = [sys.executable, "-m", "zendeskd", "simulator", "--accounts", "1", "--tickets", str(tickets)]
    command += ["--export-per-minute", "1000000", "--account-per-minute", "1000000", "--kind", "api_token"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        account = json.loads(process.stdout.readline())["accounts"][0]
        yield account["baseUrl"], account["credential"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def bare_loop(base_url: str, credential: dict[str, object], schema_from: Path, path: Path) -> None:
    """The whole program of the hand-written loop; runs in a process of its own."""
    with contextlib.closing(sqlite3.connect(schema_from)) as source:
        wanted = "tbl_name = 'flow_records' AND sql IS NOT NULL AND type IN ('table', 'index')"
        schema = [sql for (sql,) in source.execute(f"SELECT sql FROM sqlite_master WHERE {wanted}")]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size = 16384")
    db.execute("PRAGMA journal_mode = wal")
    db.execute("PRAGMA synchronous = normal")
    db.execute("CREATE TABLE organizations (id TEXT PRIMARY KEY)")
    for sql in sorted(schema, key=lambda text: not text.upper().startswith("CREATE TABLE")):
        db.execute(sql)
    upsert = (
        "INSERT INTO flow_records (organization_id, source_system, record_type, external_id, title, body, status, "
        "priority, tags, created_at, updated_at, source_version, content_hash, raw, first_synced_at, synced_at) "
        "VALUES ('bench', 'zendesk', 'ticket', ?, ?, ?, ?, ?, '[]', ?, ?, ?, x'00', ?, '', '') "
        "ON CONFLICT (organization_id, source_system, record_type, external_id) DO UPDATE SET "
        "title = excluded.title, body = excluded.body, status = excluded.status, raw = excluded.raw, "
        "source_version = excluded.source_version WHERE excluded.source_version >= flow_records.source_version"
    )
    pages, ticket = msgspec.json.Decoder(Envelope), msgspec.json.Decoder(Ticket)
    auth = (f"{credential['email']}/token", str(credential["token"]))
    params: dict[str, str | int] = {"start_time": 0}
    with httpx.Client(auth=auth, verify=False, headers={"Accept-Encoding": "gzip"}) as client:
        while True:
            reply = client.get(
                f"{base_url}/api/v2/incremental/tickets/cursor",
                params={
                    **params,
                    "per_page": 1000,
                    "support_type_scope": "all",
                    "include": "users,groups,organizations",
                },
            )
            page = pages.decode(reply.content)
            rows = []
            for raw in page.tickets:
                one = ticket.decode(raw)
                rows.append(
                    (
                        str(one.id),
                        one.subject,
                        one.description,
                        one.status,
                        one.priority,
                        one.created_at,
                        one.updated_at,
                        one.generated_timestamp,
                        bytes(raw).decode(),
                    )
                )
            db.execute("BEGIN IMMEDIATE")
            db.executemany(upsert, rows)
            db.execute("COMMIT")
            if page.end_of_stream:
                break
            assert page.after_cursor is not None
            params = {"cursor": page.after_cursor}
    db.close()


def measured_bare(base_url: str, credential: dict[str, object], schema_from: Path, path: Path) -> tuple[float, float]:
    """-> wall and CPU seconds of the loop, without the start of its interpreter."""
    pid = os.fork()
    if pid == 0:
        begun, used = time.monotonic(), time.process_time()
        bare_loop(base_url, credential, schema_from, path)
        path.with_suffix(".took").write_text(f"{time.monotonic() - begun} {time.process_time() - used}")
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the bare loop failed"
    wall, cpu = path.with_suffix(".took").read_text().split()
    return float(wall), float(cpu)


def finished(daemon: Daemon, run_id: int) -> wire.RunDocument:
    """That run, once it has ended well."""
    while (run := daemon.client.run(run_id)).status in {"queued", "running"}:
        _pause.wait(0.02)
    assert run.status == "success", run
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--quiet-runs", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zd-bench-") as name, simulator(options.tickets) as (url, credential):
        folder = Path(name)
        daemon = Daemon(folder)
        try:
            pid = daemon.process.pid
            before = cpu_s(pid)
            daemon.client.add_organization(
                wire.OrganizationSpec(
                    id="bench",
                    integrations=[
                        wire.IntegrationSpec(
                            base_url=url,
                            interval="0 0 1 1 *",
                            lookback="all",
                            credentials=msgspec.Raw(msgspec.json.encode(credential)),
                        )
                    ],
                )
            )
            first = daemon.client.runs(limit=1).items[0]
            full = finished(daemon, first.id)
            full_cpu = cpu_s(pid) - before
            before = cpu_s(pid)
            quiet = [finished(daemon, daemon.client.trigger("bench").run_id) for _ in range(options.quiet_runs)]
            quiet_cpu = (cpu_s(pid) - before) / len(quiet)
            peak = peak_mb(pid)
        finally:
            daemon.stop()
        bare_wall, bare_cpu = measured_bare(url, credential, daemon.database, folder / "bare.db")
        size = daemon.database.stat().st_size
    seen = full.records_processed
    wall = (full.duration_ms or 1) / 1000
    quiet_ms = sorted(run.duration_ms or 0 for run in quiet)[len(quiet) // 2]
    print(f"{platform.python_version()} on {os.cpu_count()} cores, SQLite {sqlite3.sqlite_version}, {seen:,} tickets")
    print(f"{'':24}{'tickets/s':>12}{'CPU µs/ticket':>16}")
    print(f"{'bare loop':24}{seen / bare_wall:>12,.0f}{bare_cpu / seen * 1e6:>16.1f}")
    print(f"{'zendeskd, full sync':24}{seen / wall:>12,.0f}{full_cpu / seen * 1e6:>16.1f}")
    print(f"{'ratio':24}{bare_wall / wall:>12.2f}{full_cpu / bare_cpu:>16.2f}")
    print(f"nothing new: {quiet[0].api_calls} request, {quiet_ms} ms, {quiet_cpu * 1000:.1f} ms CPU a run")
    print(f"peak memory of the daemon: {peak:.0f} MB; database: {size / seen:,.0f} bytes a ticket")


if __name__ == "__main__":
    main()
