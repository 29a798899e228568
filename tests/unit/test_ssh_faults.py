"""What OpenSSH prints when it fails, in our words; and what the look at the socket on the host tells."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from zendeskd.address import Address
from zendeskd.ssh_faults import fault_of, look_command, open_fault, open_fault_unknown, talk

THERE = Address(Path("/run/zendeskd/control.sock"), "ana@db1")

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
Host key for db1 has changed and you have requested strict checking.\r
Host key verification failed.\r
"""


@pytest.mark.parametrize(
    ("said", "reason", "detail", "is_final"),
    [
        ("ssh: Could not resolve hostname db1: Name or service not known\r\n", "missing", "no host", False),
        ("ssh: Could not resolve hostname db1: Temporary failure in name resolution", "missing", "no host", False),
        ("ssh: connect to host db1 port 22: Connection refused\r\n", "refused", "the host ana@db1 refuses ssh", False),
        ("ssh: connect to host db1 port 22: Connection timed out\r\n", "timeout", "does not answer", False),
        ("Connection timed out during banner exchange\r\n", "timeout", "does not answer", False),
        ("Timeout, server db1 not responding.\r\n", "timeout", "does not answer", False),
        ("ssh: connect to host db1 port 22: No route to host\r\n", "missing", "no way to ana@db1", False),
        ("ssh: connect to host db1 port 22: Network is unreachable\r\n", "missing", "no way to", False),
        (CHANGED, "refused", "is not the one that ssh knows", True),
        ("No ED25519 host key is known for db1 and you have requested strict checking.\r\n"
         "Host key verification failed.\r\n", "refused", "the host key of ana@db1 is not known", True),
        ("Warning: Permanently added 'db1' (ED25519) to the list of known hosts.\r\nPermission denied, please try "
         "again.\r\nana@db1: Permission denied (publickey,password).\r\n", "permission", "does not let you in", True),
        ("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n",
         "permission", "does not let you in", True),
        ("/home/ana/.ssh/config: line 3: Bad configuration option: nope\r\n", "refused", "the settings of ssh", True),
        ("Bad owner or permissions on /home/ana/.ssh/config\r\n", "refused", "the settings of ssh", True),
        ("unix_listener: cannot bind to path /tmp/x: No space left on device\r\n"
         "Could not request local forwarding.\r\n", "refused", "no socket for ssh", False),
        ("kex_exchange_identification: Connection closed by remote host\r\n", "lost", "broke", False),
        ("client_loop: send disconnect: Broken pipe\r\n", "lost", "broke", False),
        ("Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\r\n",
         "lost", "ended (Unable to negotiate with 10.0.0.1 port 22: no matching host key type", False),
        ("", "lost", "the ssh connection to ana@db1 ended (exit code 255)", False),
    ],
)  # fmt: skip
def test_what_ssh_says(said: str, reason: str, detail: str, is_final: bool) -> None:
    fault = fault_of(THERE, said, 255, unasked="")
    assert (fault.reason, fault.is_final) == (reason, is_final)
    assert detail in fault.detail and fault.hint
    last = talk(said)
    assert not last or any(line.strip("@ .") in fault.detail for line in last), "ssh's own line is quoted"


def test_a_line_that_does_not_name_the_cause_is_quoted_with_the_one_before() -> None:
    assert "one; two)" in fault_of(THERE, "zero\r\none\r\ntwo\r\n", 255, unasked="").detail


def test_a_jump_host_that_refuses_is_quoted() -> None:
    said = "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n"
    said += "Connection closed by UNKNOWN port 65535\r\n"
    assert fault_of(THERE, said, 255, unasked="").reason == "refused"


def test_why_it_asked_nobody() -> None:
    said = "ana@db1: Permission denied (publickey)."
    assert fault_of(THERE, said, 255, unasked="nobody is there").hint.startswith("nobody is there; is it the right")
    assert fault_of(THERE, said, 255, unasked="").hint == "is it the right user, with the right key? try: ssh ana@db1"


def test_not_up_in_time_and_ended_by_a_signal() -> None:
    assert fault_of(THERE, "", None, unasked="") == (
        "timeout", "the ssh connection to ana@db1 does not come up", "try: ssh ana@db1", False
    )  # fmt: skip
    assert fault_of(THERE, "", -9, unasked="").detail == "the ssh connection to ana@db1 ended (signal 9)"


