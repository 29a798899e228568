"""A year of daylight-saving, clocks that are set, hosts that sleep: what should run once runs once."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import FakeClock, ScriptedConnector, page
from tests.fixtures.copied import Copied
from tests.fixtures.fleets import Gate
from tests.fixtures.simulated import SimulatedTime
from tests.fixtures.stepped import SteppedFleet
from tests.fixtures.stores import table
from zendeskd.cron import CronExpression
from zendeskd.errors import CredentialError
from zendeskd.models import Health, RunRow, RunStatus, State
from zendeskd.runs.clock import CronScheduler
from zendeskd.simulator import Simulator

ROUNDS = int(os.environ.get("ZENDESKD_TEST_ROUNDS", "1"))
ZONES = (
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # back for Ramadan
    "America/Santiago",  # at midnight
    "Asia/Kolkata",
    "UTC",
    "Pacific/Apia",
)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


# --- an oracle, from cron(8) of Debian: "Notes", and crontab(5) ---------------------------------------------------


def values(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return {0 if high == 6 and one == 7 else one for one in found}


class Oracle:
    def __init__(self, text: str, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        fields = text.split()
        self.sets = [values(field, *span) for field, span in zip(fields, RANGES, strict=True)]
        self.is_wildcard = fields[0][0] == "*" or fields[1][0] == "*"
        self.both_days = fields[2][0] == "*" or fields[4][0] == "*"

    def matches(self, local: datetime) -> bool:
        minute, hour, day, month, weekday = self.sets
        if local.minute not in minute or local.hour not in hour or local.month not in month:
            return False
        by_date, by_weekday = local.day in day, local.isoweekday() % 7 in weekday
        return by_date and by_weekday if self.both_days else by_date or by_weekday

    def instants(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Minute by minute: what is after `begin`, up to and with `end`."""
        at = begin.replace(second=0, microsecond=0)
        before = at.astimezone(self.zone)
        while at < end:
            later = (at + HOUR).astimezone(self.zone)
            is_even = later.replace(tzinfo=None) - before.replace(tzinfo=None) == HOUR
            if is_even and before.hour not in self.sets[1] and later.hour not in self.sets[1]:
                at, before = at + HOUR, later  # nothing can be due within
                continue
            at += MINUTE
            local = at.astimezone(self.zone)
            skipped = local.replace(tzinfo=None) - before.replace(tzinfo=None) - MINUTE
            if self.is_wildcard:
                due = self.matches(local)
            else:
                due = local.fold == 0 and self.matches(local)
                minutes = range(int(skipped / MINUTE)) if skipped > timedelta(0) else ()
                due = due or any(self.matches(before.replace(tzinfo=None) + n * MINUTE + MINUTE) for n in minutes)
            if due and at > begin:
                yield at
            before = local


def changes_of(zone: str, begin: datetime, days: int) -> list[datetime]:
    """The days on which the zone's offset changes."""
    offsets = [(begin + timedelta(days=n)).astimezone(ZoneInfo(zone)).utcoffset() for n in range(days + 1)]
    return [begin + timedelta(days=n) for n in range(days) if offsets[n] != offsets[n + 1]]


def called(text: str, zone: str, begin: datetime, end: datetime, seed: int = 1) -> list[datetime]:
    """When the scheduler calls a job of this schedule, each time a little late as a real one."""
    chance, time, calls = random.Random(seed), FakeClock(begin), []
    clock = CronScheduler(time.now, monotonic=time.monotonic)
    due = clock.put("job", CronExpression(text, zone), lambda: calls.append(due))
    while due is not None and due <= end:
        time.advance(seconds=max(0.0, (due - time.now()).total_seconds()) + chance.random() * 2)
        clock.run_pending()
        due = clock.next_run_of("job")
    return calls


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_a_schedule_is_what_debians_cron_would_make_of_it(zone: str) -> None:
    end = YEAR + timedelta(days=366)
    for text in ("30 2 * * *", "0 0 * * *", "15 1,3 13 * 5"):
        assert called(text, zone, YEAR, end) == list(Oracle(text, zone).instants(YEAR, end)), text


