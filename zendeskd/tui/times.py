"""How instants are shown: as ages, in the viewer's zone, or in UTC. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from zendeskd import present

STYLES: Final = ("relative", "absolute", "utc")


@dataclass(frozen=True, slots=True)
class TimeStyle:
    """One of STYLES. `zone`: the viewer's own, for `absolute`; None is the machine's."""

    name: str = "relative"
    zone: tzinfo | None = None

    @property
    def is_relative(self) -> bool:
        return self.name == "relative"

    def next(self) -> TimeStyle:
        return TimeStyle(STYLES[(STYLES.index(self.name) + 1) % len(STYLES)], self.zone)

    def local(self, when: datetime) -> datetime:
        return when.astimezone(self.zone) if self.name == "absolute" else when.astimezone(UTC)

    def clock(self, text: str | None, now: datetime) -> str:
        """`14:24:02`, the day where it is another one; `-` for null."""
        when = present.moment(text)
        if when is None:
            return "-"
        there, today = self.local(when), self.local(now)
        return f"{there:%H:%M:%S}" if there.date() == today.date() else f"{present.day(there, today)} {there:%H:%M}"

    def short(self, text: str | None, now: datetime) -> str:
        """In six cells: `14:04`, or the day, `20 Nov`; `-` for null."""
        when = present.moment(text)
        if when is None:
            return "-"
        there = self.local(when)
        return f"{there:%H:%M}" if there.date() == self.local(now).date() else f"{there:%d %b}"

    def whole(self, text: str | None, now: datetime) -> str:
        """`Mon 23 Nov 08:41:10 UTC`, with the year when it is not this one; `-` for null."""
        when = present.moment(text)
        if when is None:
            return "-"
        there = self.local(when)
        return f"{present.day(there, self.local(now))} {there:%H:%M:%S} {self._zone_name(there)}".rstrip()

    def day(self, text: str | None, now: datetime) -> str:
        """In twelve cells: `14:17`, or the day, `Fri 20 Nov`, `20 Nov 2025`; `-` for null and for the epoch, which
        stands for what the source does not tell."""
        when = present.moment(text)
        if when is None or when.timestamp() == 0:
            return "-"
        there, today = self.local(when), self.local(now)
        if there.date() == today.date():
            return f"{there:%H:%M}"
        return present.day(there, today) if there.year == today.year else f"{there.day} {there:%b %Y}"

    def header(self, now: datetime) -> str:
        """The clock of the first line, always with its zone."""
        there = self.local(now)
        return f"{there:%H:%M:%S} {self._zone_name(there)}".rstrip()

    def _zone_name(self, there: datetime) -> str:
        return "UTC" if self.name != "absolute" else there.tzname() or ""
