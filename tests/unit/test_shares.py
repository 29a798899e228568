"""How much of the control socket one process and one user may have, and how much of the audit log."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from zendeskd.api.problems import Refused
from zendeskd.api.shares import Pace, Places
from zendeskd.api.unchanging import Unchanging
from zendeskd.connection import Peer


def taken(places: Places, held: ExitStack, peer: Peer, tries: int = 100) -> int:
    """How many places the peer gets."""
    for number in range(tries):
        try:
            held.enter_context(places.one(peer))
        except Refused as refusal:
            assert (refusal.refused_with, refusal.refused_code) == (503, "busy")
            return number
    return tries


def test_a_process_has_a_quarter_a_user_half_and_all_together_what_there_is() -> None:
    places = Places("requests", 16)
    with ExitStack() as held:
        assert taken(places, held, Peer(1, 1001, 1001)) == 4
        assert [taken(places, held, Peer(pid, 1001, 1001)) for pid in (2, 3)] == [4, 0]
        assert [taken(places, held, Peer(pid, 0, 0)) for pid in (4, 5, 6)] == [4, 4, 0]
        assert taken(places, held, Peer(7, 1002, 1002)) == 0
    with ExitStack() as held:
        assert taken(places, held, Peer(7, 1002, 1002)) == 4, "what was held is there again"


def test_of_very_few_places_everybody_may_have_one() -> None:
    places = Places("requests", 1)
    with ExitStack() as held:
        assert taken(places, held, Peer(1, 0, 0)) == 1
        assert taken(places, held, Peer(2, 1001, 1001)) == 0


def test_a_pace_is_of_each_user_and_what_is_refused_costs_nothing() -> None:
    pace = Pace(rate_per_s=10, burst=5)
    assert [pace.take(1, 100.0) for _ in range(5)] == [0.0] * 5
    assert [pace.take(1, 100.0) for _ in range(100)] == [None] * 100
    assert pace.take(2, 100.0) == 0.0
    assert pace.take(1, 100.0, patience_s=1.0) == pytest.approx(0.1)
    assert pace.take(1, 100.0, patience_s=1.0) == pytest.approx(0.2)
    assert pace.take(1, 100.15) is None
    assert pace.take(1, 100.35) == 0.0


def test_of_calls_that_change_nothing_some_are_written_and_the_others_counted() -> None:
    now = [1000.0]
    unchanging = Unchanging(lambda: now[0])
    assert [unchanging.due(1001) for _ in range(100)] == [0] * 100
    assert [unchanging.due(1001) for _ in range(5000)] == [None] * 5000
    assert unchanging.due(1002) == 0, "of another user"
    now[0] += 10.1
    assert [unchanging.due(1001) for _ in range(3)] == [5000, None, None]
    now[0] += 86_400
    assert [unchanging.due(1001) for _ in range(101)] == [2] + [0] * 99 + [None]
