from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.waiting import wait_for
from zendeskd.runs.workers import Turn, Workers


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


def hold(workers: Workers, turn: Turn = Turn.SCHEDULED) -> threading.Event:
    """Keep one worker busy until the returned event is set."""
    release, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert release.wait(20)

    workers.put(turn, work)
    assert begun.wait(10)
    return release


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
    release = hold(workers)
    workers.put(Turn.SCHEDULED, done.set)
    workers.lend("the one that waits", True)
    assert done.wait(10)
    assert "worker-spare-1" in workers.pulses()
    workers.lend("the one that waits", False)
    wait_for(lambda: set(workers.pulses()) == {"worker-1"}, "the spare to end")
    release.set()


def test_places_lent_are_bounded(pools: list[Workers]) -> None:
    workers = pool(pools, 1)
    for lender in range(20):
        workers.lend(lender, True)
        workers.lend(lender, True)
    assert len(workers._spares) == 3
    workers.lend("nobody", False)
