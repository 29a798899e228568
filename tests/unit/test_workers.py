from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.waiting import wait_for
from zendeskd.runs.workers import Ticket, Turn, Workers


@pytest.fixture
def pools() -> Iterator[list[Workers]]:
    made: list[Workers] = []
    yield made
    for pool in made:
        pool.close()
        assert pool.join(10)


def pool(pools: list[Workers], count: int) -> Workers:
    pools.append(Workers(count))
    pools[-1].start()
    return pools[-1]


def held(workers: Workers, turn: Turn = Turn.SCHEDULED) -> tuple[Ticket, threading.Event]:
    """Keep one worker busy until the event is set."""
    release, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert release.wait(20)

    ticket = workers.put(turn, work)
    assert begun.wait(10)
    return ticket, release


def hold(workers: Workers, turn: Turn = Turn.SCHEDULED) -> threading.Event:
    return held(workers, turn)[1]


def test_manual_first_then_in_order_then_comparisons(pools: list[Workers]) -> None:
    workers, done = pool(pools, 1), []
    release = hold(workers)
    for turn, name in (
        (Turn.COMPARISON, "c"),
        (Turn.SCHEDULED, "s1"),
        (Turn.SCHEDULED, "s2"),
        (Turn.MANUAL, "m1"),
        (Turn.MANUAL, "m2"),
    ):
        workers.put(turn, lambda name=name: done.append(name))  # type: ignore[misc]
    release.set()
    wait_for(lambda: len(done) == 5, "all")
    assert done == ["m1", "m2", "s1", "s2", "c"]


def test_a_place_can_be_hastened_and_withdrawn(pools: list[Workers]) -> None:
    workers, done = pool(pools, 1), []
    release = hold(workers)
    tickets = [workers.put(Turn.SCHEDULED, lambda n=n: done.append(n)) for n in range(3)]  # type: ignore[misc]
    workers.hasten(tickets[2])
    assert workers.withdraw(tickets[1])
    assert workers.waiting() == 2
    release.set()
    wait_for(lambda: len(done) == 2, "both")
    assert done == [2, 0]
    assert not workers.withdraw(tickets[0])


def test_comparisons_never_take_every_worker(pools: list[Workers]) -> None:
    workers = pool(pools, 4)
    held = [hold(workers, Turn.COMPARISON) for _ in range(2)]
    third = threading.Event()
    workers.put(Turn.COMPARISON, third.set)
    quick = threading.Event()
    workers.put(Turn.SCHEDULED, quick.set)
    assert quick.wait(10)
    assert not third.is_set()
    assert workers.busy() == 2
    for release in held:
        release.set()
    assert third.wait(10)


def test_a_bug_in_one_piece_of_work_does_not_cost_the_worker(pools: list[Workers]) -> None:
    workers, fine = pool(pools, 1), threading.Event()

    def broken() -> None:
        raise RuntimeError("bug")

    workers.put(Turn.SCHEDULED, broken)
    workers.put(Turn.SCHEDULED, fine.set)
    assert fine.wait(10)
    wait_for(lambda: workers.busy() == 0, "the worker to be free")


def test_closing_drops_what_is_queued_and_waits_for_what_goes_on(pools: list[Workers]) -> None:
    workers, never = pool(pools, 1), threading.Event()
    release = hold(workers)
    workers.put(Turn.SCHEDULED, never.set)
    workers.close()
    assert not workers.join(0.01)
    release.set()
    assert workers.join(10)
    assert not never.is_set()


def test_pulses_name_each_worker(pools: list[Workers]) -> None:
    workers = pool(pools, 2)
    assert set(workers.pulses()) == {"worker-1", "worker-2"}
    assert all(0 <= idle < 60 for idle in workers.pulses().values())


def test_work_that_waits_lends_its_place_and_a_spare_ends_with_the_wait(pools: list[Workers]) -> None:
    workers, done = pool(pools, 1), threading.Event()
    ticket, release = held(workers)
    workers.put(Turn.SCHEDULED, done.set)
    workers.lend(ticket, True, "its limit")
    assert done.wait(10)
    assert "worker-spare-1" in workers.pulses()
    workers.lend(ticket, False, "its limit")
    wait_for(lambda: set(workers.pulses()) == {"worker-1"}, "the spare to end")
    release.set()


