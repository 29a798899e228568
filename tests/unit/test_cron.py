from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zendeskd.cron import ALIASES, CronExpression
from zendeskd.errors import BadRequest

NEW_YORK = "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(cron: CronExpression, after: str, count: int) -> list[str]:
    upcoming = cron.upcoming(at(after))
    return [f"{next(upcoming):%m-%d %H:%M}" for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("75 * * * *", "minute: 75 is not valid, 0-59"),
        ("*/0 * * * *", "minute: */0 is not valid, 0-59"),
        ("0 25 * * *", "hour: 25 is not valid, 0-23"),
        ("0 0 32 * *", "day-of-month: 32 is not valid, 1-31 or L"),
        ("0 0 30 2 *", "day-of-month: 30 is not valid, 1-31 or L"),
        ("0 0 * 13 *", "month: 13 is not valid, 1-12 or JAN-DEC"),
        ("0 0 * * MOO", "day-of-week: MOO is not valid, 0-7 or SUN-SAT, 0 and 7 are Sunday"),
        ("* * *", "a schedule has 5 fields (minute hour day month weekday), '* * *' has 3"),
        ("0 */15 * * * *", "a schedule has 5 fields (minute hour day month weekday), '0 */15 * * * *' has 6"),
        ("", "a schedule has 5 fields (minute hour day month weekday), '' has 0"),
        ("5-1 * * * *", "minute: 5-1 is not valid, 0-59"),
    ],
)
def test_a_bad_expression_names_its_field_and_shows_a_right_one(text: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        CronExpression(text, NEW_YORK)
    assert refused.value.detail == said
    assert refused.value.field == "interval"
    assert "*/15 * * * *" in refused.value.hint


def test_an_unknown_alias_lists_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="@hourly"):
        CronExpression("@often", NEW_YORK)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "New York"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadRequest) as refused:
        CronExpression("* * * * *", zone)
    assert refused.value.field == "timezone"


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_aliases_are_what_they_stand_for(alias: str) -> None:
    now = at("2026-11-23T14:05")
    assert CronExpression(alias, NEW_YORK).next_after(now) == CronExpression(ALIASES[alias], NEW_YORK).next_after(now)


def test_words() -> None:
    words = CronExpression("*/30 9-17 * * 1-5", NEW_YORK).words()
    assert words == "Every 30th minute from 09:00 through 17:59 on Monday through Friday"


def test_the_hour_that_is_skipped_in_spring() -> None:
    # 14 March 2027 has no 02:xx in New York; 03:00 EDT is 07:00 UTC
    assert runs(CronExpression("30 2 * * *", NEW_YORK), "2027-03-14T00:00", 2) == ["03-14 07:00", "03-15 06:30"]
    assert runs(CronExpression("*/15 * * * *", NEW_YORK), "2027-03-14T06:30", 3) == [
        "03-14 06:45",
        "03-14 07:00",
        "03-14 07:15",
    ]


def test_the_hour_that_comes_twice_in_autumn() -> None:
    # 7 November 2027: 01:30 is 05:30 UTC (EDT) and again 06:30 UTC (EST)
    assert runs(CronExpression("30 1 * * *", NEW_YORK), "2027-11-07T00:00", 2) == ["11-07 05:30", "11-08 06:30"]
    assert len(set(runs(CronExpression("*/15 * * * *", NEW_YORK), "2027-11-07T04:59", 8))) == 8
    assert runs(CronExpression("*/15 * * * *", NEW_YORK), "2027-11-07T04:59", 8)[-1] == "11-07 06:45"


def test_a_change_by_half_an_hour_loses_no_minute() -> None:
    # 4 April 2027, 02:00 becomes 01:30: so 02:00 comes half an hour later, and 01:40 twice
    lord_howe = "Australia/Lord_Howe"
    assert runs(CronExpression("*/15 */2 * * *", lord_howe), "2027-04-03T14:00", 2) == ["04-03 15:30", "04-03 15:45"]
    assert runs(CronExpression("40 * * * *", lord_howe), "2027-04-03T14:00", 3) == [
        "04-03 14:40",
        "04-03 15:10",
        "04-03 16:10",
    ]


def test_a_midnight_that_is_skipped_makes_no_other_hour_of_it() -> None:
    # 5 September 2027 has no 00:xx in Santiago; 04:00 UTC is 01:00
    santiago = "America/Santiago"
    assert runs(CronExpression("*/30 */2 * * 0", santiago), "2027-09-05T00:00", 2) == ["09-05 05:00", "09-05 05:30"]
    assert runs(CronExpression("0 0 * * 0", santiago), "2027-09-05T00:00", 1) == ["09-05 04:00"]


def test_asked_within_the_second_hour_the_first_one_is_not_answered() -> None:
    # 06:10 UTC is 01:10 for the second time; 01:30 has run at 05:30 UTC
    assert CronExpression("30 1 * * *", NEW_YORK).next_after(at("2027-11-07T06:10")) == at("2027-11-08T06:30")


@given(
    minute=st.sampled_from(["*", "*/15", "0", "30", "59", "5,35"]),
    hour=st.sampled_from(["*", "*/2", "1", "2", "0-6", "23"]),
    zone=st.sampled_from([NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "UTC", "Asia/Kolkata"]),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them naive
)
def test_instants_only_move_forward_and_none_is_skipped(minute: str, hour: str, zone: str, start: datetime) -> None:
    cron = CronExpression(f"{minute} {hour} * * *", zone)
    first = cron.next_after(start)
    assert first is not None
    assert start < first <= start + timedelta(days=2)
    second = cron.next_after(first)
    assert second is not None
    assert second > first
    assert cron.next_after(second - timedelta(microseconds=1)) == second
    between = start + (first - start) / 2
    assert cron.next_after(between) == first
