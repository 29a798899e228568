"""Threads that are not to be had, and the one that ends what takes too long."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from tests.waiting import wait_for
from zendeskd.errors import NetworkError
from zendeskd.threads import Alarms, Companion, begin

MORE_THAN_THE_ADDRESS_SPACE = 1 << 60


@pytest.fixture
def no_more_threads() -> Iterator[None]:
    """The kernel has no room for the stack of another thread."""
    before = threading.stack_size(MORE_THAN_THE_ADDRESS_SPACE)
    yield
    threading.stack_size(before)


@pytest.mark.usefixtures("no_more_threads")
def test_a_thread_that_is_not_to_be_had_is_no_bug() -> None:
    with pytest.raises(NetworkError, match="no more threads") as caught:
        begin(threading.Thread(target=int))
    assert "TasksMax" in caught.value.hint


@pytest.mark.usefixtures("no_more_threads")
def test_a_companion_that_is_not_to_be_had_is_asked_for_again() -> None:
    companion = Companion("worker-1-ask")
    with pytest.raises(NetworkError, match="no more threads"):
        companion.call(lambda: pytest.fail("called"))
    companion.close(10)
    threading.stack_size(0)
    assert companion.call(lambda: 7).result(10) == 7
    companion.close(10)


def test_a_companion_gives_results_and_raises_errors_from_one_thread_that_ends_when_told() -> None:
    companion = Companion("worker-1-ask")
    first, second = (companion.call(threading.current_thread).result(10) for _ in range(2))
    assert first is second
    assert (first.name, first.daemon) == ("worker-1-ask", True), "what hangs must not hold up the process's end"
    with pytest.raises(SystemExit, match="7"):
        companion.call(lambda: sys.exit(7)).result(10)
    companion.close(10)
    assert not first.is_alive()


def test_a_companion_does_not_keep_what_came_of_a_call() -> None:
    companion = Companion("worker-1-ask")
    result = companion.call(lambda: {"a whole page"}).result(10)
    wait_for(lambda: sys.getrefcount(result) == 2, "the last reference but ours")
    companion.close(10)


@pytest.mark.usefixtures("no_more_threads")
def test_without_a_thread_nothing_begins_begins_that_would_have_no_end() -> None:
    alarms, rung = Alarms(), threading.Event()
    with pytest.raises(NetworkError, match="no more threads"), alarms.after(0.01, rung.set):
        pytest.fail("it has begun")
    threading.stack_size(0)
    with alarms.after(0.01, rung.set):
        assert rung.wait(10)


def test_each_is_called_at_its_time_however_they_were_set() -> None:
    alarms, rung = Alarms(), []
    over = threading.Event()
    with (
        alarms.after(60, lambda: rung.append("never")),
        alarms.after(0.3, over.set),
        alarms.after(0.1, lambda: rung.append("late")),
        alarms.after(0.01, lambda: rung.append("soon")),
    ):
        assert over.wait(10)
    assert rung == ["soon", "late"]


def test_what_ended_in_time_is_left_alone() -> None:
    alarms, rung, later = Alarms(), [], threading.Event()
    with alarms.after(0.05, lambda: rung.append("too late")):
        pass
    with alarms.after(0.2, later.set):
        assert later.wait(10)
    assert rung == []


def test_a_bug_in_one_does_not_keep_the_others_from_ending() -> None:
    alarms, rung = Alarms(), threading.Event()
    with alarms.after(0.01, lambda: {}[0]), alarms.after(0.05, rung.set):  # type: ignore[index]
        assert rung.wait(10)


def test_hundreds_cost_one_thread() -> None:
    alarms, begun, over = Alarms(), threading.Semaphore(0), threading.Event()

    def work() -> None:
        with alarms.after(60, lambda: None):
            begun.release()
            over.wait(10)

    threads = [threading.Thread(target=work) for _ in range(50)]
    before = set(threading.enumerate())
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=10)
    assert len(set(threading.enumerate()) - before - set(threads)) == 1
    over.set()
    for thread in threads:
        thread.join()
    wait_for(lambda: not alarms._set, "all to be forgotten")
