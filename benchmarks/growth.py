"""What does not grow with the copy: the calls of an operator, the start, on ten thousand and a million records.

    ./run bench growth [--records 10000 1000000] [--samples 20]

A page of real size is synced, then multiplied inside the database over 100 organisations, with a run in the log for
every 20 records; the search index is built anew and merged, as the daemon does in time. An upgrade is the real one,
with a migration more than there is: it adds a column and an index to the records, after the copy that the daemon makes
first. Where there is no room for a copy beside the database, backup and upgrade are left out. Ten million need half an
hour and 60 GB: name them if you want to.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from processes import Daemon, machine, simulator

from zendeskd.client import Client
from zendeskd.db import Database
from zendeskd.migrations import runner
from zendeskd.store import search

SEED, ORGANISATIONS, RUN_FOR_EVERY = 1000, 100, 20
SELDOM = "0 0 1 1 *"

_MORE = """
WITH RECURSIVE n (k) AS (SELECT :first UNION ALL SELECT k + 1 FROM n WHERE k < :last)
INSERT INTO flow_records ({columns})
SELECT {values} FROM flow_records, n WHERE flow_records.id <= {seed} ORDER BY k
"""
_MIGRATION = """
def up(migrator, database):
    database.execute_sql("ALTER TABLE flow_records ADD COLUMN team TEXT")
    database.execute_sql("CREATE INDEX flow_records_status ON flow_records (organization_id, status)")