def test_the_place_is_lent_until_the_last_reason_is_gone(pools: list[Workers]) -> None:
    workers = pool(pools, 1)
    ticket, release = held(workers)
    for why in ("its limit", "an answer"):
        workers.lend(ticket, True, why)
    workers.lend(ticket, False, "its limit")
    done = threading.Event()
    workers.put(Turn.SCHEDULED, done.set)
    assert done.wait(10)
    workers.lend(ticket, False, "an answer")
    wait_for(lambda: set(workers.pulses()) == {"worker-1"}, "the spare to end")
    release.set()


def test_what_ends_while_it_waits_lends_no_longer(pools: list[Workers]) -> None:
    workers = pool(pools, 1)
    ticket, release = held(workers)
    workers.lend(ticket, True, "an answer")
    release.set()
    wait_for(lambda: set(workers.pulses()) == {"worker-1"}, "the spare to end")


def test_places_lent_are_bounded(pools: list[Workers]) -> None:
    workers = pool(pools, 1)
    held_up = []
    for _ in range(4):
        ticket, release = held(workers)
        held_up.append(release)
        workers.lend(ticket, True, "an answer")
        workers.lend(ticket, True, "an answer")
    never = threading.Event()
    workers.put(Turn.SCHEDULED, never.set)
    assert (workers.busy(), workers.waiting(), len(workers.pulses())) == (4, 1, 4)
    assert not never.is_set()
    for release in held_up:
        release.set()
    assert never.wait(10)


def test_what_was_not_reached_last_time_takes_half_of_the_workers_and_what_is_lent(pools: list[Workers]) -> None:
    workers = pool(pools, 4)
    first, second = (held(workers, Turn.DOUBTFUL) for _ in range(2))
    third, good = threading.Event(), threading.Event()
    workers.put(Turn.DOUBTFUL, third.set)
    workers.put(Turn.SCHEDULED, good.set)
    assert good.wait(10)
    assert not third.is_set()
    workers.lend(first[0], True, "an answer")
    assert third.wait(10)
    for _, release in (first, second):
        release.set()


def test_however_many_sources_hang_half_of_the_workers_are_there_for_the_others(pools: list[Workers]) -> None:
    """All hang, all lend their place, and there are more of them than places to lend."""
    workers, hang = pool(pools, 2), threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        hang.wait(30)

    tickets = [workers.put(Turn.DOUBTFUL, partial(work, n)) for n in range(30)]
    try:
        lent = 0
        while lent < 7:  # two workers, six spares, and one worker that is left
            wait_for(lambda: len(begun) > lent, "the next one to begin")  # noqa: B023 - called at once
            workers.lend(tickets[begun[lent]], True, "an answer")
            lent += 1
        assert (workers.busy(), workers.waiting()) == (7, 23)
        good = threading.Event()
        workers.put(Turn.SCHEDULED, good.set)
        assert good.wait(10)
    finally:
        hang.set()


def test_a_doubtful_one_that_a_person_asks_for_goes_first(pools: list[Workers]) -> None:
    workers, done = pool(pools, 2), []
    _, release = held(workers, Turn.DOUBTFUL)
    ticket = workers.put(Turn.DOUBTFUL, lambda: done.append(1))
    workers.hasten(ticket)
    wait_for(lambda: done, "the hastened one")
    release.set()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_nothing_that_work_raises_costs_the_worker(kind: type[BaseException], pools: list[Workers]) -> None:
    workers, fine = pool(pools, 1), threading.Event()

    def broken() -> None:
        raise kind("out")

    workers.put(Turn.SCHEDULED, broken)
    workers.put(Turn.SCHEDULED, fine.set)
    assert fine.wait(10)
    assert workers.mend() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_died_is_replaced(pools: list[Workers]) -> None:
    workers, done = pool(pools, 1), threading.Event()
    wait_for(lambda: workers.pulses()["worker-1"] < 1, "the worker")
    kill_thread("worker-1", workers)
    workers.put(Turn.SCHEDULED, done.set)  # wakes it, so that it dies
    wait_for(lambda: not alive("worker-1", workers), "its end")
    assert workers.mend() == ["worker-1"]
    workers.put(Turn.SCHEDULED, done.set)
    assert done.wait(10)
    assert workers.mend() == []
    assert set(workers.pulses()) == {"worker-1"}


def alive(name: str, workers: Workers) -> bool:
    return any(thread.name == name and thread.is_alive() for thread in workers._threads)


def kill_thread(name: str, workers: Workers) -> None:
    """Have the thread raise SystemExit at its next step, wherever it is."""
    thread = next(one for one in workers._threads if one.name == name)
    assert thread.ident is not None
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)) == 1
