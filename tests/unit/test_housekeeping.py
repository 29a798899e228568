"""Chores: one at a time, each once, whatever becomes of the one before."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from zendeskd.housekeeping import Housekeeping


@pytest.fixture
def housekeeping() -> Iterator[Housekeeping]:
    one = Housekeeping()
    one.start()
    yield one
    assert one.stop(10)


def test_one_at_a_time_and_what_waits_already_is_done_once(housekeeping: Housekeeping) -> None:
    began, held, over = threading.Event(), threading.Event(), threading.Event()
    done: list[str] = []

    def long() -> None:
        began.set()
        assert held.wait(10)
        done.append("long")

    housekeeping.put("long", long)
    assert began.wait(10)
    for _ in range(5):
        housekeeping.put("look", lambda: done.append("look"))
    housekeeping.put("prune", lambda: (done.append("prune"), over.set())[0])
    assert done == []
    held.set()
    assert over.wait(10)
    assert done == ["long", "look", "prune"]


def test_a_bug_in_one_costs_the_others_nothing(housekeeping: Housekeeping) -> None:
    over = threading.Event()
    housekeeping.put("look", lambda: [].remove(1))
    housekeeping.put("prune", over.set)
    assert over.wait(10)


def test_it_ends_after_the_chore_that_is_going_on() -> None:
    one, began, done = Housekeeping(), threading.Event(), list[str]()
    assert one.stop(0)  # it was never started
    one = Housekeeping()
    one.start()

    def long() -> None:
        began.set()
        assert one.ending.wait(10)
        done.append("long")

    one.put("long", long)
    assert began.wait(10)
    one.put("look", lambda: done.append("look"))
    assert one.stop(10)
    assert one.stop(10)
    assert done == ["long"]
