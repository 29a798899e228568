"""What the search index costs a sync, and what other ways to keep it would cost.

    ./run bench search [--tickets 50000] [--rounds 3]

The texts of a synced account are written again, a thousand in a transaction, with the index kept in each of these ways.
CPU a ticket beyond writing the same texts without an index; CPU a ticket of merging its pieces afterwards, as the
daemon's chore does; bytes of the index a ticket; and how long it takes to count all records with a common word, before
and after that.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from processes import Daemon, machine, simulator

SELDOM = "0 0 1 1 *"
COLUMNS = "title, body, requester, assignee, tags"
Rows = list[tuple[Any, ...]]


class Way(NamedTuple):
    name: str
    options: str = ", content='r', content_rowid='id'"
    merged: str = "('automerge', 0), ('crisismerge', 128)"
    pages_at_once: int = 1
    body: str = "body"
    by_trigger: bool = False
    is_kept: bool = True


BARE = Way("no index", is_kept=False)
WAYS = (
    Way("as zendeskd does"),
    Way("by a trigger", by_trigger=True),
    Way("merging 4 at once", merged="('automerge', 4)"),
    Way("merging 8 at once", merged="('automerge', 8)"),
    Way("merging 16 at once", merged="('automerge', 16)"),
    Way("every 4 pages", pages_at_once=4),
    Way("every 20 pages", pages_at_once=20),
    Way("the first 300 letters", body="substr(body, 1, 300)"),
    Way("detail=column", options=", content='r', content_rowid='id', detail=column"),
    Way("detail=none", options=", content='r', content_rowid='id', detail=none"),
    Way("no sizes of columns", options=", content='r', content_rowid='id', columnsize=0"),
    Way("no content at all", options=", content=''"),
    Way("only ASCII letters", options=", content='r', content_rowid='id', tokenize='ascii'"),
)


class Cost(NamedTuple):
    cpu_s: float
    later_s: float
    size: int
    count_ms: float
    later_count_ms: float


def texts(tickets: int) -> Rows:
    with tempfile.TemporaryDirectory(prefix="zd-bench-") as name, simulator(1, tickets) as (account,):
        daemon = Daemon(Path(name))
        try:
            daemon.client.add_organization(account.organization(SELDOM))
            daemon.ended(daemon.client.runs(limit=1).items[0].id)
        finally:
            daemon.stop()
        with contextlib.closing(sqlite3.connect(daemon.database)) as db:
            return db.execute(f"SELECT id, {COLUMNS} FROM flow_records ORDER BY id").fetchall()


def written(way: Way, rows: Rows) -> Cost:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zd-bench-")))
        db = stack.enter_context(contextlib.closing(sqlite3.connect(folder / "a.db", isolation_level=None)))
        made(db, way)
        used = time.process_time()
        pages = range(0, len(rows), 1000)
        for number, start in enumerate(pages, 1):
            page = rows[start : start + 1000]
            db.execute("BEGIN")
            db.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?)", page)
            if way.is_kept and not way.by_trigger and (number % way.pages_at_once == 0 or number == len(pages)):
                first = rows[start - (number - 1) % way.pages_at_once * 1000][0]
                db.execute(learn(way, "id BETWEEN ? AND ?"), (first, page[-1][0]))
            db.execute("COMMIT")
        used = time.process_time() - used
        if not way.is_kept:
            return Cost(used, 0.0, 0, 0.0, 0.0)
        size, count_ms = size_of(db), counted(db, len(rows))
        return Cost(used, merged(db), size, count_ms, counted(db, len(rows)))


def made(db: sqlite3.Connection, way: Way) -> None:
    db.execute("PRAGMA page_size = 16384")
    db.execute("PRAGMA journal_mode = wal")
    db.execute("PRAGMA synchronous = normal")
    db.execute("PRAGMA cache_size = 2048")
    db.execute(f"CREATE TABLE r (id INTEGER PRIMARY KEY, {COLUMNS})")
    if way.is_kept:
        db.execute(f"CREATE VIRTUAL TABLE f USING fts5 ({COLUMNS}{way.options})")
        db.execute(f"INSERT INTO f (f, rank) VALUES ('pgsz', 16000), {way.merged}")
    if way.by_trigger:
        db.execute(f"CREATE TRIGGER t AFTER INSERT ON r BEGIN {learn(way, 'id = new.id')}; END")


def learn(way: Way, which: str) -> str:
    columns = COLUMNS.replace("body", way.body)
    return f"INSERT INTO f (rowid, {COLUMNS}) SELECT id, {columns} FROM r WHERE {which}"


def merged(db: sqlite3.Connection) -> float:
    """Merge the pieces in steps. -> CPU s."""
    used = time.process_time()
    while True:
        before = db.total_changes
        db.execute("INSERT INTO f (f, rank) VALUES ('merge', 64)")
        if db.total_changes < before + 2:
            return time.process_time() - used


def size_of(db: sqlite3.Connection) -> int:
    (size,) = db.execute(
        "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name LIKE 'f\\_%' ESCAPE '\\'"
    ).fetchone()
    return int(size)


def counted(db: sqlite3.Connection, rows: int) -> float:
    """-> ms."""
    began = time.perf_counter()
    for _ in range(10):
        (hits,) = db.execute("SELECT count(*) FROM f WHERE f MATCH 'payment'").fetchone()
        assert 0 < hits <= rows
    return (time.perf_counter() - began) * 100


def best(costs: Sequence[Cost]) -> Cost:
    return Cost(*(min(column) for column in zip(*costs, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = texts(options.tickets)
    ways = (BARE, *WAYS)
    rounds = [[written(way, rows) for way in ways] for _ in range(options.rounds)]
    bare, *costs = (best(column) for column in zip(*rounds, strict=True))
    print(f"{machine()}, SQLite {sqlite3.sqlite_version}; {len(rows):,} tickets, best of {options.rounds}")
    print(f"{'':24}{'CPU µs/ticket':>14}{'ratio':>8}{'later':>8}{'bytes/ticket':>14}{'count ms':>10}{'later':>8}")
    first = costs[0].cpu_s - bare.cpu_s
    for way, cost in zip(WAYS, costs, strict=True):
        more = cost.cpu_s - bare.cpu_s
        print(
            f"{way.name:24}{more / len(rows) * 1e6:>14.1f}{more / first:>8.2f}{cost.later_s / len(rows) * 1e6:>8.1f}"
            f"{cost.size / len(rows):>14,.0f}{cost.count_ms:>10.2f}{cost.later_count_ms:>8.2f}"
        )


if __name__ == "__main__":
    main()
