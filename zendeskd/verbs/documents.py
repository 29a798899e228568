"""What `--json` prints where the API has no document of its own: errors, several organisations at once, versions."""

from __future__ import annotations

from typing import Any, TypeVar

from zendeskd import wire
from zendeskd.errors import ZendeskdError

R = TypeVar("R", bound=wire.Reply)


class ErrorBody(wire.Reply, kw_only=True, omit_defaults=True):
    """`reason` goes with `daemon_unreachable`: missing, refused, permission, timeout or lost. `field` names what was
    wrong in a request or a file."""

    code: str
    detail: str
    hint: str
    reason: str | None = None
    field: str | None = None
    problems: tuple[wire.ProblemItem, ...] = ()  # all that is wrong with an import


class ErrorDocument(wire.Document, kw_only=True):
    error: ErrorBody


class CommandItem(wire.Reply, kw_only=True):
    """What became of a command for one of several organisations. `error` is null if the daemon took it."""

    organization_id: str
    system_type: str
    action: str
    run_id: int | None = None
    state: str | None = None
    joined: bool | None = None  # trigger: there was a run or a place in the queue already
    changed: bool | None = None  # start, stop, interval: false if it was so already
    interval: str | None = None
    next_run_at: str | None = None
    run_status: str | None = None  # with --wait: how the run ended; `run ID` has the rest
    error: ErrorBody | None = None


class CommandList(wire.Document, kw_only=True):
    items: list[CommandItem]


class RunWithLog(wire.RunDocument, kw_only=True):
    """`run ID --log`: the run, and its log lines, the oldest first."""

    log: list[dict[str, Any]]


class VersionDocument(wire.Document, kw_only=True):
    """`daemon` is null while it cannot be reached; `error` then says why."""

    client: str
    api_version: int
    daemon: wire.DaemonStatus | None
    error: ErrorBody | None = None


class BackupDocument(wire.Backup, kw_only=True):
    """`backup`: how it ended. `trouble` is null if it was made."""

    schema: int = wire.SCHEMA


class HealthDocument(wire.Document, kw_only=True):
    """`health`: `state` is ok, warning, critical or unknown, `code` the same as the exit code."""

    state: str
    code: int
    summary: str
    problems: list[str]
    counts: dict[str, int]
    oldest_age_s: int | None
    records: int
    queue_length: int


def error_body(error: ZendeskdError) -> ErrorBody:
    """An error as JSON shows it. The daemon's own problems keep their code."""
    code, field, problems = error.code, getattr(error, "field", ""), tuple[wire.ProblemItem, ...]()
    problem = getattr(error, "problem", None)
    if isinstance(problem, wire.Problem):
        code, field, problems = problem.code, problem.field, tuple(problem.problems)
    return ErrorBody(
        code=code,
        detail=error.detail,
        hint=error.hint,
        reason=getattr(error, "reason", None),
        field=field or None,
        problems=problems,
    )


def narrowed(value: wire.Reply, kind: type[R]) -> R:
    """A reply without the keys that a subclass added: the item without what made it a document."""
    return kind(**{name: getattr(value, name) for name in kind.__struct_fields__})
