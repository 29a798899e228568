"""Backups of a database that is written meanwhile: what is in them, which are kept, and what can go wrong."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.stores import NOW, add_organization, begin_run, is_consistent, record, table, write
from tests.waiting import wait_for
from zendeskd import copies
from zendeskd.backup import Backup, Backups, found, is_overdue
from zendeskd.cron import CronExpression
from zendeskd.db import Database
from zendeskd.errors import Conflict
from zendeskd.models import Integration
from zendeskd.pace import Pace
from zendeskd.store import Store
from zendeskd.store.pages import RunPages

PER_PAGE = 50


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., Backups]


@pytest.fixture
def make(database: Database, tmp_path: Path, clock: Clock) -> Iterator[Make]:
    """Backups of the database; all are stopped with the test."""
    made: list[Backups] = []

    def new(keep: int = 7, folder: Path = tmp_path / "backups", **options: object) -> Backups:
        made.append(Backups(database, folder, keep=lambda: keep, now=clock.now, **options))  # type: ignore[arg-type]
        return made[-1]

    yield new
    for one in made:
        assert one.stop(20)


def ended(backups: Backups, path: Path) -> Backup:
    found = wait_for(lambda: [one for one in backups.recent() if one.path == path], "the end of the backup")
    return found[0]


def one_more(backups: Backups) -> Backup:
    asked, joined = backups.begin("ana (cli)")
    assert not joined
    return ended(backups, asked.path)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(pages: RunPages, megabytes: int) -> None:
    body = "x" * 20_000
    for number in range(megabytes):
        write(pages, [record(f"9{number:05}{each:03}", body=body) for each in range(PER_PAGE)])


# --- what is in them --------------------------------------------------------------------------------------------------


def test_a_backup_made_during_a_sync_is_one_moment_of_it(
    database: Database, pages: RunPages, acme: Integration, make: Make
) -> None:
    """Every page is there with its cursor or not at all, and pages went on being written."""
    fill(pages, 30)
    backups, over, written = make(), threading.Event(), [0]

    def sync() -> None:
        while not over.is_set():
            number = written[0] + 1
            write(pages, [record(number * 1000 + each) for each in range(PER_PAGE)], cursor=f"page {number}")
            written[0] = number

    thread = threading.Thread(target=sync)
    thread.start()
    try:
        wait_for(lambda: written[0] > 3, "the sync to write")
        before = written[0]
        made = one_more(backups)
        during = written[0] - before
        after = written[0]
        wait_for(lambda: written[0] > after, "the sync to go on")
    finally:
        over.set()
        thread.join(20)
    assert (made.trouble, made.requested_by, made.bytes) == (None, "ana (cli)", made.path.stat().st_size)
    assert during > 0
    copy = Database(f"sqlite:///{made.path}")
    copy.open()
    try:
        assert table(copy, "PRAGMA integrity_check") == [("ok",)]
        assert is_consistent(copy)
        ((cursor,),) = table(copy, "SELECT cursor FROM integrations")
        at = int(cursor.removeprefix("page "))
        assert before <= at <= written[0]
        ((records,),) = table(copy, "SELECT count(*) FROM flow_records")
        assert records == 30 * PER_PAGE + at * PER_PAGE
    finally:
        copy.close()
    assert is_consistent(database)


def test_a_backup_is_one_file_for_its_owner_alone(make: Make, pages: RunPages) -> None:
    write(pages, [record(1)])
    made = one_more(make())
    assert names(made.path.parent) == ["zendeskd-20261123T140500Z.db"]
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(f"file:{made.path}?mode=ro", uri=True)) as copy:
        assert copy.execute("SELECT count(*) FROM flow_records").fetchone() == (1,)
    assert names(made.path.parent) == ["zendeskd-20261123T140500Z.db"]  # reading it makes no files beside it


def test_one_at_a_time_and_the_second_joins(make: Make, clock: Clock) -> None:
    held, began = threading.Event(), threading.Event()

    def hold(one: Backup) -> None:
        if one.finished_at is None:
            began.set()
            assert held.wait(20)

    backups = make(on_change=hold)
    first, joined = backups.begin("schedule")
    assert (joined, began.wait(20), backups.running) == (False, True, first)
    clock.at += timedelta(minutes=1)
    assert backups.begin("ana (cli)") == (first, True)
    held.set()
    assert ended(backups, first.path).trouble is None
    assert backups.running is None
    assert names(backups.folder) == [first.path.name]


# --- which are kept ---------------------------------------------------------------------------------------------------


def test_the_newest_few_are_kept_and_nothing_else_is_touched(make: Make, clock: Clock) -> None:
    backups = make(keep=2)
    backups.folder.mkdir()
    others = ["notes.txt", "zendeskd-20200101T000000Z.db.gz", "zendeskd-before-0002_more.db", "zendeskd-99999999T9Z.db"]
    for name in others:
        (backups.folder / name).write_text("mine")
    for _ in range(4):
        one_more(backups)
        clock.at += timedelta(hours=1)
    kept = ["zendeskd-20261123T160500Z.db", "zendeskd-20261123T170500Z.db"]
    assert names(backups.folder) == sorted([*others, *kept])
    assert [one.path.name for one in found(backups.folder)] == kept[::-1]


def test_a_clock_that_was_wrong_does_not_cost_the_one_just_made(make: Make, clock: Clock) -> None:
    backups = make(keep=1)
    clock.at = NOW + timedelta(days=4000)
    one_more(backups)
    clock.at = NOW
    made = one_more(backups)
    assert names(backups.folder) == [made.path.name]


def test_a_new_daemon_knows_the_backups_that_are_there(make: Make, clock: Clock) -> None:
    made = one_more(make())
    again = make()
    (known,) = again.recent()
    assert (known.path, known.bytes, known.requested_by) == (made.path, made.bytes, None)
    assert again.newest_at() == NOW
    assert make(folder=Path("/nowhere")).recent() == []


@pytest.mark.parametrize(("hours", "overdue"), [(0, False), (25, False), (47, False), (49, True), (1000, True)])
def test_two_in_a_row_that_were_missed_are_overdue(hours: int, overdue: bool) -> None:
    cron, since = CronExpression("0 3 * * *", "UTC"), datetime.fromisoformat("2026-11-23T03:00:00Z")
    assert is_overdue(cron, since, since + timedelta(hours=hours)) is overdue
    assert not is_overdue(cron, None, since)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_disk_without_room_is_said_before_anything_is_written(make: Make, database: Database) -> None:
    backups = make(room_left=2**60)
    failed = one_more(backups)
    assert failed.trouble is not None
    assert "does not fit into" in failed.trouble
    assert "Make room there" in failed.hint
    assert names(backups.folder) == []
    assert database.trouble is None
    assert backups.newest_at() is None


def test_a_folder_that_cannot_be_written_is_no_trouble_of_the_database(
    make: Make, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    failed = one_more(make(folder=tmp_path / "file"))
    assert failed.trouble is not None
    assert "could not be written: File exists" in failed.trouble
    assert "must belong to the daemon's user" in failed.hint
    assert database.trouble is None


LIMITED = """
import resource, sys, threading
from pathlib import Path
from zendeskd.backup import Backups
from zendeskd.db import Database
database = Database(f"sqlite:///{sys.argv[1]}/zendeskd.db")
database.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
over = threading.Event()
backups = Backups(database, Path(sys.argv[1]) / "backups", keep=lambda: 7,
                  on_change=lambda one: one.finished_at and over.set())