@pytest.mark.parametrize("zone", ZONES[:5])
def test_days_on_which_the_clocks_change_are_what_debians_cron_would_make_of_them(zone: str) -> None:
    days = changes_of(zone, YEAR, 366)
    assert days
    for day, text in itertools.product(
        days, ("* * * * *", "*/15 * * * *", "*/7 1-3 * * *", "20 * * * *", "5-55/10 0-2 * * *")
    ):
        begin, end = day - timedelta(hours=12), day + timedelta(hours=40)
        assert called(text, zone, begin, end) == list(Oracle(text, zone).instants(begin, end)), (day, text)


@settings(max_examples=60 * ROUNDS)
@given(
    minute=st.sampled_from(["*", "*/20", "0", "30", "59", "5,35", "10-40/15"]),
    hour=st.sampled_from(["*", "*/2", "0", "1", "2", "3", "0-3", "1,2,23"]),
    day=st.sampled_from(["*", "*", "1-15", "29"]),
    weekday=st.sampled_from(["*", "*", "0", "1-5", "7", "6,0"]),
    zone=st.sampled_from(ZONES[:5]),
    nth=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_any_schedule_around_any_change(
    minute: str, hour: str, day: str, weekday: str, zone: str, nth: int, seed: int
) -> None:
    days = changes_of(zone, YEAR, 2 * 366)
    begin = days[nth % len(days)] - timedelta(hours=random.Random(seed).randrange(30))
    end, text = begin + timedelta(days=3), f"{minute} {hour} {day} * {weekday}"
    assert called(text, zone, begin, end, seed) == list(Oracle(text, zone).instants(begin, end))


# --- the whole of it: a fleet -----------------------------------------------------------------------------------------


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[SteppedFleet]:
    one = SteppedFleet(tmp_path, datetime(2026, 11, 23, 14, 0, 30, tzinfo=UTC))
    yield one
    one.close()


def known(fleet: SteppedFleet, org: str, interval: str = "*/15 * * * *", timezone: str = "America/New_York") -> int:
    """An organisation that has just run."""
    now = fleet.time.now()
    one = fleet.add(org, interval=interval, timezone=timezone)
    due = CronExpression(interval, timezone).next_after(now)
    fleet.store.fleet.change(one, last_sync_at=now, last_success_at=now, next_run_at=due)
    return one


def runs(fleet: SteppedFleet, org: str) -> list[RunRow]:
    return fleet.store.runs.list(org=org, limit=1000)[::-1]


@pytest.mark.parametrize("day", [datetime(2026, 3, 28, 14, tzinfo=UTC), datetime(2026, 10, 31, 20, tzinfo=UTC)])
def test_a_fleet_of_many_zones_runs_each_instant_once_and_counts_it_on_its_local_day(
    day: datetime, tmp_path: Path
) -> None:
    """Two days on which clocks change: of London and Lord Howe's neighbours, and of New York."""
    fleet = SteppedFleet(tmp_path, day)
    schedules = [(zone, text) for zone in ZONES for text in ("*/30 * * * *", "30 0,1,2,3 * * *")]
    ids = [known(fleet, f"org-{number}", text, zone) for number, (zone, text) in enumerate(schedules)]
    fleet.begin(workers=2)
    end = day + timedelta(hours=24)
    while fleet.time.now() < end:
        fleet.pass_by(minutes=15)
    for number, (zone, text) in enumerate(schedules):
        instants = list(Oracle(text, zone).instants(day, end))
        assert [row.started_at for row in runs(fleet, f"org-{number}")] == instants, (zone, text)
        local_days = [at.astimezone(ZoneInfo(zone)).date().isoformat() for at in instants]
        counted = table(
            fleet.db, "SELECT day, runs FROM daily_counts WHERE integration_id = ? ORDER BY day", ids[number]
        )
        assert counted == [(one, local_days.count(one)) for one in sorted(set(local_days))]
    fleet.close()


def test_eight_hours_of_sleep_cost_each_organisation_one_run(stepped: SteppedFleet) -> None:
    """CLOCK_MONOTONIC stands still while a Linux host is suspended."""
    for number in range(20):
        known(stepped, f"org-{number}")
    jobs = stepped.begin()
    stepped.time.step(hours=8)
    stepped.look()
    stepped.look()
    assert {len(runs(stepped, f"org-{number}")) for number in range(20)} == {1}
    assert {view.health for view in jobs.views()} == {Health.OK}
    stepped.pass_by(minutes=15)
    assert {len(runs(stepped, f"org-{number}")) for number in range(20)} == {2}


STEPS = [timedelta(days=1), timedelta(days=-1), timedelta(seconds=40), timedelta(seconds=-40), timedelta(minutes=-14)]


@pytest.mark.parametrize("step", STEPS)
def test_a_clock_that_is_set_makes_no_storm_and_no_silence(step: timedelta, stepped: SteppedFleet) -> None:
    """In any hour of real time afterwards each runs four times, one less or more where the step cut a quarter."""
    for number in range(5):
        known(stepped, f"org-{number}")
    jobs = stepped.begin()
    for _ in range(60):
        stepped.pass_by(minutes=1)
    before = {number: len(runs(stepped, f"org-{number}")) for number in range(5)}
    assert set(before.values()) == {4}
    stepped.time.step(seconds=step.total_seconds())
    stepped.look()
    for hour in range(3):
        for _ in range(60):
            stepped.pass_by(minutes=1)
        since = {number: len(runs(stepped, f"org-{number}")) for number in range(5)}
        for number in range(5):
            assert 4 * (hour + 1) - 1 <= since[number] - before[number] <= 4 * (hour + 1) + 1
        started = [row.started_at for row in runs(stepped, "org-0")]
        assert len(set(started)) == len(started) or step == timedelta(days=-1)
    assert {view.health for view in jobs.views()} == {Health.OK}
    assert {view.late_s for view in jobs.views()} == {None}


@settings(max_examples=25 * ROUNDS)
@given(
    steps=st.lists(st.sampled_from([-86_400, -7_200, -60, -31, -5, 5, 60, 28_800, 86_400]), max_size=6),
    seed=st.integers(0, 999),
)
def test_however_the_clock_is_set_nothing_runs_twice_in_a_moment_or_rests_for_long(steps: list[int], seed: int) -> None:
    """On the clock that nobody sets: never two runs within five minutes but for a step forward, never two quarters
    and a half without one."""
    chance, time = random.Random(seed), FakeClock()
    clock, calls = CronScheduler(time.now, monotonic=time.monotonic), []
    forward: list[float] = [time.monotonic()]
    clock.put("job", CronExpression("*/15 * * * *", "America/New_York"), lambda: calls.append(time.monotonic()))
    for step in [*steps, 0]:
        for _ in range(chance.randrange(40, 200)):
            time.advance(seconds=15)
            clock.run_pending()
        time.step(seconds=step)
        if step > 0:
            forward.append(time.monotonic())
        clock.run_pending()
    for earlier, later in itertools.pairwise(calls):
        assert later - earlier <= 2 * 900 + 60
        is_after_step = any(earlier <= at <= later for at in forward)
        assert later - earlier >= 1 or is_after_step
    assert len(calls) <= (time.monotonic() - 1000) / 900 + 2 + len(steps)


def test_a_run_during_which_the_clock_is_set_ends_well(stepped: SteppedFleet) -> None:
    step = Gate(page(1, end=True))
    known(stepped, "acme")
    stepped.connector = ScriptedConnector([[step], [page(1, end=True)]])
    jobs = stepped.begin()
    stepped.time.advance(minutes=15)
    jobs.clock.run_pending()
    step.wait()
    stepped.time.step(days=-1)
    jobs.clock.run_pending()
    step.open.set()
    stepped.settle()
    (row,) = runs(stepped, "acme")
    assert (row.status, row.duration_ms) == (RunStatus.SUCCESS, 0)
    view = jobs.view("acme", "zendesk")
    assert view.health is Health.OK
    assert view.integration.last_success_at == stepped.time.now()
    assert view.integration.next_run_at is not None
    assert timedelta(0) < view.integration.next_run_at - stepped.time.now() <= timedelta(minutes=15)


def test_a_clock_set_back_hides_no_lateness(stepped: SteppedFleet) -> None:
    """The last success is in the future then. One that does not run any more is late all the same."""
    known(stepped, "acme")
    jobs = stepped.begin()
    stepped.pass_by(minutes=15)
    assert len(runs(stepped, "acme")) == 1
    stepped.time.step(days=-1)
    stepped.look()
    post = jobs._roster.find("acme", "zendesk")
    assert post is not None
    jobs.clock.remove(post.tag)  # the clock has lost it
    for _ in range(40):
        stepped.pass_by(minutes=1)
    assert jobs.view("acme", "zendesk").health is Health.LATE


def test_a_stop_until_an_hour_is_over_when_the_hosts_clock_says_so(stepped: SteppedFleet) -> None:
    known(stepped, "acme")
    jobs = stepped.begin()
    jobs.stop("acme", "zendesk", "ana", until=stepped.time.now() + timedelta(hours=6))
    stepped.time.step(hours=-2)
    for _ in range(7):
        stepped.pass_by(hours=1)
    assert jobs.view("acme", "zendesk").state is State.STOPPED
    stepped.pass_by(hours=1)
    assert jobs.view("acme", "zendesk").state is State.IDLE
    assert [row.requested_by for row in runs(stepped, "acme")] == ["schedule"]


@pytest.mark.parametrize("kind", ["oauth_client_credentials", "oauth_refresh_token"])
def test_tokens_outlive_a_clock_that_is_set(kind: str, simulator: Simulator, tmp_path: Path) -> None:
    """Forward, they are renewed before their time; back, they are used until they are refused, and then renewed."""
    time = SimulatedTime(simulator)
    account = simulator.add_account("acme", tickets=5, body_bytes=30)
    with closing(Copied(tmp_path / "copy", account, time, kind=kind)) as copy:
        for step in (timedelta(days=3), timedelta(days=-6), timedelta(days=3)):
            time.start += step
            account.expire_tokens()
            assert copy.run().status is RunStatus.SUCCESS
            time.wait_out(120)
        copy.assert_sound()


# --- one probe an hour ------------------------------------------------------------------------------------------------


@settings(max_examples=12 * ROUNDS)
@given(
    events=st.lists(
        st.sampled_from(["pass", "pass", "pass", "forward", "back", "a little back", "suspend"]),
        min_size=4,
        max_size=12,
    )
)
def test_refused_credentials_are_tried_once_an_hour_however_the_clock_is_set(events: list[str]) -> None:
    asked = asked_while(events)
    assert asked
    for earlier, later in itertools.pairwise(asked):
        assert later[1] - earlier[1] >= 59 * 60


@settings(max_examples=12 * ROUNDS)
@given(events=st.lists(st.sampled_from(["pass", "pass", "restart", "update"]), min_size=4, max_size=14))
def test_refused_credentials_are_tried_once_an_hour_over_restarts(events: list[str]) -> None:
    asked = asked_while(events)
    for earlier, later in itertools.pairwise(asked):
        assert later[0] - earlier[0] >= timedelta(minutes=59)


def asked_while(events: list[str]) -> list[tuple[datetime, float]]:
    """When a source was asked that refuses the credentials, on both clocks."""
    asked: list[tuple[datetime, float]] = []

    class Refusing(ScriptedConnector):
        def open(self, *given: object, **named: object):  # type: ignore[no-untyped-def, override]
            asked.append((fleet.time.now(), fleet.time.monotonic()))
            return super().open(*given, **named)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory() as folder:
        fleet = SteppedFleet(Path(folder), datetime(2026, 11, 23, 14, 0, 30, tzinfo=UTC))
        fleet.connector = Refusing([[CredentialError("Zendesk rejected the token (HTTP 401).")]])
        known(fleet, "acme")
        jobs = fleet.begin()
        try:
            for event in ["pass", *events, "pass", "pass"]:
                match event:
                    case "pass":
                        for _ in range(10):
                            fleet.pass_by(minutes=4)
                    case "restart":
                        jobs = fleet.restart()
                    case "update":
                        jobs.set_interval("acme", "zendesk", "ana", f"*/{10 + len(asked) % 7} * * * *")
                    case "forward":
                        fleet.time.step(days=1)
                    case "back":
                        fleet.time.step(days=-1)
                    case "a little back":
                        fleet.time.step(minutes=-3)
                    case "suspend":
                        fleet.time.step(hours=8)
                fleet.look()
            assert jobs.view("acme", "zendesk").state is State.BLOCKED
        finally:
            fleet.close()
    return asked
