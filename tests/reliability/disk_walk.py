"""The program that `test_storage_faults` starts with the failing disk preloaded: every write of one sync fails once.

    python -m tests.reliability.disk_walk FOLDER ERRNO LASTING

A sync of several pages (new, changed and deleted tickets, links, one set aside) runs on a database in FOLDER with the
k-th write failing, for every k; ERRNO 0 kills the process that runs it instead. After each, the copy is opened again
and brought up to date, and has to be what an undisturbed one is. Prints what happened as JSON; ends with 1 at a
difference.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.fixtures.copied import LINKS, RECORDS, WRONG_SUMS
from tests.fixtures.stores import NOW, PIECES, add_organization, is_consistent, record, table
from zendeskd import sync
from zendeskd.cancel import CancelToken
from zendeskd.db import Database
from zendeskd.errors import StorageError, ZendeskdError
from zendeskd.models import CallStats, Deletion, Link, Page, PageCounts, Position, Quarantined, RunStatus, Trigger
from zendeskd.store import Store

MOST_WRITES = 500
BODY = "word " * 400  # so that a page of the log is not a whole transaction


class Source:
    """Five pages; goes on from where the copy is."""

    def __init__(self) -> None:
        self.calls = CallStats()
        incident = (Link("incident_of", "zendesk", "ticket", "1"),)
        gone = "2026-11-23T14:00:00.000Z"
        self._pages = [
            Page([record(n, 2, body=BODY) for n in range(1, 13)], False, cursor="1"),
            Page([record(n, 1, body=BODY, links=incident) for n in range(20, 32)], False, cursor="2"),
            Page([record(3, 3, deleted_at=gone)], False, cursor="3", deletions=[Deletion("4", "ticket", gone)]),
            Page([record(40, 1, body=BODY)], False, cursor="4", quarantined=[Quarantined(raw="{}", reason="no id")]),
            Page([record(41, 1, tags=("a", "b"))], True, cursor="5", watermark=NOW),
        ]

    def pages(self, position: Position) -> Iterator[Page]:
        return iter(self._pages[int(position.cursor or 0) :] or [Page([], True, cursor="5")])


class Progress:
    def page_stored(self, page: Page, counts: PageCounts) -> None:
        pass


def synced(path: Path) -> RunStatus:
    """One life of a daemon, as far as the store sees it: open, take over, run, merge, close. Raises StorageError."""
    db = Database(f"sqlite:///{path}")
    db.open()
    try:
        store = Store(db)
        store.runs.interrupt_orphans(NOW)
        one = store.fleet.integration("acme", "zendesk")
        row = store.runs.enqueue(one, Trigger.SCHEDULE, None, NOW)
        store.runs.begin(row.id, NOW)
        source = Source()
        result = sync.run(
            one, source, store.pages.open(one, row.id), CancelToken(), Progress(),
            ahead=lambda pages, _: pages, now=lambda: NOW,
        )  # fmt: skip
        store.runs.finish(row.id, result, source.calls, NOW)
        store.merging.go_on(threading.Event())
        return result.status
    finally:
        db.close()


def prepared(path: Path) -> None:
    """A copy that has read a first page."""
    db = Database(f"sqlite:///{path}")
    db.open()
    store = Store(db)
    one = add_organization(store, "acme")
    row = store.runs.enqueue(one, Trigger.SCHEDULE, None, NOW)
    first = Page([record(n, 1, body=BODY) for n in range(1, 9)], False, cursor="0")
    pages = store.pages.open(one, row.id)
    pages.write_page(pages.prepare(first), CallStats(), NOW)
    db.close()


def content(path: Path) -> list[object]:
    """What is in it, once everything about it was found sound."""
    db = Database(f"sqlite:///{path}")
    db.open()
    try:
        assert is_consistent(db)
        assert table(db, "PRAGMA integrity_check") == [("ok",)]
        assert table(db, WRONG_SUMS) == []
        assert table(db, "SELECT id FROM sync_logs WHERE status = 'running'") == []
        return [table(db, query) for query in (RECORDS, LINKS, "SELECT cursor, watermark FROM integrations")]
    finally:
        db.close()


def pieces(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute(PIECES).fetchone()[0])


def tried(path: Path, disk: ctypes.CDLL, nth: int, lasting: int, error: int) -> str:
    """What came of one sync whose nth write fails: a status, `storage_error`, or `killed`; "" if none was left."""
    if error:
        disk.disk_arm(bytes(path.parent), 0, nth, lasting, error)
        try:
            said = str(synced(path))
        except StorageError as failed:
            said = failed.code
        calls = ctypes.c_long.in_dll(disk, "disk_calls").value
        disk.disk_mend()
        return said if calls > nth else ""
    child = os.fork()
    if not child:
        disk.disk_arm(bytes(path.parent), 0, nth, lasting, error)
        code = 1
        try:
            code = 0 if synced(path) is RunStatus.PARTIAL else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return "killed" if os.WIFSIGNALED(status) else ""


def main(folder: Path, error: int, lasting: int) -> int:
    disk = ctypes.CDLL(None)
    disk.disk_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_int]
    first, twin = folder / "first", folder / "twin"
    first.mkdir(parents=True)
    prepared(first / "copy.db")
    shutil.copytree(first, twin)
    assert synced(twin / "copy.db") is RunStatus.PARTIAL, "one record is set aside"
    truth = content(twin / "copy.db")
    assert pieces(twin / "copy.db") < 4, "the search index was merged"
    outcomes: Counter[str] = Counter()
    for nth in range(MOST_WRITES):
        place = folder / f"write-{nth}"
        shutil.copytree(first, place)
        said = tried(place / "copy.db", disk, nth, lasting, error)
        outcomes[said or "undisturbed"] += 1
        again = synced(place / "copy.db")
        found = content(place / "copy.db")
        if found != truth or again not in {RunStatus.SUCCESS, RunStatus.PARTIAL}:
            print(json.dumps({"nth": nth, "said": said, "again": str(again), "found": repr(found)[:2000]}))
            return 1
        if not said:
            print(json.dumps(outcomes))
            return 0
        shutil.rmtree(place)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
    except ZendeskdError as problem:
        sys.exit(f"{problem.detail} {problem.hint}")