def test_what_a_host_says_cannot_move_the_cursor_nor_fill_the_screen() -> None:
    detail = fault_of(THERE, "\x1b[2J\x9b[red]{host}" + "x" * 5000, 255, unasked="").detail
    assert "\x1b" not in detail and "\x9b" not in detail and "{host}" in detail
    assert len(detail) < 250


# --- the socket on the host -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("channel 2: open failed: administratively prohibited: open failed", "permission"),
        ("channel 2: open failed: unknown channel type: unsupported", "permission"),
        ("channel 2: open failed: connect failed: No such file or directory", "missing"),
        ("channel 2: open failed: connect failed: Permission denied", "permission"),
        ("channel 2: open failed: connect failed: Connection refused", "refused"),
        ("channel 2: open failed: connect failed: open failed", None),
    ],
)
def test_servers_that_say_why(line: str, reason: str | None) -> None:
    fault = open_fault(THERE, line)
    assert (fault and fault.reason) == reason


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        ("Welcome!\nzendeskd-socket missing\n", "missing", ("there is no socket", "ssh ana@db1 systemctl status")),
        (
            "zendeskd-socket forbidden zendeskd\n",
            "permission",
            ("you may not talk", "the group zendeskd", "on ana@db1"),
        ),
        ("zendeskd-socket forbidden\n", "permission", ("you may not talk", "the group that owns it")),
        ("zendeskd-socket other\n", "refused", ("is not a socket", "--socket PATH")),
        ("zendeskd-socket dead\n", "refused", ("the daemon died", "ssh ana@db1 systemctl restart zendeskd")),
        ("zendeskd-socket alive\n", "permission", ("does not forward", "AllowStreamLocalForwarding")),
        ("zendeskd-socket forbidden \x1b[2J\n", "permission", ("you may not talk", "on ana@db1")),
    ],
)
def test_what_the_look_saw(seen: str, reason: str, words: tuple[str, str]) -> None:
    fault = open_fault(THERE, "", seen)
    assert fault is not None and fault.reason == reason
    assert all(word in f"{fault.detail} {fault.hint}" for word in words)
    assert "\x1b" not in fault.hint


@pytest.mark.parametrize("seen", ["", "This account is currently not available.\n", "zendeskd-socket what\n"])
def test_a_look_that_saw_nothing_leaves_all_three_open(seen: str) -> None:
    assert open_fault(THERE, "channel 2: open failed: connect failed: open failed", seen) is None
    fault = open_fault_unknown(THERE)
    assert "no daemon, no permission, or sshd" in fault.detail
    assert fault.hint.startswith("ssh ana@db1 zendeskctl status")


def look(path: Path, *, user: int | None = None) -> str:
    """What the command says, carried out by a shell as sshd does."""
    as_nobody = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    command = ["sh", "-c", look_command(Address(path, "db1"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, cwd="/", **as_nobody)  # type: ignore[call-overload]
    assert not done.stderr
    return str(done.stdout)


@pytest.mark.parametrize("name", ["s", "a b", "a'b", "$(id)"])
def test_the_look_itself(short_dir: Path, name: str) -> None:
    path = short_dir / name
    assert look(path) == "zendeskd-socket missing\n"
    assert look(short_dir / "none" / "s") == "zendeskd-socket missing\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert look(path) == "zendeskd-socket alive\n"
    assert look(path) == "zendeskd-socket dead\n"
    path.unlink()
    path.write_text("")
    assert look(path) == "zendeskd-socket other\n"


def test_the_look_at_what_belongs_to_others(short_dir: Path) -> None:
    nobody = 65534 if os.geteuid() == 0 else None
    path = short_dir / "run" / "s"
    path.parent.mkdir()
    short_dir.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0)
        assert look(path, user=nobody) == f"zendeskd-socket forbidden {path.group()}\n"
        path.parent.chmod(0)
        seen = look(path, user=nobody)
        path.parent.chmod(0o700)
        assert seen == f"zendeskd-socket forbidden {path.parent.group()}\n"


def test_the_look_is_one_line_that_other_shells_take_too() -> None:
    command = look_command(THERE)
    assert "\n" not in command and "!" not in command
    assert shlex.split(command)[:2] == ["sh", "-c"]
    assert "'" not in shlex.split(command)[2]