backups.begin("test")
over.wait(30)
(one,) = backups.recent()
print(one.trouble, "|", database.trouble, "|", *Path(one.path).parent.iterdir())
"""


def test_a_disk_that_fills_up_half_way_leaves_no_file(database: Database, pages: RunPages, tmp_path: Path) -> None:
    fill(pages, 8)
    database.close()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    trouble, database_trouble, left = (part.strip() for part in done.stdout.splitlines()[-1].split("|"))
    assert "could not be written" in trouble
    assert (database_trouble, left) == ("None", "")


def test_a_disk_that_fills_up_meanwhile_is_left_to_the_sync(
    make: Make, database: Database, pages: RunPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's log grows while it is copied, and its writes must not fail for a backup."""
    fill(pages, 100)
    looks: list[int] = []

    def usage(_: object) -> object:
        looks.append(0)
        free = 2**40 if len(looks) == 1 else 99 * 2**20
        return shutil._ntuple_diskusage(2**41, 2**40, free)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", usage)
    backups = make()
    failed = one_more(backups)
    assert failed.trouble == f"The backup was ended for the sync to go on: 99 MB were free in {backups.folder}."
    assert (names(backups.folder), database.trouble) == ([], None)


class Rests(threading.Event):
    """How long a copy wanted to rest after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked_s.append(timeout or 0.0)
        return False


@pytest.mark.parametrize("beside_writers", [True, False])
def test_a_copy_rests_longer_than_it_works_for_those_who_write(
    database: Database, pages: RunPages, tmp_path: Path, beside_writers: bool
) -> None:
    fill(pages, 30)
    rests = Rests()
    began = time.monotonic()
    with database.reading() as source:
        ask = (lambda: None) if beside_writers else None
        copies.write_copy(source, tmp_path / "copy.db", stop=rests, beside_writers=ask)
    worked_s = time.monotonic() - began
    assert len(rests.asked_s) > 20, "in small steps"
    if beside_writers:
        assert 0 < sum(rests.asked_s) <= 3 * worked_s
    else:
        assert sum(rests.asked_s) == 0


def test_a_rest_is_three_times_the_work_and_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    instants = iter([0.0, 0.1, 5.0, 5.02, 7.0, 67.0, 80.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(instants))
    rests = Rests()
    pace = Pace(rests, copies._YIELDED)
    assert [pace.rest() for _ in range(3)] == [False] * 3
    assert rests.asked_s == pytest.approx([0.3, 0.06, 1.0])


def test_the_log_of_the_database_is_held_while_it_is_read_and_not_while_the_copy_is_checked(
    database: Database, pages: RunPages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(pages, 2)
    held: list[bool] = []
    check = copies._check

    def looked_at(*given: Any) -> None:
        held.append(source.in_transaction)
        check(*given)

    monkeypatch.setattr(copies, "_check", looked_at)
    with database.reading() as source:
        copies.write_copy(source, tmp_path / "copy.db", stop=threading.Event())
    assert held == [False]


def test_a_backup_asks_for_no_longer_hold(make: Make, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: Database) -> None:
        raise AssertionError("the whole backup would be one transaction")

    monkeypatch.setattr(Database, "snapshot", never)
    assert one_more(make()).trouble is None


KILLED = """
import sys, threading
from pathlib import Path
from zendeskd.backup import Backups
from zendeskd.db import Database

