"""`zendeskctl --ssh HOST`: through the machine's own ssh, with the exit codes that everything else has."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Stream, carry_out
from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.sshd import HOST, Sshd, needs_ssh, put_on_path
from tests.waiting import wait_for
from zendeskd import verbs, wire
from zendeskd.address import Address
from zendeskd.models import utcnow
from zendeskd.verbs.base import Call
from zendeskd.verbs.follow import Deadline, looks
from zendeskd.verbs.terminal import Terminal

pytestmark = needs_ssh
leaky = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""httpcore 1.0.9 leaves a Unix socket that could not connect to the garbage collector."""


def there(scripted: ScriptedDaemon) -> tuple[str, ...]:
    return ("--ssh", HOST, "--socket", str(scripted.path))


def test_status_and_trigger(sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status("acme")]))
    scripted.answer("trigger", wire.Accepted(run_id=8815, state="queued", joined=False))
    scripted.answer("run", mockup.document(mockup.run(status="running")), mockup.document(mockup.run(status="success")))
    scripted.answer("events", mockup.hello())
    done = carry_out(*there(scripted), "status", "--json")
    assert (done.code, done.document()["items"][0]["organizationId"]) == (0, "acme")
    done = carry_out("trigger", "acme", "--wait", "--json", *there(scripted))
    assert (done.code, sshd.logins) == (0, 2), "one ssh a command, however much it asks"
    assert not sshd.clients() and not list(short_dir.glob("zendeskd-*"))


@pytest.mark.e2e
def test_a_real_daemon(sshd: Sshd, daemon: DaemonProcess) -> None:
    where = ("--ssh", HOST, "--socket", str(daemon.socket))
    assert carry_out("org", "add", "acme", "--base-url", "http://127.0.0.1:9", *where).code == 0
    document = carry_out("status", "--json", *where).document()
    assert [item["organizationId"] for item in document["items"]] == ["acme"]
    assert "you are operator" in carry_out("version", *where).out


def test_this_machine_s_environment_does_not_name_a_socket_there(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    done = carry_out("status", "--ssh", HOST, environ={"ZENDESKD_SOCKET": str(scripted.path)})
    assert (done.code, scripted.asked) == (3, [])
    assert set(sshd.asked) == {"/run/zendeskd/control.sock"}
    assert "there is no socket /run/zendeskd/control.sock on db1" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ssh", ""), "the host is empty"),
        (("--ssh=-oProxyCommand=touch /tmp/x",), "begins with a dash"),
        (("--ssh", "db1;id"), "is no host"),
        (("--ssh", HOST, "--socket", "rel"), "has to begin with /"),
        (("--ssh", HOST, "--socket", "/run/%h"), "for % and $"),
        (("--ssh", HOST, "--socket", ""), "the path is empty"),
    ],
)
def test_2_usage(sshd: Sshd, words: tuple[str, ...], said: str) -> None:
    done = carry_out("status", *words)
    assert (done.code, said in done.err, sshd.logins) == (2, True, 0)


def test_3_there_is_no_daemon(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    scripted.stop()
    error = carry_out("status", "--json", *there(scripted)).document()["error"]
    assert (error["code"], error["reason"]) == ("daemon_unreachable", "missing")
    assert error["hint"].startswith("ssh db1 systemctl status zendeskd")


def test_3_there_is_no_host(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    sshd.stop()
    done = carry_out("status", *there(scripted))
    assert done.code == 3
    assert done.err.startswith("zendeskctl: the host db1 refuses ssh (ssh: connect to host 127.0.0.1 port ")
    assert "try: ssh db1" in done.err


def test_3_the_daemon_does_not_answer(sshd: Sshd, short_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(short_dir / "deaf"))
        deaf.listen()
        words = ("--ssh", HOST, "--socket", str(short_dir / "deaf"), "--timeout", "2")
        done = carry_out("status", "--json", *words)
    assert done.code == 3
    assert done.document()["error"]["reason"] == "timeout"
    assert f"no answer from {HOST}:{short_dir / 'deaf'}" in done.document()["error"]["detail"]


def test_4_ssh_is_not_let_in_and_asks_nobody(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    sshd.password = "secret"
    done = carry_out("status", *there(scripted))
    assert done.code == 4
    assert "db1 does not let you in" in done.err
    assert "without a terminal ssh asks nothing" in done.err


def test_4_its_sshd_forwards_nothing(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    sshd.answers = False
    done = carry_out("status", *there(scripted))
    assert (done.code, "AllowStreamLocalForwarding" in done.err) == (4, True)


def test_a_person_at_the_terminal_may_be_asked(
    sshd: Sshd, scripted: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by what ssh is given; that it asks is seen in the test of the dashboard on a real terminal."""
    put_on_path(sshd.folder, 'echo "$@" | grep -o "BatchMode=[a-z]*" >&2; exit 255', monkeypatch)
    assert "BatchMode=yes" in carry_out("status", *there(scripted)).err
    assert "BatchMode=no" in carry_out("status", *there(scripted), terminal=True).err


def test_verbs_that_ask_no_daemon_start_no_ssh(sshd: Sshd) -> None:
    assert carry_out("completion", "bash", "--ssh", HOST).code == 0
    assert sshd.logins == 0


@leaky
def test_following_goes_on_over_a_new_ssh(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    """The laptop slept: what is waited for goes on there."""
    scripted.answer("events", mockup.hello())
    streams = [Stream() for _ in range(3)]
    terminal = Terminal(stdin=streams[0], stdout=streams[1], stderr=streams[2], environ={})
    options = verbs.load("watch").parser().parse_args([])
    call = Call(
        options, terminal, Address(scripted.path, HOST), now=utcnow, monotonic=time.monotonic, pause=lambda _: None
    )
    with closing(call), closing(looks(call, Deadline(call, 60))) as events:
        assert next(events) is None, "the first look"
        assert next(events) == mockup.hello()
        sshd.hang_up()
        found = [next(events), next(events)]
        while found[-1] is None:  # ticks of a quiet stream, or what went wrong was told
            found.append(next(events))
        assert found[-1] == mockup.hello()
        assert sshd.logins == 2


def test_no_ssh_is_left_behind_by_what_ends_it(sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path) -> None:
    scripted.answer("sync_status", mockup.listing())
    scripted.answer("events", mockup.hello())
    command = [sys.executable, "-m", "zendeskd.ctl", "watch", *there(scripted)]
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            wait_for(lambda: scripted.streams, "the stream")
            assert sshd.clients()
            watching.send_signal(number)
            assert watching.wait(20) == 130
            assert watching.stderr is not None
            assert watching.stderr.read() == b""
        assert not sshd.clients() and not list(short_dir.glob("zendeskd-*"))
        scripted.stop()
        scripted.start()


def test_what_was_killed_is_cleared_up_by_the_next(sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path) -> None:
    scripted.answer("sync_status", mockup.listing())
    scripted.answer("events", mockup.hello())
    with subprocess.Popen([sys.executable, "-m", "zendeskd.ctl", "watch", *there(scripted)]) as watching:
        wait_for(lambda: scripted.streams, "the stream")
        watching.kill()
    wait_for(lambda: not sshd.clients(), "the end of ssh")
    assert len(list(short_dir.glob("zendeskd-ssh-*"))) == 1
    assert carry_out("status", *there(scripted)).code == 0
    assert not list(short_dir.glob("zendeskd-ssh-*"))


def test_without_it_nothing_more_is_loaded() -> None:
    code = "import sys, zendeskd.ctl, zendeskd.client; print(*(name for name in sys.modules if 'ssh' in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