"""
_CHANGED = {
    "id": f"id + k * {SEED}",
    "external_id": f"CAST(external_id + k * {SEED} AS TEXT)",
    "organization_id": f"'org-' || (k % {ORGANISATIONS})",
    "updated_at": "strftime('%Y-%m-%dT%H:%M:%S.000Z', updated_at, '-' || (k * 7) || ' minutes')",
}


class Copy(NamedTuple):
    records: int
    bytes_a_ticket: float
    index_share: float
    search_share: float
    start_s: float
    backup_s: float
    upgrade_s: float
    calls: dict[str, float]


def seed(folder: Path) -> Path:
    """A database with one page of records. -> its file."""
    with simulator(1, SEED) as (account,):
        daemon = Daemon(folder)
        try:
            daemon.client.add_organization(account.organization(SELDOM))
            daemon.ended(daemon.client.runs(limit=1).items[0].id)
        finally:
            daemon.stop()
    return daemon.database


def multiply(database: Path, records: int) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = off")
        db.execute("PRAGMA cache_size = -500000")
        columns = [row[1] for row in db.execute("PRAGMA table_info(flow_records)")]
        statement = _MORE.format(
            columns=", ".join(columns), values=", ".join(_CHANGED.get(name, name) for name in columns), seed=SEED
        )
        db.execute("BEGIN")
        for table in ("organizations", "integrations"):
            copied(db, table)
        copied_runs(db, records // RUN_FOR_EVERY)
        db.execute("COMMIT")
        for first in range(1, records // SEED, 100):
            db.execute(statement, {"first": first, "last": min(first + 99, records // SEED - 1)})
        db.execute("INSERT INTO flow_records_fts (flow_records_fts) VALUES ('rebuild')")
        while search.merge(db, 4096):
            pass
        db.execute(
            "UPDATE integrations SET is_active = 0, total_records = "
            "(SELECT count(*) FROM flow_records r WHERE r.organization_id = integrations.organization_id)"
        )
        db.execute("PRAGMA optimize")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def copied(db: sqlite3.Connection, table: str) -> None:
    """The one row there is, for every organisation."""
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    own = "id" if table == "organizations" else "organization_id"
    values = [":name" if name == own else "NULL" if name == "id" else name for name in columns]
    for number in range(ORGANISATIONS):
        db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {table} LIMIT 1",
            {"name": f"org-{number}"},
        )


def copied_runs(db: sqlite3.Connection, many: int) -> None:
    columns = [row[1] for row in db.execute("PRAGMA table_info(sync_logs)") if row[1] != "id"]
    changed = {
        "integration_id": f"1 + k % {ORGANISATIONS + 1}",
        "organization_id": f"(SELECT organization_id FROM integrations WHERE id = 1 + k % {ORGANISATIONS + 1})",
    }
    db.execute(
        f"INSERT INTO sync_logs ({', '.join(columns)}) SELECT {', '.join(changed.get(one, one) for one in columns)} "
        "FROM (SELECT * FROM sync_logs LIMIT 1), (WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n "
        "WHERE k < ?) SELECT k FROM n)",
        (many,),
    )


def shares(database: Path) -> tuple[float, float, float]:
    """-> bytes a record, and the parts of them that are indexes and the search index."""
    with contextlib.closing(sqlite3.connect(database)) as db:
        (records,) = db.execute("SELECT count(*) FROM flow_records").fetchone()
        (page_size,) = db.execute("PRAGMA page_size").fetchone()
        pages = db.execute("SELECT name, pageno FROM dbstat WHERE aggregate = TRUE")  # its sum of bytes is 32 bits wide
        sizes = {name: count * page_size for name, count in pages}
        indexes = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")]
    whole = sum(sizes.values())
    search = sum(size for name, size in sizes.items() if name.startswith("flow_records_fts"))
    return whole / records, sum(sizes.get(name, 0) for name in indexes) / whole, search / whole


def calls(client: Client) -> dict[str, Callable[[], object]]:
    return {
        "status": client.status,
        "sync-status of all": client.sync_status,
        "sync-logs, a page": lambda: client.runs(limit=50),
        "sync-logs of one": lambda: client.runs(org="org-1", limit=50),
        "records, a page": lambda: client.records(limit=50),
        "records of one": lambda: client.records(org="org-1", limit=50),
        "records, open ones": lambda: client.records(status="open", limit=50),
        "a record": lambda: client.record("org-1/zendesk/" + first_id(client)),
        "search, a common word": lambda: client.records(query="payment", limit=50),
        "search, two words": lambda: client.records(query="payment invoice", limit=50),
        "search in one": lambda: client.records(org="org-1", query="refund", limit=50),
        "search, a beginning": lambda: client.records(query="pay*", limit=50),
        "search, no hit": lambda: client.records(query="xyzzyplugh", limit=50),
    }


def first_id(client: Client) -> str:
    return client.records(org="org-1", limit=1).items[0].external_id


def measured(database: Path, records: int, samples: int) -> Copy:
    began = time.monotonic()
    daemon = Daemon(database.parent.parent)
    start_s = time.monotonic() - began
    try:
        took: dict[str, float] = {}
        for name, call in calls(daemon.client).items():
            call()
            times = []
            for _ in range(samples):
                began = time.monotonic()
                call()
                times.append((time.monotonic() - began) * 1000)
            took[name] = statistics.median(times)
        backup_s = backed_up(daemon) if room_for_copy(database) else math.nan
    finally:
        daemon.stop()
    shutil.rmtree(database.parent / "backups", ignore_errors=True)
    parts = shares(database)
    upgrade_s = upgraded(database) if room_for_copy(database) else math.nan
    return Copy(records, *parts, start_s, backup_s, upgrade_s, took)


def room_for_copy(database: Path) -> bool:
    return shutil.disk_usage(database.parent).free > database.stat().st_size + 2**30


def backed_up(daemon: Daemon) -> float:
    began = time.monotonic()
    daemon.client.backup()
    while (known := daemon.client.status().backup) is None or known.running is not None or not known.recent:
        time.sleep(0.05)
    assert known.recent[0].trouble is None, known.recent[0].trouble
    return time.monotonic() - began


def upgraded(path: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="zd-bench-") as name:
        migrations = shutil.copytree(runner.DIRECTORY, Path(name, "migrations"))
        (migrations / "9999_more.py").write_text(_MIGRATION)
        database = Database(f"sqlite:///{path}", migrations=migrations)
        began = time.monotonic()
        database.open()
        took = time.monotonic() - began
        database.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--samples", type=int, default=20)
    options = parser.parse_args()
    print(f"{machine()}, SQLite {sqlite3.sqlite_version}; medians of {options.samples}, over the socket")
    found = []
    for records in options.records:
        with tempfile.TemporaryDirectory(prefix="zd-bench-") as name:
            database = seed(Path(name))
            began = time.monotonic()
            multiply(database, records)
            print(f"{records:,} records made in {time.monotonic() - began:.0f} s", flush=True)
            found.append(measured(database, records, options.samples))
    print(f"{'':24}" + "".join(f"{one.records:>14,}" for one in found) + f"{'ratio':>9}")
    first, last = found[0], found[-1]
    for name in first.calls:
        row = "".join(f"{one.calls[name]:>11.1f} ms" for one in found)
        print(f"{name:24}{row}{last.calls[name] / first.calls[name]:>9.2f}")
    for title, field in (("start until ready", "start_s"), ("backup", "backup_s"), ("upgrade", "upgrade_s")):
        print(f"{title:24}" + "".join(f"{getattr(one, field):>12.2f} s" for one in found))
    for title, field in (("of it indexes", "index_share"), ("of it search", "search_share")):
        print(f"{title:24}" + "".join(f"{getattr(one, field) * 100:>12.0f} %" for one in found))
    print(f"{'bytes a ticket':24}" + "".join(f"{one.bytes_a_ticket:>14,.0f}" for one in found))


if __name__ == "__main__":
    main()
