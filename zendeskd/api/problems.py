"""From an exception to an `application/problem+json` answer. Nothing of the inside is told."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import structlog

from zendeskd import wire
from zendeskd.drafts import Invalid
from zendeskd.errors import BadRequest, ConfigError, Refusal, RunError, StorageError, ZendeskdError

log = structlog.get_logger("zendeskd.api")

PROBLEM_TYPE: Final = "application/problem+json"


class Refused(Refusal):
    """A request that is refused for what it costs. `retry_after_s` if it may come again."""

    def __init__(self, status: int, code: str, detail: str, *, hint: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail, hint=hint)
        self.refused_with, self.refused_code, self.retry_after_s = status, code, retry_after_s


def problem(status: int, code: str, detail: str, *, hint: str = "", field: str = "") -> wire.Problem:
    return wire.Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, hint=hint, field=field
    )


def explain(error: Exception, *, operation: str) -> wire.Problem:
    """What a caller is told of an exception. Logs what is our own fault."""
    match error:
        case Refused():
            return problem(error.refused_with, error.refused_code, error.detail, hint=error.hint)
        case Invalid():
            told = problem(error.status, error.code, error.detail, hint=error.hint, field=error.field)
            told.problems = list(error.problems)
            return told
        case Refusal():
            field = error.field if isinstance(error, BadRequest) else ""
            return problem(error.status, error.code, error.detail, hint=error.hint, field=field)
        case ConfigError():
            told = problem(422, error.code, error.detail, hint=error.hint)
            told.problems = [wire.ProblemItem(path="", detail=one) for one in error.problems]
            return told
        case StorageError():
            log.error("request failed", operation=operation, error=error.detail)
            return problem(503, error.code, error.detail, hint=error.hint or "zendeskctl status shows the database")
        case RunError():
            return problem(502, error.code, error.detail, hint=error.hint)
        case ZendeskdError():
            log.error("request failed", operation=operation, error=error.detail, code=error.code)
            return problem(500, error.code, error.detail, hint=error.hint)
        case _:
            log.error("request failed", operation=operation, exc_info=error)
            return problem(
                500, "internal_error", "the daemon failed on this request", hint="journalctl -u zendeskd has the reason"
            )