class Held(threading.Event):
    def wait(self, timeout=None):
        print("half way", flush=True)
        return super().wait(60)

database = Database(f"sqlite:///{sys.argv[1]}/zendeskd.db")
database.open()
backups = Backups(database, Path(sys.argv[1]) / "backups", keep=lambda: 7)
backups._stop = Held()
backups.begin("test")
backups._thread.join()
"""


def test_what_a_killed_daemon_leaves_is_removed_by_the_next(
    database: Database, pages: RunPages, tmp_path: Path, make: Make
) -> None:
    fill(pages, 8)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half way\n"
        process.send_signal(signal.SIGKILL)
    folder = tmp_path / "backups"
    (left,) = names(folder)
    assert left.startswith(".zendeskd-")
    assert left.endswith(".partial")
    assert found(folder) == []
    made = one_more(make())
    assert names(folder) == [made.path.name]


def test_a_daemon_that_stops_ends_it_and_leaves_no_file(make: Make, pages: RunPages) -> None:
    fill(pages, 8)
    backups = make()
    asked, _ = backups.begin("schedule")
    assert backups.stop(20)
    (one,) = backups.recent()
    assert one.path == asked.path
    assert one.trouble in {"the daemon was stopped", None}  # it may have been done by then
    assert names(backups.folder) == ([] if one.trouble else [asked.path.name])
    with pytest.raises(Conflict, match="stopping"):
        backups.begin("ana (cli)")


class Slow(threading.Event):
    """A disk that takes its time for each step of a copy."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait((timeout or 0.0) + 0.05)


