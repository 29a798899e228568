"""Asking the daemon for the log lines that were before. asyncio, no Textual."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

from zendeskd import present, wire
from zendeskd.models import stamp
from zendeskd.tui.log_lines import LogLines
from zendeskd.tui.state import LogLine, log_line

PAGE: Final = 300
_MOST_ASKED: Final = 8
"""Of a daemon that has looked through much of its file and found little, so often in a row."""


class Read(Protocol):
    """`AsyncClient.logs`."""

    def __call__(
        self,
        orgs: Collection[str] = (),
        *,
        run: int | None = None,
        level: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Awaitable[wire.LogList]: ...


class Page(NamedTuple):
    """The oldest first. `has_older`: whether there may be more before."""

    lines: list[LogLine]
    has_older: bool


async def page(read: Read, held: LogLines, *, limit: int = PAGE, before: LogLine | None = None) -> Page:
    """The newest lines that `held` wants, or those before a line. Raises what the client raises."""
    first = None if before is None else present.moment(before.at)
    until = None if first is None else stamp(first + timedelta(milliseconds=1))  # others may be as old as it
    items: list[LogLine] = []
    after: str | None = None
    for _ in range(_MOST_ASKED):
        reply = await read(
            sorted(held.orgs), run=held.run, level=held.level, until=until, limit=limit - len(items), after=after
        )
        items += [log_line(str(item.get("at")), item) for item in reply.items]
        after = reply.next
        if after is None or len(items) >= limit:
            break
    return Page(items[::-1], after is not None)
