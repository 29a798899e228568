"""What the daemon logged, from its file: for those who were not there when it was told."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Final

from zendeskd import log_reading, wire
from zendeskd.api.asked import Asked, Endpoint
from zendeskd.api.problems import Refused
from zendeskd.api.query import instant, row_id, since
from zendeskd.errors import BadRequest, NotFound, StorageError
from zendeskd.log_reading import LEVELS, Wanted
from zendeskd.models import RunStatus

_ALIASES: Final = {"warn": "warning", "err": "error"}
_AROUND: Final = timedelta(minutes=1)
"""A run's lines are between its asking and its end, give or take this."""


def logs(asked: Asked) -> wire.LogList:
    """Newest first. A daemon whose database is in trouble tells its log all the same."""
    query, path = asked.query, asked.context.facts.log_file
    limit, after = query.limit(), query.text("after")
    if after is not None and not log_reading.is_place(after):
        raise BadRequest(f"after: {after[:80]!r} is not from here", hint="hand back `next` as it came", field="after")
    wanted = _wanted(asked)
    try:
        found = log_reading.read(path, wanted, limit=limit, after=after)
    except FileNotFoundError:
        hint = f"there is no log file at {path}: nothing was written yet, or it was removed; try journalctl -u zendeskd"
        return wire.LogList(items=[], next=None, complete=True, file=str(path), hint=hint)
    except OSError as error:
        raise Refused(
            503, "log_unreadable", f"the log file {path} cannot be read: {error.strerror or error}",
            hint="journalctl -u zendeskd has the same lines",
        ) from None  # fmt: skip
    if not found.lines and found.complete and after is None:
        _refuse_unknown(asked, wanted.orgs)
    return wire.LogList(items=found.lines, next=found.next, complete=found.complete, file=str(path))


def _wanted(asked: Asked) -> Wanted:
    query = asked.query
    level = (query.text("level") or "info").lower()
    level = _ALIASES.get(level, level)
    if level not in LEVELS:
        raise BadRequest(f"level: {level[:40]!r} is not known", hint=", ".join(LEVELS), field="level")
    run = query.text("run")
    number = None if run is None else row_id(run)
    if run is not None and number is None:
        raise BadRequest(f"run: {run[:40]!r} is not the number of a run", hint="run=8815", field="run")
    begin, end = query.text("since"), query.text("until")
    wanted_since = None if begin is None else since(begin, "UTC", asked.context.now())
    wanted_until = None if end is None else instant(end, "until")
    if number is not None:
        began, ended = _span_of(asked, number)
        wanted_since = max((each for each in (began, wanted_since) if each is not None), default=None)
        wanted_until = min((each for each in (ended, wanted_until) if each is not None), default=None)
    return Wanted(
        orgs=frozenset(query.texts("organizationId")), run=number, level=level, since=wanted_since, until=wanted_until
    )


def _span_of(asked: Asked, run_id: int) -> tuple[datetime | None, datetime | None]:
    """Between which instants a run may have logged, as far as that is known: nothing else has to be looked through."""
    try:
        row = asked.context.store.runs.get(run_id)
    except (NotFound, StorageError):  # an old one, whose lines may be there still
        return None, None
    is_over = row.duration_ms is not None and row.status is not RunStatus.INTERRUPTED  # which the next start tells
    return row.queued_at - _AROUND, row.synced_at + _AROUND if is_over and row.synced_at is not None else None


def _refuse_unknown(asked: Asked, orgs: frozenset[str]) -> None:
    """Raises NotFound. Of one that was removed there may be lines: its name is looked at only where there are none."""
    with contextlib.suppress(StorageError):
        for org in sorted(orgs):
            asked.context.store.fleet.organization(org)


ENDPOINTS: Final = (
    Endpoint(
        ("logs",),
        "GET",
        "/api/logs",
        logs,
        ("organizationId", "run", "level", "since", "until", "after"),
        several=("organizationId",),
        page=(200, 1000),
        replies={200: wire.LogList},
        where="logs",
    ),
)
