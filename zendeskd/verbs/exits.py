"""Exit codes, and the errors that `zendeskctl` itself finds. The one place that turns an error into a code."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from zendeskd.errors import ConfigError, Refusal, ZendeskdError


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    PERMISSION = 4
    NOT_FOUND = 5
    REFUSED = 6
    INCOMPATIBLE = 7
    TIMEOUT = 8
    INTERRUPTED = 130
    CLOSED_PIPE = 141  # what a shell reports for SIGPIPE


MEANING: Final = {
    Exit.OK: "did it (`status`: could report, whatever the state)",
    Exit.FAILED: "it failed, or the person said no; with `--wait`: a run failed (with `--strict`: or was partial)",
    Exit.USAGE: "the command line or a file is wrong; a question without a terminal and without `--yes`",
    Exit.UNREACHABLE: "no daemon answered",
    Exit.PERMISSION: "not allowed: the socket belongs to others, or the caller may only look",
    Exit.NOT_FOUND: "no such organisation, run or record",
    Exit.REFUSED: "refused in this state, as a trigger while blocked; `wait --for ok` where nothing will go on",
    Exit.INCOMPATIBLE: "versions of program and daemon are too far apart",
    Exit.TIMEOUT: "`--timeout` passed while waiting; what was going on goes on",
    Exit.INTERRUPTED: "ctrl+c",
    Exit.CLOSED_PIPE: "nobody reads the output any more",
}


class UsageProblem(ZendeskdError):
    """The command line cannot be carried out. `usage` is the verb's usage line, if one helps."""

    code = "usage"

    def __init__(self, detail: str, *, hint: str = "", usage: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.usage = usage


class TimedOut(ZendeskdError):
    """`--timeout` passed while waiting, which ended nothing but the waiting."""

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