def test_what_ends_with_the_process_is_saved_however_long_that_takes(
    make: Make, pages: RunPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(pages, 20)
    monkeypatch.setattr("zendeskd.backup.RESCUE_STANDS_S", 0.5)
    monkeypatch.setattr("zendeskd.backup._LOOK_S", 0.1)
    backups, asked_for = make(), list[float]()
    backups._stop = Slow()
    began = time.monotonic()
    backups.rescue("zendeskd")
    assert backups.stop(20, asked_for.append)
    assert time.monotonic() - began > 2 * 0.5
    (one,) = backups.recent()
    assert (one.trouble, names(backups.folder)) == (None, [one.path.name])
    assert len(asked_for) > 5
    assert set(asked_for) == {0.5}


def test_a_rescue_that_stands_still_is_not_waited_for_without_end(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zendeskd.backup.RESCUE_STANDS_S", 0.1)
    monkeypatch.setattr("zendeskd.backup._LOOK_S", 0.01)
    held = threading.Event()
    backups = make(on_change=lambda _: held.wait(20))
    backups.rescue("zendeskd")
    assert not backups.stop(0.1)
    held.set()


def test_it_may_be_stopped_again_after_a_rescue_that_failed(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    backups = make(folder=tmp_path / "file")
    backups.rescue("zendeskd")
    assert backups.stop(20)
    assert len(backups.recent()) >= 2, "it tried once more"
    assert backups.stop(20)


STARVED = """
import resource, sys, threading
from pathlib import Path
from zendeskd.backup import Backups
from zendeskd.db import Database
from zendeskd.errors import StorageError
database = Database(f"sqlite:///{sys.argv[1]}/zendeskd.db")
database.open()
made = threading.Event()
backups = Backups(database, Path(sys.argv[1]) / "backups", keep=lambda: 7,
                  on_change=lambda one: one.finished_at and made.set())
before = resource.getrlimit(resource.RLIMIT_AS)
(pages,) = Path("/proc/self/statm").read_text().split()[:1]
resource.setrlimit(resource.RLIMIT_AS, (int(pages) * resource.getpagesize() + 2**20, before[1]))  # no stack fits in
try:
    backups.begin("test")
except StorageError as error:
    print(error.detail, "|", error.hint)
resource.setrlimit(resource.RLIMIT_AS, before)
print(backups.running, backups.begin("test")[1], made.wait(30), backups.recent()[0].trouble, backups.stop(20))
"""


def test_without_a_thread_for_it_there_is_none_and_the_next_one_is_made(database: Database, tmp_path: Path) -> None:
    database.close()
    done = subprocess.run(
        [sys.executable, "-c", STARVED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    refused, *_, after = done.stdout.splitlines()
    assert "no more threads" in refused
    assert "TasksMax=" in refused
    assert after == "None False True None True"


def test_a_copy_that_is_not_sound_is_no_backup(make: Make, database: Database, pages: RunPages) -> None:
    fill(pages, 2)
    with database.writing() as connection:
        ((root,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'flow_records'").fetchall()
    database.close()
    with database.path.open("r+b") as file:
        file.seek((root - 1) * 16_384)
        file.write(os.urandom(16_384))
    database.open()
    failed = one_more(backups := make())
    assert failed.trouble is not None
    assert "could not be written: " in failed.trouble
    assert "malformed" in failed.trouble or "not sound" in failed.trouble
    assert names(backups.folder) == []


def test_a_bug_costs_one_backup(make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_: object) -> int:
        raise RuntimeError("secret detail")

    backups = make()
    monkeypatch.setattr("zendeskd.copies.bytes_of", bug)
    assert one_more(backups).trouble == "a bug: RuntimeError"
    monkeypatch.undo()
    clock.at += timedelta(hours=1)
    assert one_more(backups).trouble is None


def test_several_organisations_and_running_runs_are_in_it(make: Make, store: Store) -> None:
    for org in ("acme", "globex"):
        begin_run(store, add_organization(store, org))
    made = one_more(make())
    with contextlib.closing(sqlite3.connect(made.path)) as copy:
        assert copy.execute("SELECT status FROM sync_logs").fetchall() == [("running",), ("running",)]
