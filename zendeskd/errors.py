"""Every error the product names, and the one table that says what each failure of a run leads to.

    ZendeskdError                 code, one sentence (`detail`), one thing to do (`hint`)
    ├── ConfigError               settings, command line, import files            usage
    ├── Refusal                   an API call that cannot be carried out
    │   ├── BadRequest            400 / 422: which field, and what would be right
    │   ├── Forbidden             403: the caller may only look
    │   ├── NotFound              404: with the nearest names
    │   └── Conflict              409: not in this state
    └── RunError                  ends a run, or one attempt of a call; its code is a key of FAILURES
        ├── CredentialError       401
        ├── PermissionDenied      403 on what a sync needs
        ├── NetworkError          time-out, DNS, TLS, reset, redirect
        ├── ServerError           5xx
        ├── BadResponse           truncated, not JSON, HTML with 200, missing keys
        ├── CursorInvalid         the source no longer accepts the stored cursor
        ├── CursorStuck           the cursor repeats or stands still
        └── StorageError          our own database: full, locked, read-only
            └── Damaged           what is in it: no trying again helps

Depends on nothing, so every module may import it.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal


class ZendeskdError(Exception):
    """Base of all. `code` never changes; `detail` is a sentence for a person; `hint` says what to do."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


class ConfigError(ZendeskdError):
    """Settings that cannot be used. `problems` lists all of them, each a whole sentence."""

    code = "config_error"

    def __init__(self, detail: str, *, hint: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(detail, hint=hint)
        self.problems = problems or (detail,)


class Refusal(ZendeskdError):
    """A request that was understood and is not carried out."""

    status: ClassVar[int] = 400


class BadRequest(Refusal):
    """Something in the request is wrong. `field` names it ("interval", "integrations[0].baseUrl")."""

    code = "invalid_request"
    status = 422

    def __init__(self, detail: str, *, hint: str = "", field: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.field = field


class Forbidden(Refusal):
    code = "forbidden"
    status = 403


class NotFound(Refusal):
    code = "not_found"
    status = 404


class Conflict(Refusal):
    code = "conflict"
    status = 409


class RunError(ZendeskdError):
    """Ends a run. `status` is the HTTP status that caused it, if one did; `request_id` is the source's own."""

    def __init__(
        self, detail: str, *, hint: str = "", status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(detail, hint=hint)
        self.status = status
        self.request_id = request_id


class CredentialError(RunError):
    code = "credential_error"


class PermissionDenied(RunError):
    code = "permission_error"


class NetworkError(RunError):
    code = "network_error"


class ServerError(RunError):
    code = "server_error"


class BadResponse(RunError):
    code = "bad_response"


class CursorInvalid(RunError):
    """Raised by a source for a cursor it does not accept; `sync` falls back to the watermark."""

    code = "cursor_stuck"


class CursorStuck(RunError):
    code = "cursor_stuck"


class StorageError(RunError):
    code = "storage_error"


class Damaged(StorageError):
    """The database itself is damaged; another try, or another start, finds it so again."""


_PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


def refused(error: OSError, detail: str, *, hint: str) -> ConfigError | StorageError:
    """What the system refused before the daemon was up: StorageError for what a later start may find over, ConfigError
    for what somebody has to change, with `hint`."""
    if error.errno in _PASSING:
        return StorageError(detail, hint="See the disk (df -h, dmesg) and the limits of the process; then start again.")
    return ConfigError(detail, hint=hint)


class Cancelled(Exception):
    """The run was asked to end. Raised out of waits; never shown to a person."""


Reaction = Literal["block", "retry", "wait", "skip"]


@dataclass(frozen=True, slots=True)
class FailureClass:
    """What one failure class leads to.

    `counts`: raises `consecutive_failures`. `reaction`: `block` stops syncing until a probe or a person clears it;
    `retry` comes back sooner than the next tick, with back-off; `wait` keeps the place in the run; `skip` goes on.
    """

    code: str
    counts: bool
    reaction: Reaction


FAILURES: Final[Mapping[str, FailureClass]] = MappingProxyType(
    {
        f.code: f
        for f in (
            FailureClass("credential_error", counts=True, reaction="block"),
            FailureClass("permission_error", counts=True, reaction="block"),
            FailureClass("rate_limited", counts=False, reaction="wait"),
            FailureClass("network_error", counts=True, reaction="retry"),
            FailureClass("server_error", counts=True, reaction="retry"),
            FailureClass("bad_response", counts=True, reaction="retry"),
            FailureClass("cursor_stuck", counts=True, reaction="retry"),
            FailureClass("bad_record", counts=False, reaction="skip"),
            FailureClass("storage_error", counts=True, reaction="retry"),
            FailureClass("internal_error", counts=True, reaction="retry"),
        )
    }
)
"""The failure table. A run's `error_code` is always one of these keys."""
