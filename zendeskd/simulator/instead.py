"""What is answered instead of Zendesk's own answer when a fault says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from zendeskd.simulator import answers
from zendeskd.simulator.access import Caller
from zendeskd.simulator.answers import Answer, as_json
from zendeskd.simulator.calls import Call
from zendeskd.simulator.faults import Fault

if TYPE_CHECKING:
    from zendeskd.simulator.account import Account

HTML: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"


def answer(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    """The answer of a fault of `INSTEAD`."""
    return _MAKERS[fault.kind](account, call, fault, caller)


def anonymous() -> Answer:
    user = {"id": None, "name": "Anonymous user", "email": "invalid@example.com", "role": "end-user", "verified": False}
    return as_json({"user": user})


def suspended() -> Answer:
    title = "<title>Account suspended</title>"
    page = f"<!DOCTYPE html><html><head>{title}</head><body>This help desk is closed.</body></html>"
    return Answer(200, page.encode(), HTML)


def _status(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    status, body = fault.options["status"], fault.options["body"]
    if body is None:
        made = _page(status)
    else:
        made = Answer(status, str(body).encode(), fault.options["content_type"] or answers.JSON)
    _retry_after(made, account, fault)
    return made


def _page(status: int) -> Answer:
    """What a proxy in front of Zendesk would say."""
    html = (
        f"<html>\n<head><title>{status}</title></head>\n<body>\n<center><h1>{status}</h1></center>\n</body>\n</html>\n"
    )
    return Answer(status, html.encode(), HTML)


def _rate_limited(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    text = answers.EXPORT_LIMIT if fault.options["budget"] == "export" else answers.ACCOUNT_LIMIT
    made = Answer(429, text.encode(), TEXT) if fault.options["is_text"] else answers.limited(text, None)
    _retry_after(made, account, fault)
    return made


def _retry_after(made: Answer, account: Account, fault: Fault) -> None:
    seconds = fault.options["retry_after_date_s"]
    if seconds is not None:
        made.headers["Retry-After"] = format_datetime(account.clock.now() + timedelta(seconds=seconds), usegmt=True)
    elif fault.options["retry_after"] is not None:
        made.headers["Retry-After"] = str(fault.options["retry_after"])


def _redirect(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    return Answer(fault.options["status"], b"", HTML, {"Location": fault.options["to"]})


def _unauthorized(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    if call.path == "/oauth/tokens":
        return answers.failure(401, "invalid_client", error_description="Client authentication failed.")
    uses_bearer = call.headers.get("authorization", "").lower().startswith("bearer")
    return answers.invalid_token() if uses_bearer else answers.not_authenticated()


def _too_recent(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    if fault.options["is_legacy"]:
        text = "Too recent start_time. Use a start_time older than 5 minutes"
        return answers.failure(422, "InvalidValue", description=text)
    return answers.too_recent()


def _expired_cursor(account: Account, call: Call, fault: Fault, caller: Caller) -> Answer:
    made = answers.bad_cursor("cursor" if "cursor" in call.query else "page[after]")
    made.status = fault.options["status"]
    return made


_MAKERS: Final[dict[str, Callable[[Account, Call, Fault, Caller], Answer]]] = {
    "status": _status,
    "rate_limited": _rate_limited,
    "too_big": lambda account, call, fault, caller: _page(504),
    "html": lambda account, call, fault, caller: Answer(fault.options["status"], suspended().body, HTML),
    "not_json": lambda account, call, fault, caller: Answer(200, b'{"tickets":[{"id":1,"subject":"half a '),
    "wrong_shape": lambda account, call, fault, caller: as_json({"items": []}),
    "redirect": _redirect,
    "unauthorized": _unauthorized,
    "forbidden": lambda account, call, fault, caller: answers.forbidden(),
    "anonymous": lambda account, call, fault, caller: anonymous(),
    "expired_cursor": _expired_cursor,
    "too_recent": _too_recent,
}
