"""The lines of one view of the log: what the stream brought and what was read from the file, each once and in order.

Pure. The stream and the file tell the same lines, so a line is known again by all that it says. What is held has no
holes: where it is not known whether lines are missing in between, the older ones go, and are read again if somebody
scrolls to them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import Final

from zendeskd import present
from zendeskd.tui.state import LogLine

LEVELS: Final = ("debug", "info", "warn", "error")
MOST: Final = 20_000
_SLACK: Final = 1_000

_at: Final = attrgetter("at")


class LogLines:
    """`level` and above, of `orgs` (none: of all), of `run`. `revision` grows with every change of `lines`."""

    def __init__(self, *, orgs: Collection[str] = (), run: int | None = None, level: str = "info") -> None:
        self.orgs, self.run, self.level = frozenset(orgs), run, level
        self._names = {present.clean(org) for org in orgs}  # as the lines have them
        self.lines: list[LogLine] = []
        self.has_older = False  # in the file, as far as that is known
        self.revision = 0
        self._ahead: Counter[LogLine] = Counter()  # lines of the file that the stream may bring yet

    def wants(self, line: LogLine) -> bool:
        if self._names and line.org not in self._names:
            return False
        if self.run is not None and line.run != self.run:
            return False
        return line.level not in LEVELS or LEVELS.index(line.level) >= LEVELS.index(self.level)

    def begin(self, live: Iterable[LogLine]) -> None:
        """Choose anew, after what is wanted changed: from the lines that the stream brought so far."""
        self.lines, self.has_older, self._ahead = [line for line in live if self.wants(line)], False, Counter()
        self.revision += 1

    def take(self, new: Iterable[LogLine], *, may_forget: bool = True) -> bool:
        """Lines that the stream brought. `may_forget`: nobody reads the oldest. -> whether there was one to add."""
        count = 0
        for line in new:
            if not self.wants(line):
                continue
            if self._ahead.get(line, 0):
                self._ahead[line] -= 1
                continue
            place = len(self.lines)
            if self.lines and line.at < self.lines[-1].at:
                place = bisect_right(self.lines, line.at, key=_at)
            self.lines.insert(place, line)
            count += 1
        if may_forget and len(self.lines) > MOST + _SLACK:
            del self.lines[:-MOST]
            self.has_older = True
        self.revision += bool(count)
        return bool(count)

    def take_page(self, page: Sequence[LogLine], *, has_older: bool, whole_until: str) -> None:
        """The newest lines of the file, the oldest first. Up to the instant `whole_until` nothing was missed before."""
        page = [line for line in page if self.wants(line)]
        before = self.lines
        if not has_older or not before:
            self.has_older = has_older
        elif page and page[0].at > whole_until:
            before = [line for line in before if line.at >= page[0].at]
            self.has_older = True
        self._ahead = self._join(page, before)

    def take_older(self, page: Sequence[LogLine], *, has_older: bool) -> None:
        """Lines of the file that go on before what is here, the oldest first."""
        self.has_older = has_older
        self._join([line for line in page if self.wants(line)], self.lines)

    def _join(self, page: Sequence[LogLine], others: Sequence[LogLine]) -> Counter[LogLine]:
        """-> the lines of the page that were not here yet."""
        ahead = Counter(page)
        new = []
        for line in others:
            if ahead.get(line, 0):
                ahead[line] -= 1
            else:
                new.append(line)
        self.lines = sorted([*page, *new], key=_at)
        self.revision += 1
        return +ahead
