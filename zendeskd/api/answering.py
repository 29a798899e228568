"""From a request to its answer: who asks, may they, what came of it, and a line in the audit log. Runs in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from zendeskd.api.asked import Answer, Asked, Endpoint
from zendeskd.api.context import ControlContext, Role
from zendeskd.api.names import user_name
from zendeskd.api.problems import PROBLEM_TYPE, Refused, explain
from zendeskd.api.query import Query
from zendeskd.connection import Peer
from zendeskd.errors import Forbidden, StorageError

log = structlog.get_logger("zendeskd.api")

JSON_TYPE: Final = "application/json"
_PROGRAMS: Final = {"zendeskctl": "cli", "zendeskd-tui": "dashboard"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a request brought, before anything of it is understood."""

    peer: Peer
    user_agent: str
    path: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    body: bytes


def answer(context: ControlContext, endpoint: Endpoint, parts: Parts) -> Reply:
    """Never raises: a bug is logged, and told as a 500."""
    asked = _asked(context, endpoint, parts)
    try:
        _refuse_role(asked, endpoint)
        asked.query = Query(parts.query, endpoint.query, endpoint.several, endpoint.page)
        result = endpoint.function(asked)
        reply = result if isinstance(result, Answer) else Answer(result)
        told = Reply(reply.status, msgspec.json.encode(reply.document) + b"\n", JSON_TYPE, {})
    except Exception as error:  # noqa: BLE001 - the frame around every request: one bug costs one answer
        told = problem_reply(error, endpoint.name)
    if endpoint.changes:
        _remember(asked, told.status)
    return told


def may(role: Role | None, endpoint: Endpoint) -> bool:
    return role == "operator" or (role == "viewer" and not endpoint.changes)


def problem_reply(error: Exception, operation: str) -> Reply:
    problem = explain(error, operation=operation)
    headers = {}
    if isinstance(error, Forbidden):
        headers["connection"] = "close"  # its body was not read
    if isinstance(error, Refused) and error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, StorageError):
        headers["retry-after"] = "10"
    return Reply(problem.status, msgspec.json.encode(problem) + b"\n", PROBLEM_TYPE, headers)


def _asked(context: ControlContext, endpoint: Endpoint, parts: Parts) -> Asked:
    user = str(parts.peer.uid) if endpoint.where == "loop" else user_name(parts.peer.uid)
    program = _PROGRAMS.get(parts.user_agent.partition("/")[0], "socket")
    return Asked(
        context=context,
        peer=parts.peer,
        role=context.roles(parts.peer),
        user=user,
        by=f"{user} ({program})",
        path=parts.path,
        query=Query((), ()),
        body=parts.body,
        operation=endpoint.name,
        target="/".join(parts.path.values()),
    )


def _refuse_role(asked: Asked, endpoint: Endpoint) -> None:
    if may(asked.role, endpoint):
        return
    if asked.role is None:
        raise Forbidden(
            f"{asked.user} is neither an operator nor a viewer",
            hint="ask to be put into one of the groups of control.operators or control.viewers",
        )
    raise Forbidden(
        f"{asked.user} may look but not change anything",
        hint="ask an operator, or to be put into the group of control.operators",
    )


def _remember(asked: Asked, status: int) -> None:
    """Into the log first: the database may be what is broken."""
    left_out: int | None = 0
    if asked.changed_nothing or 400 <= status < 500:
        left_out = asked.context.unchanging.due(asked.peer.uid)
        if left_out is None:
            return
    before = f"{left_out} before it that changed nothing are not here" if left_out else ""
    note = "; ".join(filter(None, (asked.note[:400], before)))
    log.info(
        "asked",
        operation=asked.operation,
        target=asked.target,
        by=asked.by,
        uid=asked.peer.uid,
        pid=asked.peer.pid,
        outcome=status,
        **({"left_out": left_out} if left_out else {}),
    )
    try:
        asked.context.store.audit.write(
            now=asked.context.now(),
            uid=asked.peer.uid,
            user=asked.user,
            pid=asked.peer.pid,
            operation=asked.operation,
            target=asked.target[:200],
            detail=note,
            outcome=status,
        )
    except StorageError as error:
        log.warning("audit log not written", operation=asked.operation, error=error.detail)
