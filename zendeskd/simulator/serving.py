"""From a request to an answer: which endpoint, which fault, who asks, within which budgets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import format_datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from zendeskd.simulator import instead
from zendeskd.simulator.access import Caller
from zendeskd.simulator.answers import Answer, no_endpoint
from zendeskd.simulator.calls import Call, Seen
from zendeskd.simulator.export import export
from zendeskd.simulator.faults import INSTEAD, Fault
from zendeskd.simulator.listing import count, deleted_tickets, show_many, tickets

if TYPE_CHECKING:
    from zendeskd.simulator.account import Account

Read = Callable[["Account", Call, Fault | None], Answer]


@dataclass(frozen=True)
class _Endpoint:
    kind: str
    role: str
    read: Read | None = None


_ENDPOINTS: Final = {
    ("POST", "/oauth/tokens"): _Endpoint("token", ""),
    ("GET", "/api/v2/users/me"): _Endpoint("me", ""),
    ("GET", "/api/v2/oauth/tokens/current"): _Endpoint("current_token", "end-user"),
    ("GET", "/api/v2/incremental/tickets/cursor"): _Endpoint("export", "admin", export),
    ("GET", "/api/v2/tickets"): _Endpoint("list", "agent", tickets),
    ("GET", "/api/v2/tickets/show_many"): _Endpoint("show_many", "agent", show_many),
    ("GET", "/api/v2/tickets/count"): _Endpoint("count", "agent", count),
    ("GET", "/api/v2/deleted_tickets"): _Endpoint("deleted", "agent", deleted_tickets),
}
_UNKNOWN: Final = _Endpoint("unknown", "end-user")
_ids_lock = threading.Lock()
_ids = 0


def serve(account: Account, call: Call) -> tuple[Answer, Fault | None]:
    """The answer, with all its headers, and the fault that strikes this call if one does. Any thread."""
    endpoint = _ENDPOINTS.get((call.method, call.path), _UNKNOWN)
    with account.lock:
        now = account.clock.seconds()
        caller = account.access.identify(call.headers.get("authorization", ""), now)
        fault = account.struck_by(
            endpoint.kind, _page_size(call), "cursor" in call.query or "page[after]" in call.query
        )
        if account.is_suspended:
            answer = instead.suspended()
        elif fault is not None and fault.kind in INSTEAD:
            answer = instead.answer(account, call, fault, caller)
        else:
            answer = _answer(account, call, endpoint, caller, fault)
        if call.path.startswith("/api/"):
            answer.headers = {**account.limits.headers(endpoint.kind, now), **answer.headers}
        answer.headers["X-Request-Id"] = _request_id(account.name)
        answer.headers["Date"] = format_datetime(account.clock.now(), usegmt=True)
        account.calls += 1
        account.remember(_seen(account, call, endpoint, caller, answer, fault))
    return answer, fault


def _answer(account: Account, call: Call, endpoint: _Endpoint, caller: Caller, fault: Fault | None) -> Answer:
    now = account.clock.seconds()
    if endpoint.kind == "token":
        return account.access.give_token(call.body, call.headers.get("content-type", ""), now)
    if endpoint.kind == "me":
        return account.limits.spend("me", now) or _me(account, caller)
    resource = "tickets" if endpoint.read else "users"
    refused = account.access.refuse(caller, resource, endpoint.role) or account.limits.spend(endpoint.kind, now)
    if refused is not None:
        return refused
    if endpoint.read is not None:
        return endpoint.read(account, call, fault)
    if endpoint.kind == "current_token":
        return account.access.current_token(caller, f"{account.base_url}/api/v2/oauth/tokens/current.json")
    return no_endpoint()


def _me(account: Account, caller: Caller) -> Answer:
    """Without credentials, and with a password, this is 200 and "Anonymous user" (probed)."""
    if caller.refused is None and caller.user is None:
        return instead.anonymous()
    refused = account.access.refuse(caller, "users", "end-user")
    if refused is not None:
        return refused
    user = account.people.user(account.people.user_id(caller.user or 0))
    return Answer(200, b'{"user":%b,"authenticity_token":"%b"}}' % (user[:-1], b"kR2v" * 11))


def _page_size(call: Call) -> int | None:
    text = call.query.get("per_page", call.query.get("page[size]", ""))
    if text.isdecimal():
        return int(text)
    return 1000 if call.path == "/api/v2/incremental/tickets/cursor" else None


def _request_id(name: str) -> str:
    global _ids  # noqa: PLW0603 - one counter for the process
    with _ids_lock:
        _ids += 1
        number = _ids
    return blake2b(f"{name}/{number}".encode(), digest_size=16).hexdigest()


def _seen(
    account: Account, call: Call, endpoint: _Endpoint, caller: Caller, answer: Answer, fault: Fault | None
) -> Seen:
    return Seen(
        method=call.method,
        path=call.path,
        kind=endpoint.kind,
        query=dict(call.query),
        status=answer.status,
        credential=caller.label,
        fault=None if fault is None else fault.kind,
        at=account.clock.now(),
        headers={name: value for name, value in call.headers.items() if name != "authorization"},
    )
