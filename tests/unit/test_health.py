from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.fakes import START, integration
from zendeskd.models import (
    CallStats,
    Health,
    Integration,
    PageCounts,
    RunRow,
    RunStatus,
    RunView,
    State,
    Trigger,
    Waiting,
)
from zendeskd.runs.health import Facts, Verdict, judge, live_state
from zendeskd.runs.roster import Post

MINUTE = timedelta(minutes=1)


def healthy(**fields: object) -> Integration:
    return integration(**{"last_success_at": START - MINUTE, "last_sync_at": START - MINUTE, **fields})


def going(**fields: object) -> RunView:
    known: dict[str, object] = {
        "id": 8815,
        "kind": "sync",
        "trigger": "schedule",
        "requested_by": None,
        "started_at": START - MINUTE,
        "pages": 31,
        "counts": PageCounts(read=3100, created=12),
        "rate": 40.2,
        "progress": 0.62,
        "eta_s": 48,
        "calls": CallStats(),
        "waiting": None,
    }
    return RunView(**{**known, **fields})  # type: ignore[arg-type]


def row(status: RunStatus, **fields: object) -> RunRow:
    known: dict[str, object] = {
        "id": 8817,
        "organization_id": "acme",
        "integration_id": 1,
        "system_type": "zendesk",
        "trigger": Trigger.SCHEDULE,
        "requested_by": None,
        "status": status,
        "queued_at": START,
    }
    return RunRow(**{**known, **fields})  # type: ignore[arg-type]


def judged(
    one: Integration,
    *,
    run: RunView | None = None,
    queued: bool = False,
    recent: tuple[RunRow, ...] = (),
    next_in: timedelta | None = timedelta(minutes=14, seconds=30),
    set_aside: int = 0,
    late_from: datetime | None = None,
) -> Verdict:
    return judge(
        Facts(
            integration=one,
            state=live_state(one, run, queued=queued, stopping=False),
            run=run,
            recent=recent,
            set_aside=set_aside,
            next_at=None if next_in is None else START + next_in,
            late_from=late_from or (one.last_success_at and one.last_success_at + timedelta(minutes=30)),
            now=START,
        )
    )


def failing(times: int, code: str = "network_error") -> Integration:
    return healthy(
        consecutive_failures=times,
        last_error_code=code,
        last_error_message="The connection timed out.",
        last_error_at=START - MINUTE,
    )


@pytest.mark.parametrize(
    ("one", "run", "queued", "state", "health"),
    [
        (healthy(), None, False, State.IDLE, Health.OK),
        (healthy(), None, True, State.QUEUED, Health.QUEUED),
        (healthy(), going(), False, State.RUNNING, Health.RUNNING),
        (healthy(state=State.BLOCKED), None, False, State.BLOCKED, Health.BLOCKED),
        (healthy(is_active=False, state=State.STOPPED), None, False, State.STOPPED, Health.STOPPED),
        (healthy(is_active=False, state=State.STOPPED), going(), False, State.RUNNING, Health.RUNNING),
        (failing(1), None, False, State.RETRYING, Health.RETRYING),
        (failing(1), going(), False, State.RUNNING, Health.FAILED),
        (failing(3), None, False, State.RETRYING, Health.FAILING),
        (failing(3), going(), False, State.RUNNING, Health.FAILING),
        (healthy(last_success_at=START - timedelta(hours=3)), None, False, State.IDLE, Health.LATE),
        (integration(credential_kind=None), None, False, State.BLOCKED, Health.BLOCKED),
    ],
)
def test_state_and_health_are_two_facts(
    one: Integration, run: RunView | None, queued: bool, state: State, health: Health
) -> None:
    assert live_state(one, run, queued=queued, stopping=False) is state
    assert judged(one, run=run, queued=queued).health is health


def test_a_run_asked_to_end_is_stopping() -> None:
    assert live_state(healthy(), going(), queued=False, stopping=True) is State.STOPPING


def test_waiting_is_a_state_of_its_own_and_says_when_it_goes_on() -> None:
    waiting = Waiting(state=State.LIMITED, until=START + timedelta(seconds=38), reason="429, export budget")
    told = judged(healthy(), run=going(waiting=waiting))
    assert (told.health, told.why) == (Health.LIMITED, "429, export budget")
    assert told.happened == "Run 8815 waits: 429, export budget."
    assert told.daemon == "Goes on 14:01:08 UTC at the place it is (31 pages, 3,100 records read)."


def test_blocked_names_the_cause_the_next_probe_and_the_fix() -> None:
    one = healthy(
        state=State.BLOCKED,
        consecutive_failures=1,
        last_error_code="credential_error",
        last_error_message="Zendesk rejected the API token (HTTP 401).",
        last_error_at=START - MINUTE,
    )
    told = judged(
        one, recent=(row(RunStatus.FAILED, error_code="credential_error"),), next_in=timedelta(hours=1, seconds=-30)
    )
    assert told.why == "credentials rejected"
    assert told.happened == "Zendesk rejected the API token (HTTP 401). (13:59:30 UTC, run 8817)"
    assert told.daemon == "Syncs nothing, so that the account is not locked out; next probe 15:00:00 UTC."
    assert told.you == "zendeskctl credentials set acme      (at once: zendeskctl start acme)"


