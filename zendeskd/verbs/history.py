"""What `watch` tells of the time before its stream of events, and of the time while that was broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from zendeskd import present, wire
from zendeskd.models import FINISHED
from zendeskd.verbs import log
from zendeskd.verbs.base import Call

_PAGE: Final = 200
_REMEMBERED: Final = 5000
_SLACK: Final = timedelta(seconds=5)
"""Lines are written a moment after the instant they carry."""


class History:
    """Runs that ended since `since` (None: no runs), and with --log the lines since then, later since the last one that
    was told. Each once, whether it comes from here or by the stream."""

    def __init__(self, call: Call, since: datetime | None) -> None:
        self._call, self._since = call, since
        self._log_since = since or call.now()
        self._told: dict[bytes, None] = {}
        self._ended: set[int] = set()
        self._is_first = True

    def events(self) -> list[wire.Event]:
        """What was not told yet, the oldest first, in the shape of events; those are not numbered, so `seq` is 0.
        Raises what the client raises."""
        found: list[wire.Event] = []
        if self._is_first and self._since is not None and not self._call.options.run:
            found += [run_event(run) for run in self._runs(self._since) if run.status in FINISHED][::-1]
        self._is_first = False
        if self._call.options.log:
            found += [wire.Event(seq=0, event="log", at=str(line["at"]), log=line) for line in self._lines()[::-1]]
        return [event for event in sorted(found, key=lambda event: event.at) if self.is_new(event)]

    def is_new(self, event: wire.Event) -> bool:
        """Whether this run's end or log line was not told before; from now on it was."""
        if event.run is not None and event.run.status in FINISHED:
            is_new = event.run.id not in self._ended
            self._ended.add(event.run.id)
            return is_new
        if event.log is None:
            return True
        line = msgspec.json.encode(event.log, order="deterministic")
        is_new = line not in self._told
        self._told[line] = None
        if len(self._told) > _REMEMBERED + log.MOST:
            for old in list(self._told)[:_REMEMBERED]:
                del self._told[old]
        if (at := present.moment(str(event.log.get("at") or ""))) is not None:
            self._log_since = max(self._log_since, at - _SLACK)
        return is_new

    def _lines(self) -> list[dict[str, Any]]:
        from zendeskd.client import ApiError

        options = self._call.options
        try:
            found = log.read(self._call, options.orgs, run=options.run, level=options.level, since=self._log_since)
        except ApiError as error:
            if error.status == 404 and self._since is not None:  # a daemon that has no such call, or no such name
                self._call.terminal.say(f"no earlier log lines: {present.clean(error.detail)}")
                self._since = None
            return []
        return found.items

    def _runs(self, since: datetime) -> Iterator[wire.RunSummary]:
        options, after = self._call.options, None
        org = options.orgs[0] if len(options.orgs) == 1 else None
        while True:
            page = self._call.daemon.runs(org, limit=_PAGE, after=after)
            for run in page.items:
                when = present.moment(run.synced_at or run.queued_at)
                if when is not None and when < since:
                    return
                if not options.orgs or run.organization_id in options.orgs:
                    yield run
            after = page.next
            if after is None:
                return


def run_event(run: wire.RunSummary) -> wire.Event:
    """A run of the past in the shape of an event."""
    at = run.synced_at or run.queued_at
    return wire.Event(seq=0, event="run", at=at, organization_id=run.organization_id, run=run)
