"""What is answered, and Zendesk's error bodies word for word where they are known."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

JSON: Final = "application/json; charset=utf-8"


@dataclass
class Answer:
    """One response. `rows` is set for pages of tickets, so that faults can spoil them."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    is_gzip: bool = False


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), headers=dict(headers or {}))


def failure(status: int, error: object, **more: object) -> Answer:
    return as_json({"error": error, **more}, status)


def gzipped(body: bytes) -> bytes:
    return zlib.compress(body, 1, 31)  # 31: with gzip's header


# --- errors; the shapes differ as Zendesk's do ---


def no_help_desk(name: str) -> Answer:
    title = f"No help desk at {name}.zendesk.com"
    message = (
        "There is no help desk configured at this address. This means that the address is available and that you "
        "can claim it at http://www.zendesk.com/signup"
    )
    return failure(404, {"title": title, "message": message})


def no_endpoint() -> Answer:
    return failure(404, "InvalidEndpoint", description="Not found")


def no_record() -> Answer:
    return failure(404, "RecordNotFound", description="Not found")


def not_authenticated() -> Answer:
    return failure(401, "Couldn't authenticate you")


def invalid_token() -> Answer:
    text = "The access token provided is expired, revoked, malformed or invalid for other reasons."
    return failure(401, "invalid_token", error_description=text)


def forbidden() -> Answer:
    message = (
        "You do not have access to this page. Please contact the account owner of this help desk for further help."
    )
    return failure(403, {"title": "Forbidden", "message": message})


def lacking_scope(scope: str) -> Answer:
    text = f"You are missing the following required scopes: {scope}"
    return failure(403, "insufficient_scope", error_description=text)


def too_recent() -> Answer:
    text = "Too recent start_time. Use a start_time older than 1 minute"
    return failure(400, "StartTimeTooRecent", description=text)


def bad_parameter(name: str, must: str) -> Answer:
    message = f"You passed an invalid value for the {name} attribute. Invalid parameter: {name} {must}"
    return failure(400, {"title": "Invalid attribute", "message": message})


def bad_cursor(name: str) -> Answer:
    return failure(400, "InvalidPaginationParameter", description=f"{name} is not valid")


def too_many_values(most: int) -> Answer:
    text = f"Parameter  cannot specify more than {most} values"
    return failure(400, "TooManyValues", description=text, max_count=most)


EXPORT_LIMIT: Final = "Number of allowed incremental export API requests per minute exceeded"
ACCOUNT_LIMIT: Final = "Number of allowed API requests per minute exceeded"


def limited(description: str, retry_after: str | None) -> Answer:
    answer = failure(429, "APIRateLimitExceeded", description=description)
    if retry_after is not None:
        answer.headers["Retry-After"] = retry_after
    return answer
