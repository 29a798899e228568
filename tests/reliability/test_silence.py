"""What stands still, dies or comes late without a word: noticed, shown, and mended where it can be."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.component.test_assembly import add, configured
from tests.fakes import page
from tests.fixtures.commandline import carry_out
from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.fleets import Fleet, Gate
from tests.waiting import wait_for
from zendeskd import daemon
from zendeskd.assembly import Assembly
from zendeskd.client import Client
from zendeskd.errors import ZendeskdError
from zendeskd.models import Health, Page, RunStatus, State, stamp, utcnow
from zendeskd.runs.workers import Turn
from zendeskd.simulator import Simulator

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module", autouse=True)
def _what_dead_threads_leave() -> Iterator[None]:
    """A loop that died holds connections that nobody can close: they go here, and are not told in another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def kill_thread(name: str) -> None:
    """Have the thread raise SystemExit at its next step, wherever it is: no code of ours expects it."""
    thread = next(one for one in threading.enumerate() if one.name == name)
    assert thread.ident is not None
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)) == 1


def is_alive(name: str) -> bool:
    return any(one.name == name for one in threading.enumerate())


# --- threads that die -------------------------------------------------------------------------------------------------


@pytest.fixture
def assembly(short_dir: Path) -> Iterator[Assembly]:
    one = Assembly(configured(short_dir, "workers = 2\n"), lambda: configured(short_dir))
    one.open()
    yield one
    assert one.close(10)


@pytest.fixture
def client(assembly: Assembly, short_dir: Path) -> Iterator[Client]:
    with Client(short_dir / "runtime" / "control.sock") as one:
        yield one


