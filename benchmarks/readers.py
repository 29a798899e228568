"""What zendeskd's sync is measured against: three programs that read the same account into SQLite, and that is all.

`bare`      what one would write with the fastest libraries: httpx, msgspec, `executemany` into zendeskd's own table
            with its unique key and indexes, WAL, one transaction a page. No search index, links, counters, log.
`pipelined` the same with the next page on its way while one is written: the ceiling.
`script`    what one would write by hand in an afternoon: the standard library's HTTP and JSON, a table, two indexes.

Each runs in a process of its own, forked when everything is imported. `read(...)` -> seconds, and of CPU.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

PATH = "/api/v2/incremental/tickets/cursor"
ASKED = {"per_page": "1000", "support_type_scope": "all", "include": "users,groups,organizations"}


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


Rows = list[tuple[Any, ...]]
Reader = Callable[[str, dict[str, str], Path, Path], None]

_UPSERT = (
    "INSERT INTO flow_records (organization_id, source_system, record_type, external_id, title, body, status, "
    "priority, tags, created_at, updated_at, source_version, content_hash, raw, first_synced_at, synced_at) "
    "VALUES ('bench', 'zendesk', 'ticket', ?, ?, ?, ?, ?, '[]', ?, ?, ?, x'00', ?, '', '') "
    "ON CONFLICT (organization_id, source_system, record_type, external_id) DO UPDATE SET "
    "title = excluded.title, body = excluded.body, status = excluded.status, raw = excluded.raw, "
    "source_version = excluded.source_version WHERE excluded.source_version >= flow_records.source_version"
)


def bare(base_url: str, credential: dict[str, str], schema_from: Path, path: Path) -> None:
    with contextlib.closing(_database(path, schema_from)) as db:
        for rows in _pages(base_url, credential):
            _write(db, rows)


def pipelined(base_url: str, credential: dict[str, str], schema_from: Path, path: Path) -> None:
    ahead: queue.Queue[Rows | None] = queue.Queue(1)

    def fetch() -> None:
        for rows in _pages(base_url, credential):
            ahead.put(rows)
        ahead.put(None)

    threading.Thread(target=fetch, daemon=True).start()
    with contextlib.closing(_database(path, schema_from)) as db:
        while (rows := ahead.get()) is not None:
            _write(db, rows)


def script(base_url: str, credential: dict[str, str], schema_from: Path, path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE tickets (id INTEGER PRIMARY KEY, subject, description, status, priority, requester, tags, "
        "created_at, updated_at, raw)"
    )
    db.execute("CREATE INDEX by_status ON tickets (status)")
    db.execute("CREATE INDEX by_change ON tickets (updated_at)")
    parts = urlsplit(base_url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    secret = base64.b64encode(f"{credential['email']}/token:{credential['token']}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Accept-Encoding": "gzip"}
    place = {"start_time": "0"}
    while True:
        connection.request("GET", f"{parts.path}{PATH}?{urlencode({**place, **ASKED})}", headers=headers)
        reply = connection.getresponse()
        content = reply.read()
        page = json.loads(gzip.decompress(content) if reply.headers.get("content-encoding") == "gzip" else content)
        names = {user["id"]: user["name"] for user in page["users"]}
        for one in page["tickets"]:
            db.execute(
                "INSERT OR REPLACE INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    one["id"],
                    one["subject"],
                    one["description"],
                    one["status"],
                    one["priority"],
                    names.get(one["requester_id"]),
                    json.dumps(one["tags"]),
                    one["created_at"],
                    one["updated_at"],
                    json.dumps(one),
                ),
            )
        db.commit()
        if page["end_of_stream"]:
            break
        place = {"cursor": page["after_cursor"]}
    connection.close()
    db.close()


def read(
    reader: Reader, base_url: str, credential: dict[str, str], schema_from: Path, path: Path
) -> tuple[float, float]:
    path.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            begun, used = time.monotonic(), time.process_time()
            reader(base_url, credential, schema_from, path)
            path.with_suffix(".took").write_text(f"{time.monotonic() - begun} {time.process_time() - used}")
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"{reader.__name__} failed"
    wall, cpu = path.with_suffix(".took").read_text().split()
    return float(wall), float(cpu)


def _database(path: Path, schema_from: Path) -> sqlite3.Connection:
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
    return db


def _pages(base_url: str, credential: dict[str, str]) -> Iterator[Rows]:
    envelope, ticket = msgspec.json.Decoder(Envelope), msgspec.json.Decoder(Ticket)
    place = {"start_time": "0"}
    auth = (f"{credential['email']}/token", credential["token"])
    with httpx.Client(auth=auth, verify=False, headers={"Accept-Encoding": "gzip"}) as client:
        while True:
            page = envelope.decode(client.get(f"{base_url}{PATH}", params={**place, **ASKED}).content)
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
            yield rows
            if page.end_of_stream:
                return
            assert page.after_cursor is not None
            place = {"cursor": page.after_cursor}


def _write(db: sqlite3.Connection, rows: Rows) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany(_UPSERT, rows)
    db.execute("COMMIT")
