"""Why the daemon cannot be reached: the words for each of the system's errors."""

from __future__ import annotations

import errno
from pathlib import Path

import httpx
import pytest

from zendeskd.unreachable import explain_unreachable


def wrapped(number: int) -> httpx.ConnectError:
    """As httpx hands it out: the system's own error is two causes down."""
    error, middle = httpx.ConnectError("failed"), RuntimeError("between")
    middle.__cause__ = OSError(number, "why")
    error.__cause__ = middle
    return error


@pytest.mark.parametrize(
    ("number", "reason", "hint"),
    [
        (errno.ENOENT, "missing", "systemctl status zendeskd"),
        (errno.ENOTDIR, "missing", "systemctl status zendeskd"),
        (errno.ECONNREFUSED, "refused", "systemctl restart zendeskd"),
        (errno.EACCES, "permission", "join the group"),
        (errno.EPERM, "permission", "join the group"),
        (errno.EAGAIN, "timeout", "journalctl -u zendeskd"),
        (errno.ECONNRESET, "lost", "systemctl status zendeskd"),
        (errno.EPIPE, "lost", "systemctl status zendeskd"),
    ],
)
def test_reasons(tmp_path: Path, number: int, reason: str, hint: str) -> None:
    for error in (wrapped(number), OSError(number, "why")):
        found, detail, advice = explain_unreachable(tmp_path / "s", error, changes=False)
        assert found == reason
        assert str(tmp_path / "s") in detail
        assert advice.startswith(hint)


def test_a_change_that_was_cut_off_may_have_happened(tmp_path: Path) -> None:
    _, detail, _ = explain_unreachable(tmp_path / "s", httpx.ReadError("gone"), changes=True)
    assert detail.endswith("whether it did what was asked is not known")


def test_a_socket_nobody_can_look_at_still_gives_advice() -> None:
    path = Path("/nonexistent/deeper/s")
    assert explain_unreachable(path, wrapped(errno.EACCES), changes=False)[2].startswith("join the group that owns it")


def test_a_timeout_with_nobody_behind_the_socket_names_no_pid(tmp_path: Path) -> None:
    reason, detail, _ = explain_unreachable(tmp_path / "s", httpx.ReadTimeout("late"), changes=False)
    assert (reason, "pid" in detail) == ("timeout", False)


def test_what_is_there_may_be_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("root:x:0:0")
    reason, detail, hint = explain_unreachable(path, wrapped(errno.ECONNREFUSED), changes=False)
    assert (reason, detail) == ("refused", f"{path} is not a socket")
    assert "--socket PATH" in hint
