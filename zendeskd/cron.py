"""A cron expression and a zone -> the next instants and words. Pure: takes `now`, holds no clock.

Rules are those of Debian's cron (cron(8), "Notes"): a job in the hour that daylight saving skips runs once right
after the gap, a job in the hour that comes twice runs once unless its hour or minute is a wildcard. cronsim implements
them; the traps around it (an instant before the one asked about, changes by half an hour, and comparing wall clocks)
end here: everything outside this module is UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from zendeskd.errors import BadRequest

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_FIELDS: Final = (
    ("minute", "0-59", 0, 59),
    ("hour", "0-23", 0, 23),
    ("day-of-month", "1-31 or L", 1, 31),
    ("month", "1-12 or JAN-DEC", 1, 12),
    ("day-of-week", "0-7 or SUN-SAT, 0 and 7 are Sunday", 0, 7),
)
_EXAMPLE: Final = 'for example "*/15 * * * *" (every 15 minutes) or "30 9 * * 1-5" (09:30 on working days)'
_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


class _Steps(CronSim):
    """Where a clock changes by half an hour (Lord Howe Island) plain cronsim steps over minutes that are there; where
    it changes at midnight (Santiago), into hours that are not."""

    def advance_month(self) -> None:
        super().advance_month()
        self._as_it_is_there()

    def advance_day(self) -> bool:
        moved = super().advance_day()
        self._as_it_is_there()
        return moved

    def advance_hour(self) -> bool:
        if self.dt.hour in self.hours:
            return False
        while self.dt.hour not in self.hours:
            self.tick(seconds=3600 - 60 * self.dt.minute - self.dt.second)
            if self.dt.hour == 0:
                break  # day and month have to be looked at again
        return True

    def advance_minute(self) -> bool:
        before = self.dt
        if not super().advance_minute():
            return False
        if self.dt.utcoffset() != before.utcoffset():
            self.dt = before
            self.tick(seconds=60 - before.second)
            while self.dt.minute not in self.minutes and self.dt.minute:
                self.tick(seconds=60)
        return True

    def _as_it_is_there(self) -> None:
        """A midnight that is skipped is the first minute after it."""
        if self.dt.tzinfo is not None:
            self.dt = self.dt.astimezone(UTC).astimezone(self.dt.tzinfo)


class CronExpression:
    """Five fields or an @alias, in a zone.

    Raises BadRequest that names the field at fault and shows what would be right. Safe to share between threads.
    """

    def __init__(self, text: str, timezone: str) -> None:
        self.text = " ".join(text.split())
        self.timezone = timezone
        self.zone = parse_zone(timezone)
        self._expression = ALIASES.get(self.text.lower(), self.text)
        _validate(self.text, self._expression)

    def next_after(self, when: datetime) -> datetime | None:
        """The first instant later than `when` (aware), in UTC; None if there is none within 50 years."""
        instants = (local.astimezone(UTC) for local in _Steps(self._expression, when.astimezone(self.zone)))
        # in the second 01:xx hour cronsim may answer with the first one
        return next((utc for utc in instants if utc > when), None)

    def upcoming(self, when: datetime) -> Iterator[datetime]:
        """The instants after `when`, in UTC, in order, without end."""
        while (following := self.next_after(when)) is not None:
            yield following
            when = following

    def words(self) -> str:
        """The expression in English: "Every 15th minute from 09:00 through 17:59 on Monday through Friday"."""
        return CronSim(self._expression, _ANY_TIME).explain()


def parse_zone(name: str) -> ZoneInfo:
    """Raises BadRequest for a name that is no IANA zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(
            f"time zone {name!r} is not known",
            hint='an IANA name, for example "America/New_York", "Europe/Berlin" or "UTC"',
            field="timezone",
        ) from None


def _validate(text: str, expression: str) -> None:
    fields = expression.split()
    if text.startswith("@") and expression == text:
        raise _bad(f"alias {text!r} is not known, it can be one of {', '.join(ALIASES)}")
    if len(fields) != 5:
        raise _bad(f"a schedule has 5 fields (minute hour day month weekday), {text!r} has {len(fields)}")
    try:
        CronSim(expression, _ANY_TIME)
    except CronSimError as error:
        raise _bad(_field_at_fault(str(error), fields)) from None


def _field_at_fault(message: str, values: list[str]) -> str:
    """cronsim says "Bad minute"; this says which value, and what is allowed."""
    at = [f"Bad {name}" for name, *_ in _FIELDS].index(message)
    (name, allowed, low, high), value = _FIELDS[at], values[at]
    beyond = [n for n in re.findall(r"(?<![\w/])\d+", value) if not low <= int(n) <= high]
    return f"{name}: {beyond[0] if beyond else value} is not valid, {allowed}"


def _bad(detail: str) -> BadRequest:
    return BadRequest(detail, hint=_EXAMPLE, field="interval")
