from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from tests.fakes import START, FakeClock
from tests.waiting import wait_for
from zendeskd.cron import CronExpression
from zendeskd.models import utcnow
from zendeskd.runs.clock import CronScheduler

QUARTER = CronExpression("*/15 * * * *", "America/New_York")


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def clock(time: FakeClock) -> CronScheduler:
    return CronScheduler(time.now, monotonic=time.monotonic)


def test_a_job_is_called_when_due_and_planned_again(clock: CronScheduler, time: FakeClock) -> None:
    called: list[object] = []
    assert clock.put("a", QUARTER, lambda: called.append(time.now())) == START.replace(minute=15, second=0)
    clock.run_pending()
    assert called == []
    time.advance(minutes=15)
    clock.run_pending()
    clock.run_pending()
    assert len(called) == 1
    assert clock.next_run_of("a") == START.replace(minute=30, second=0)


def test_ticks_missed_while_suspended_come_once(clock: CronScheduler, time: FakeClock) -> None:
    called: list[int] = []
    clock.put("a", QUARTER, lambda: called.append(1))
    time.advance(hours=8)
    clock.run_pending()
    assert called == [1]


def test_a_first_instant_of_its_own_then_the_schedule(clock: CronScheduler, time: FakeClock) -> None:
    called: list[int] = []
    clock.put("a", QUARTER, lambda: called.append(1), next_run=START)
    clock.run_pending()
    assert called == [1]
    assert clock.next_run_of("a") == START.replace(minute=15, second=0)


def test_a_job_without_a_schedule_comes_once(clock: CronScheduler, time: FakeClock) -> None:
    called: list[int] = []
    clock.put("a", None, lambda: called.append(1), next_run=START)
    clock.run_pending()
    time.advance(days=2)
    clock.run_pending()
    assert called == [1]
    assert clock.next_run_of("a") is None


def test_the_oldest_is_called_first(clock: CronScheduler, time: FakeClock) -> None:
    called: list[str] = []
    for minutes, name in ((3, "c"), (1, "a"), (2, "b")):
        clock.put(
            name,
            None,
            lambda name=name: called.append(name),  # type: ignore[misc]
            next_run=START + timedelta(minutes=minutes),
        )
    time.advance(minutes=5)
    clock.run_pending()
    assert called == ["a", "b", "c"]


def test_a_job_that_raises_neither_stays_due_nor_holds_up_others(clock: CronScheduler, time: FakeClock) -> None:
    called: list[str] = []

    def broken() -> None:
        called.append("broken")
        raise RuntimeError("bug")

    clock.put("a", QUARTER, broken)
    clock.put("b", QUARTER, lambda: called.append("b"))
    time.advance(minutes=15)
    clock.run_pending()
    clock.run_pending()
    assert sorted(called) == ["b", "broken"]


def test_a_job_removed_by_one_before_it_is_not_called(clock: CronScheduler, time: FakeClock) -> None:
    called: list[str] = []

    def first() -> None:
        called.append("first")
        clock.remove("removed")
        clock.put("replaced", None, lambda: called.append("new"), next_run=START + timedelta(hours=9))

    clock.put("first", None, first, next_run=START)
    for name in ("removed", "replaced"):
        clock.put(name, None, lambda name=name: called.append(name), next_run=START + timedelta(seconds=1))  # type: ignore[misc]
    time.advance(minutes=1)
    clock.run_pending()
    assert called == ["first"]


def test_it_says_that_it_moves_after_each_job(time: FakeClock) -> None:
    moved: list[int] = []
    clock = CronScheduler(time.now, monotonic=time.monotonic, on_pass=lambda: moved.append(1))
    for n in range(3):
        clock.put(str(n), None, lambda: None, next_run=START)
    clock.run_pending()
    assert len(moved) == 3


def test_a_job_may_replace_itself(clock: CronScheduler, time: FakeClock) -> None:
    def again() -> None:
        clock.put("a", QUARTER, again, next_run=START + timedelta(hours=3))

    clock.put("a", QUARTER, again, next_run=START)
    clock.run_pending()
    assert clock.next_run_of("a") == START + timedelta(hours=3)
    assert len(clock.jobs) == 1


def test_replacing_and_removing(clock: CronScheduler) -> None:
    clock.put("a", QUARTER, lambda: None)
    clock.put("a", CronExpression("0 0 * * *", "UTC"), lambda: None)
    assert clock.next_run_of("a") == START.replace(day=24, hour=0, minute=0, second=0)
    clock.remove("a")
    clock.remove("a")
    assert (clock.next_run_of("a"), clock.jobs) == (None, [])