def test_a_failure_says_how_often_and_when_it_is_tried_again() -> None:
    told = judged(failing(3), next_in=timedelta(minutes=1, seconds=52))
    assert told.why == "3x not reachable"
    assert told.daemon == "Tries again 14:02:22 UTC, 3 failures in a row; what is stored stays."
    assert "credentials check acme" in told.you


@pytest.mark.parametrize("code", ["network_error", "server_error", "bad_response", "cursor_stuck", "storage_error"])
def test_every_failure_class_has_advice_without_gaps(code: str) -> None:
    told = judged(failing(1, code))
    assert told.why
    assert told.you
    assert "{" not in told.you


def test_lateness_counts_from_two_intervals_and_a_grace() -> None:
    allowed = timedelta(minutes=32)
    assert judged(healthy(last_success_at=START - allowed)).late_s is None
    late = judged(healthy(last_success_at=START - allowed - 5 * MINUTE))
    assert (late.late_s, late.why) == (300, "late by 5m")
    assert late.you == "zendeskctl trigger acme"


@pytest.mark.parametrize(
    ("lasted_s", "going_s", "slow_s"),
    [
        ([], 86_400, None),  # nothing is usual yet: a first import takes its time
        ([5], 600, None),
        ([5], 661, 61),
        ([400, 300], 1200, None),
        ([300, 400], 1260, 60),
    ],
)
def test_a_run_is_slow_by_what_is_usual_here(lasted_s: list[int], going_s: int, slow_s: int | None) -> None:
    recent = tuple(row(RunStatus.SUCCESS, duration_ms=each * 1000) for each in lasted_s)
    told = judged(healthy(), run=going(started_at=START - timedelta(seconds=going_s)), recent=recent)
    assert told.slow_s == slow_s
    assert told.why == ("page 31, 40/s" if slow_s is None else "slow, 40/s")
    assert ("It is slow" in told.daemon) == (slow_s is not None)
    assert told.health is Health.RUNNING


def test_failures_comparisons_and_waits_say_nothing_of_slowness() -> None:
    long_ago = {"started_at": START - timedelta(hours=9)}
    good = row(RunStatus.SUCCESS, duration_ms=5000)
    failed = row(RunStatus.FAILED, duration_ms=5000)
    waiting = Waiting(until=START + MINUTE, reason="429", state=State.LIMITED)
    assert judged(healthy(), run=going(**long_ago), recent=(failed,)).slow_s is None
    assert judged(healthy(), run=going(kind="reconcile", **long_ago), recent=(good,)).slow_s is None
    assert judged(healthy(), run=going(waiting=waiting, **long_ago), recent=(good,)).slow_s is None
    assert judged(healthy(), run=None, recent=(good,)).slow_s is None
    assert judged(healthy(), run=going(rate=None, **long_ago), recent=(good,)).why == "slow"


def test_lateness_is_counted_in_ticks_so_a_night_is_not_late() -> None:
    office = healthy(
        sync_interval="0 9-17 * * 1-5", timezone="UTC", last_success_at=START.replace(day=20, hour=17, minute=1)
    )
    monday = Post(office, START).view(START.replace(day=23, hour=9, minute=30))
    assert monday.late_s is None
    noon = Post(office, START).view(START.replace(day=23, hour=12))
    assert (noon.health, noon.late_s) == (Health.LATE, 2 * 3600 - 90)


def test_one_that_never_ran_is_late_too_but_not_while_it_is_imported() -> None:
    never = integration(last_success_at=None)
    assert judged(never, late_from=START - MINUTE).late_s is None  # the grace
    late = judged(never, queued=True, late_from=START - 5 * MINUTE)
    assert (late.health, late.late_s) == (Health.LATE, 180)
    assert judged(never, run=going(), late_from=START - 5 * MINUTE).health is Health.RUNNING


def test_stopped_says_who_and_why() -> None:
    one = healthy(is_active=False, state=State.STOPPED, stopped_by="ana (cli)", stop_reason="change freeze")
    told = judged(one, next_in=None)
    assert told.why == "ana: change freeze"
    assert told.happened == "ana (cli) stopped it: change freeze."
    assert told.you == "zendeskctl start acme"


def test_without_credentials_it_says_what_to_give() -> None:
    told = judged(integration(credential_kind=None), next_in=None)
    assert (told.why, told.you) == ("no credentials yet", "zendeskctl credentials set acme")


def test_records_set_aside_show_until_they_are_read_though_the_health_is_ok() -> None:
    told = judged(healthy(), set_aside=2)
    assert (told.health, told.why) == (Health.OK, "2 set aside")
    assert told.happened.endswith("2 records could not be read and are not here.")
    assert "quarantined_records" in told.you


def test_why_never_exceeds_twenty_cells() -> None:
    one = healthy(is_active=False, stopped_by="ana", stop_reason="a very long explanation of what is going on")
    assert len(judged(one).why) == 20


def test_the_first_import_says_so() -> None:
    assert judged(integration(), run=going(rate=96.0)).why == "first import, 96/s"
