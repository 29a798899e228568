"""What an answer means when it is not the data asked for: HTTP status and Zendesk's error bodies -> errors.

The status is looked at before the body: error pages come as JSON of four shapes, as plain text and as HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from zendeskd.errors import BadResponse, CredentialError, NetworkError, PermissionDenied, RunError, ServerError
from zendeskd.models import Secret
from zendeskd.redact import without


class Answer(msgspec.Struct, frozen=True):
    """What came back. Header names are lower case; the body is unpacked. `sent`: secrets that the call went with, which
    an answer may repeat: its words are shown by `quoted` only. `after_s`: from the call until it began to come."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str
    sent: tuple[Secret, ...] = ()
    after_s: float = 0.0

    @property
    def request_id(self) -> str | None:
        """The source's own name for this call, to quote to its support."""
        found = self.headers.get("x-request-id") or self.headers.get("x-zendesk-request-id")
        return self.quoted(found)[:100] if found else None

    @property
    def date(self) -> datetime | None:
        """The server's clock when it answered."""
        return http_date(self.headers.get("date", ""))

    def quoted(self, words: str) -> str:
        """Its words as they may be shown, logged and stored."""
        return without(words, self.sent)


class Slow(NetworkError):
    """Took too long. A smaller page may help."""


class Redirected(NetworkError):
    """Sent elsewhere. Never followed, never retried in the same run."""


class NoAccount(NetworkError):
    """Zendesk answers, but there is no account at this address. Never retried in the same run."""


class TooLarge(BadResponse):
    """The answer is larger than what is accepted. A smaller page helps."""


class GatewayTimeout(ServerError):
    """504. A smaller page may help."""


class Unauthorized(CredentialError):
    """401, before it is known whether asking again or a new token helps. `name` is the source's word for why."""

    name: str = ""


class WebPage403(PermissionDenied):
    """403 with a web page. It may be of a firewall before Zendesk, which refuses a call now and then, or of Zendesk."""


class Limited(RunError):
    """429. Never leaves the connector: it is waited for."""

    code = "rate_limited"


class Rejected(BadResponse):
    """Any other 4xx: the request itself is not accepted. `name` is the source's word for why."""

    def __init__(self, answer: Answer, name: str, message: str) -> None:
        said = f": {answer.quoted(message or name)[:_SHORT]}" if message or name else ""
        super().__init__(
            f"{answer.host} did not accept the request (HTTP {answer.status}{said}).",
            status=answer.status,
            request_id=answer.request_id,
        )
        self.name = name
        self.message = message
        self.date = answer.date


_SHORT: Final = 200
_LONGEST_ERROR: Final = 256 * 1024

TRANSIENT: Final = (NetworkError, ServerError, BadResponse)
_LASTING: Final = (Redirected, NoAccount, Rejected)


def is_transient(error: BaseException) -> bool:
    """Whether asking again within the run may help."""
    return isinstance(error, TRANSIENT) and not isinstance(error, _LASTING)


def is_slow(error: BaseException) -> bool:
    """Whether a smaller page may help."""
    return isinstance(error, Slow | GatewayTimeout | TooLarge)


def fault_of(answer: Answer) -> RunError | None:
    """The error that a status stands for; None for 2xx."""
    status = answer.status
    if 200 <= status < 300:
        return None
    name, message = error_words(answer.body)
    about: dict[str, Any] = {"status": status, "request_id": answer.request_id}
    if status == 401:
        unauthorized = Unauthorized(f"{answer.host} did not accept the credentials (HTTP 401).", **about)
        unauthorized.name = name
        return unauthorized
    if status == 403:
        return _refused(answer, name, message, about)
    if status == 404 and name.startswith("No help desk"):
        return NoAccount(
            f"There is no Zendesk account at {answer.host}.",
            hint=f"Check the subdomain: Zendesk knows no account at {answer.host}.",
            **about,
        )
    if status == 429:
        return Limited(f"{answer.host} limits the rate of requests (HTTP 429).", **about)
    if status == 504:
        return GatewayTimeout(f"{answer.host} took too long inside (HTTP 504).", **about)
    if status >= 500 or status in {408, 409, 425}:
        return ServerError(f"{answer.host} answered with a server error (HTTP {status}).", **about)
    return Rejected(answer, name, message)


def _refused(answer: Answer, name: str, message: str, about: Mapping[str, Any]) -> PermissionDenied:
    """403, told apart by what the body says: the token's scope, or the user's role and the plan."""
    words = f"{name} {message}".lower()
    if "scope" in words:
        return PermissionDenied(
            f"{answer.host} refused the call: the token lacks a scope it needs (HTTP 403).",
            hint='Give credentials whose OAuth client may ask for the scope "read".',
            **about,
        )
    if answer.body.lstrip()[:1] == b"<":
        return WebPage403(
            f"{answer.host} refused the call with a web page (HTTP 403).",
            hint="Is the account suspended, or access limited to certain IP addresses?",
            **about,
        )
    return PermissionDenied(
        f"{answer.host} refused the call (HTTP 403).",
        hint="The user behind the credentials must be an admin, and the account's plan must include the API.",
        **about,
    )


def error_words(body: bytes) -> tuple[str, str]:
    """An error body's name and message, "" where it has none: as they came, see Answer.quoted. Never raises."""
    if len(body) > _LONGEST_ERROR:
        return "", ""  # no error of Zendesk's; read as any JSON it may take fifty times its size
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    if not isinstance(said, dict):
        return "", ""
    name: Any = said.get("error")
    message: Any = said.get("description") or said.get("error_description") or said.get("message")
    if isinstance(name, dict):
        name, message = name.get("title") or name.get("code"), name.get("message")
    errors = said.get("errors")
    if name is None and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        name, message = errors[0].get("code"), errors[0].get("title")
    return _text(name), _text(message)


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def http_date(text: str) -> datetime | None:
    """An HTTP date as an aware instant; None for what is not one."""
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
