"""Exit codes, and the errors that `zendeskctl` itself finds. The one place that turns an error into a code."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from zendeskd.errors import ConfigError, Refusal, ZendeskdError


class Exit(IntEnum):
    OK = 0  # did it; `status`: could report, whatever the state
    FAILED = 1  # the operation failed; with --wait: the run failed
    USAGE = 2  # command line, or a file that was given
    UNREACHABLE = 3  # no daemon answered
    PERMISSION = 4  # of the socket, or of the caller's role
    NOT_FOUND = 5  # no such organisation, run or record
    REFUSED = 6  # not in this state
    INCOMPATIBLE = 7  # versions too far apart
    TIMEOUT = 8  # --timeout passed; the work goes on
    INTERRUPTED = 130  # ctrl+c
    CLOSED_PIPE = 141  # nobody reads the output any more; what a shell reports for SIGPIPE


class UsageProblem(ZendeskdError):
    """The command line cannot be carried out. `usage` is the verb's usage line, if one helps."""

    code = "usage"

    def __init__(self, detail: str, *, hint: str = "", usage: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.usage = usage


class TimedOut(ZendeskdError):
    """`--timeout` passed while waiting. What was waited for goes on."""

    code = "timeout"


class NotConfirmed(ZendeskdError):
    """The person answered no."""

    code = "not_confirmed"


_BY_STATUS: Final = {
    400: Exit.USAGE,
    403: Exit.PERMISSION,
    404: Exit.NOT_FOUND,
    409: Exit.REFUSED,
    413: Exit.USAGE,
    422: Exit.USAGE,
}


def exit_of(error: ZendeskdError) -> Exit:
    """The exit code of any error that a verb may raise."""
    match error:
        case UsageProblem() | ConfigError():
            return Exit.USAGE
        case TimedOut():
            return Exit.TIMEOUT
        case NotConfirmed():
            return Exit.FAILED
        case Refusal(status=status):
            return _BY_STATUS[status]
    from zendeskd.client import ApiError, DaemonUnreachable, IncompatibleApi

    match error:
        case ApiError(status=status):
            return _BY_STATUS.get(status, Exit.FAILED)
        case DaemonUnreachable(reason="permission"):
            return Exit.PERMISSION
        case DaemonUnreachable():
            return Exit.UNREACHABLE
        case IncompatibleApi():
            return Exit.INCOMPATIBLE
        case _:
            return Exit.FAILED