def test_bringing_forward_never_puts_off(clock: CronScheduler) -> None:
    clock.put("a", QUARTER, lambda: None)
    planned = clock.next_run_of("a")
    assert clock.bring_forward("a", START + timedelta(hours=1)) == planned
    assert clock.bring_forward("a", None) == planned
    assert clock.bring_forward("a", START + timedelta(minutes=1)) == START + timedelta(minutes=1)
    assert clock.bring_forward("nobody", START) is None


def test_a_clock_set_back_does_not_stop_the_fleet(clock: CronScheduler, time: FakeClock) -> None:
    called: list[int] = []
    clock.put("a", QUARTER, lambda: called.append(1))
    clock.put("once", None, lambda: None, next_run=START + timedelta(hours=1))
    clock.run_pending()
    time.step(days=-1)
    clock.run_pending()
    assert clock.next_run_of("a") == (START - timedelta(days=1)).replace(minute=15, second=0)
    time.advance(minutes=15)
    clock.run_pending()
    assert called == [1]


@pytest.mark.parametrize("back_s", [1, 40, 600, 899])
def test_a_clock_set_back_a_little_repeats_nothing(back_s: int, clock: CronScheduler, time: FakeClock) -> None:
    called: list[object] = []
    clock.put("a", QUARTER, lambda: called.append(time.now()))
    time.advance(minutes=15)
    clock.run_pending()
    time.step(seconds=-back_s)
    for _ in range(40):
        time.advance(minutes=1)
        clock.run_pending()
    assert len(called) == 1 + (40 * 60 - back_s) // 900
    assert len(set(called)) == len(called)


def test_a_daily_job_that_ran_is_not_repeated_where_the_clock_goes_back_by_hours(
    clock: CronScheduler, time: FakeClock
) -> None:
    called: list[object] = []
    clock.put("a", CronExpression("15 14 * * *", "UTC"), lambda: called.append(time.now()))
    time.advance(minutes=20)
    clock.run_pending()
    assert len(called) == 1
    time.step(hours=-5)
    for _ in range(25):
        time.advance(hours=1)
        clock.run_pending()
    assert len(called) == 1
    time.advance(hours=4)
    clock.run_pending()
    assert len(called) == 2


@pytest.mark.parametrize("back", [timedelta(minutes=5), timedelta(hours=20), timedelta(days=3)])
def test_what_comes_in_an_hour_comes_in_an_hour_however_the_clock_is_set_back(
    back: timedelta, clock: CronScheduler, time: FakeClock
) -> None:
    called: list[object] = []
    daily = CronExpression("0 3 * * *", "UTC")
    clock.put("probe", daily, lambda: called.append(time.now()), next_run=START + timedelta(hours=1))
    clock.put("named", None, lambda: None, next_run=START + timedelta(hours=1))
    time.step(seconds=-back.total_seconds())
    clock.run_pending()
    assert clock.next_run_of("probe") == START + timedelta(hours=1) - back
    assert clock.next_run_of("named") == START + timedelta(hours=1)
    time.advance(minutes=59)
    clock.run_pending()
    assert called == []
    time.advance(minutes=1)
    clock.run_pending()
    assert called == [START + timedelta(hours=1) - back]
    assert clock.next_run_of("probe") == daily.next_after(time.now())


def test_a_clock_that_fails_goes_on(time: FakeClock) -> None:
    """Whatever breaks between two jobs must not end the thread that everything hangs on."""
    broken, called = [True], threading.Event()

    def now() -> datetime:
        if broken and len(broken) > 1:
            broken.clear()
            raise OSError("the clock cannot be read")
        return time.now()

    clock = CronScheduler(now, monotonic=time.monotonic, max_wait_s=0.01)
    clock.put("a", None, called.set, next_run=START)
    broken.append(True)
    thread = threading.Thread(target=clock.run_forever)
    thread.start()
    try:
        assert called.wait(10)
    finally:
        clock.stop()
        thread.join(5)


def test_a_clock_set_forward_costs_one_call(clock: CronScheduler, time: FakeClock) -> None:
    called: list[int] = []
    clock.put("a", QUARTER, lambda: called.append(1))
    time.step(days=1)
    clock.run_pending()
    clock.run_pending()
    assert called == [1]


def test_the_thread_wakes_for_a_new_job_at_once_and_stops_at_once() -> None:
    called = threading.Event()
    clock = CronScheduler(utcnow, max_wait_s=3600)
    thread = threading.Thread(target=clock.run_forever)
    thread.start()
    try:
        clock.put("a", None, called.set, next_run=utcnow())
        wait_for(called.is_set, "the job")
    finally:
        clock.stop()
        thread.join(5)
    assert not thread.is_alive()