@contextmanager
def watched(assembly: Assembly, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The main thread's loop of the daemon, in another thread and with a quicker beat."""
    monkeypatch.setattr(daemon, "_BEAT_S", 0.05)
    wishes = daemon._Wishes()
    thread = threading.Thread(target=daemon._watch, args=(assembly, wishes))
    thread.start()
    try:
        yield
    finally:
        wishes.ask_stop()
        thread.join(10)


def test_a_scheduler_that_died_is_started_anew(assembly: Assembly, client: Client, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=3)
    kill_thread("scheduler")
    assert assembly.jobs is not None
    assembly.jobs.clock.put("wake", None, lambda: None, next_run=utcnow())
    wait_for(lambda: not is_alive("scheduler"), "its end")
    with capture_logs() as logs:
        assembly.mend()
        assembly.mend()
    assert [(line["event"], line["threads"]) for line in logs if line["log_level"] == "critical"] == [
        ("a thread died and was started anew", ["scheduler"])
    ]
    add(client, "acme", account.base_url, account.credential, interval="* * * * *")
    wait_for(lambda: client.sync_status_one("acme").last_success_at, "the first run")
    view = assembly.jobs.view("acme", "zendesk")
    assembly.jobs.clock.bring_forward(f"integration-{view.integration.id}", utcnow())
    wait_for(lambda: [run for run in client.runs(org="acme").items if run.trigger == "schedule"], "a tick")
    assert client.health().ok


def test_workers_that_died_are_started_anew(
    assembly: Assembly, client: Client, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = simulator.add_account("acme", tickets=3)
    for name in ("worker-1", "worker-2"):
        kill_thread(name)
    assert assembly.jobs is not None
    for _ in range(2):  # each is woken, and dies of it
        assembly.jobs._workers.put(Turn.COMPARISON, lambda: None, "nothing")
    wait_for(lambda: not is_alive("worker-1") and not is_alive("worker-2"), "their end")
    add(client, "acme", account.base_url, account.credential)
    with watched(assembly, monkeypatch):
        wait_for(lambda: client.sync_status_one("acme").last_success_at, "the first run")
    assert client.health().ok
    assert set(client.health().threads) == {"scheduler", "worker-1", "worker-2"}


def test_a_control_socket_whose_thread_died_answers_again(assembly: Assembly, short_dir: Path) -> None:
    path = short_dir / "runtime" / "control.sock"
    kill_thread("control")
    with Client(path, timeout_s=2) as cut, pytest.raises(ZendeskdError):
        for _ in range(50):  # the call that it dies of may still be answered
            cut.health()
            threading.Event().wait(0.05)
    wait_for(lambda: not is_alive("control"), "its end")
    assembly.mend()
    with Client(path) as again:
        assert again.health().ok
        events = again.events()
        assert next(events).event == "hello"
        assembly.broker.publish("daemon", message="here again")
        assert next(one for one in events if one.event == "daemon").message == "here again"


def test_what_stands_still_is_told_once_and_so_is_its_end(
    assembly: Assembly, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assembly.jobs is not None
    held, hangs = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        held.wait(30)

    assembly.jobs.clock.put("hang", None, hang, next_run=utcnow())
    assert hangs.wait(10)
    with capture_logs() as logs, watched(assembly, monkeypatch):
        assembly.jobs._moved_at -= 120  # two minutes ago
        wait_for(lambda: [line for line in logs if line["log_level"] == "critical"], "the warning")
        assert not client.health().ok
        assert "scheduler" in client.health().detail
        threading.Event().wait(0.3)  # several beats
        held.set()
        wait_for(lambda: [line for line in logs if line["event"] == "every thread moves again"], "the end")
    assert [line["event"] for line in logs if line["log_level"] == "critical"] == ["a thread does not move"]


def test_what_cannot_be_started_anew_is_tried_again(
    assembly: Assembly, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_thread("worker-1")
    assert assembly.jobs is not None
    for _ in range(2):
        assembly.jobs._workers.put(Turn.COMPARISON, lambda: None, "nothing")
    wait_for(lambda: not is_alive("worker-1"), "its end")

    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with capture_logs() as logs:
        with monkeypatch.context() as starved:
            starved.setattr(threading.Thread, "start", no_more)
            assembly.mend()
        assembly.mend()
    assert [line["event"] for line in logs if line["log_level"] in {"error", "critical"}] == [
        "a thread that died was not started anew",
        "a thread died and was started anew",
    ]
    assert is_alive("worker-1")


def test_nothing_is_started_anew_while_the_daemon_ends(short_dir: Path) -> None:
    one = Assembly(configured(short_dir), lambda: configured(short_dir))
    one.open()
    assert one.close(10)
    with capture_logs() as logs:
        one.mend()
    assert logs == []


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_connector_raises_costs_its_run_alone(kind: type[BaseException], fleet: Fleet) -> None:
    def fatal() -> Page:
        raise kind("out of here")

    fleet.add("bad")
    jobs = fleet.start([page(1, cursor="a"), fatal], [page(1, end=True)], workers=1)
    row = fleet.ended("bad", status=RunStatus.FAILED)
    assert (row.error_code, row.records_created) == ("internal_error", 1)
    assert kind.__name__ in (row.error_message or "")
    fleet.idle("bad")
    jobs.trigger("bad", "zendesk", "ana")
    fleet.ended("bad")
    assert jobs.mend() == []


# --- what is late -----------------------------------------------------------------------------------------------------


def test_lateness_is_told_once_with_its_organisation_and_so_is_its_end(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    for org in ("acme", "busy"):
        one = fleet.add(org, interval="*/15 * * * *")
        long_ago = utcnow() - timedelta(hours=2)
        fleet.store.fleet.change(one, last_sync_at=long_ago, last_success_at=long_ago, next_run_at=utcnow())
    step = gate(1)
    with capture_logs() as logs:
        jobs = fleet.start([step], [page(2, end=True)], workers=1)
        step.wait()
        minutes = Minutes(fleet)
        for _ in range(4):
            minutes.pass_one()
        late = [line for line in logs if line["event"] == "late"]
        assert sorted((line["org"], line["log_level"]) for line in late) == [("acme", "warning"), ("busy", "warning")]
        queued = next(view for view in jobs.views() if view.state is State.QUEUED)
        assert (queued.health, queued.why) == (Health.LATE, "waits for a worker")
        assert {line["why"] for line in late} >= {"waits for a worker"}
        step.open.set()
        for org in ("acme", "busy"):
            fleet.ended(org)
            fleet.idle(org)
        minutes.pass_one()
        assert sorted(line["org"] for line in logs if line["event"] == "not late any more") == ["acme", "busy"]
        assert len([line for line in logs if line["event"] == "late"]) == 2


def test_after_a_suspend_nobody_is_called_late_who_runs_at_once(fleet: Fleet) -> None:
    one = fleet.add(interval="*/15 * * * *")
    long_ago = utcnow() - timedelta(hours=8)
    fleet.store.fleet.change(one, last_sync_at=long_ago, last_success_at=long_ago, next_run_at=utcnow())
    with capture_logs() as logs:
        fleet.start()
        fleet.ended()
        fleet.idle()
        minutes = Minutes(fleet)
        for _ in range(3):
            minutes.pass_one()
    assert [line for line in logs if line["event"] == "late"] == []


def test_one_that_breaks_the_minutes_look_hides_no_other(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for org in ("aaa", "bbb"):
        one = fleet.add(org, interval="*/15 * * * *")
        long_ago = utcnow() - timedelta(hours=2)
        fleet.store.fleet.change(
            one, last_sync_at=utcnow(), last_success_at=long_ago, next_run_at=utcnow() + timedelta(minutes=9)
        )
    with capture_logs() as logs:
        jobs = fleet.start()
        broken = jobs._roster.find("aaa", "zendesk")
        assert broken is not None
        broken.unrecorded.append("no end of a run")  # type: ignore[arg-type]  # a bug's remains
        minutes = Minutes(fleet)
        for _ in range(2):
            minutes.pass_one()
        broken.unrecorded.clear()
    assert [line["org"] for line in logs if line["event"] == "late"] == ["bbb"]
    assert {line["org"] for line in logs if line["event"] == "not looked after"} == {"aaa"}


class Minutes:
    """The looks that the clock takes each minute, one by one."""

    def __init__(self, fleet: Fleet) -> None:
        assert fleet.jobs is not None
        self.clock = fleet.jobs.clock

    def pass_one(self) -> None:
        asked_at = utcnow()
        self.clock.bring_forward("minute", asked_at)
        wait_for(lambda: (at := self.clock.next_run_of("minute")) is not None and at > asked_at, "the look to begin")
        done = threading.Event()  # jobs are called one after the other
        self.clock.put("after", None, done.set, next_run=utcnow())
        assert done.wait(10)


# --- what monitoring sees ---------------------------------------------------------------------------------------------


def health(process: DaemonProcess, *words: str) -> tuple[int, str]:
    outcome = carry_out("--socket", str(process.socket), "health", *words, now=utcnow())
    assert (outcome.out + outcome.err).count("\n") == 1
    return outcome.code, outcome.out or outcome.err


def test_monitoring_sees_a_late_one_a_frozen_daemon_and_none(
    daemons: Callable[[], DaemonProcess], simulator: Simulator
) -> None:
    process = daemons().start()
    account = simulator.add_account("acme", tickets=3)
    process.add("acme", account.base_url, account.credential, interval="*/15 * * * *")
    assert process.first_run("acme").status == "success"
    code, line = health(process)
    assert (code, line.startswith("ZENDESKD OK - ")) == (0, True)
    assert process.stop() == 0
    code, line = health(process)
    assert (code, line.startswith("ZENDESKD UNKNOWN - ")) == (3, True)
    with sqlite3.connect(process.database) as connection:
        connection.execute(
            "UPDATE integrations SET last_success_at = ?, next_run_at = ?",
            (stamp(utcnow() - timedelta(hours=5)), stamp(utcnow() + timedelta(minutes=14))),
        )
    connection.close()
    process.start()
    code, line = health(process)
    assert (code, line.startswith("ZENDESKD WARNING - 1 late: acme | ")) == (1, True), line
    assert " late=1 " in line
    assert process.process is not None
    os.kill(process.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        code, line = health(process, "--timeout", "1s")
        assert (code, line.startswith("ZENDESKD UNKNOWN - ")) == (3, True), line
        assert time.monotonic() - began < 10
    finally:
        os.kill(process.process.pid, signal.SIGCONT)
    wait_for(lambda: health(process)[0] == 1, "the daemon to answer again")
