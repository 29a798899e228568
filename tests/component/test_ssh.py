"""The tunnel: the machine's own ssh, to a real server on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.sshd import HOST, Sshd, needs_ssh, put_on_path, running
from tests.waiting import wait_for
from zendeskd import ssh
from zendeskd.address import Address
from zendeskd.client import Client, DaemonUnreachable
from zendeskd.ssh import NotLetIn, Tunnel

pytestmark = needs_ssh

Open = Callable[..., Tunnel]


@pytest.fixture
def make(short_dir: Path) -> Iterator[Open]:
    """Makes tunnels to that socket, not opened."""
    made: list[Tunnel] = []

    def tunnel(path: Path) -> Tunnel:
        made.append(Tunnel(Address(path, HOST), unasked="nobody is there"))
        return made[-1]

    yield tunnel
    for one in made:
        one.close()
    assert not list(short_dir.glob("zendeskd-*")), "the folder is gone"


def ask(tunnel: Tunnel) -> int:
    with Client(tunnel.socket, explain=tunnel.explain) as client:
        return len(client.sync_status("zendesk").items)


def failing(tunnel: Tunnel, *, changes: bool = False) -> DaemonUnreachable:
    with Client(tunnel.socket, explain=tunnel.explain) as client, pytest.raises(DaemonUnreachable) as failed:
        client.trigger("acme") if changes else client.status()
    return failed.value


def refused(tunnel: Tunnel, **options: float) -> DaemonUnreachable:
    with pytest.raises(DaemonUnreachable) as failed:
        tunnel.open(**options)  # type: ignore[arg-type]
    return failed.value


# --- it works ---------------------------------------------------------------------------------------------------------


def test_a_client_talks_through_it(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status("acme")]))
    tunnel = make(scripted.path)
    assert not tunnel.is_open
    tunnel.open()
    assert tunnel.is_open
    assert tunnel.socket.parent.stat().st_mode & 0o777 == 0o700
    assert tunnel.socket.stat().st_mode & 0o177 == 0
    assert ask(tunnel) == 1
    tunnel.open()
    assert sshd.logins == 1, "it was open already"
    tunnel.close()
    tunnel.close()
    assert not sshd.clients()


def test_it_can_be_opened_again_after_it_died(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    tunnel = make(scripted.path)
    for times in (1, 2, 3):
        tunnel.open()
        assert ask(tunnel) == 0
        assert sshd.logins == times
        (pid,) = sshd.clients()
        os.kill(pid, signal.SIGKILL)  # leaves its sockets lying about
        wait_for(lambda: not tunnel.is_open, "the death of ssh")


def test_paths_in_which_ssh_sees_more_than_a_path(sshd: Sshd, short_dir: Path, make: Open) -> None:
    daemon = ScriptedDaemon(short_dir / "a:b\\c d.sock").start()
    daemon.answer("sync_status", mockup.listing([]))
    try:
        tunnel = make(daemon.path)
        tunnel.open()
        assert ask(tunnel) == 0
        assert sshd.asked[-1] == str(daemon.path)
    finally:
        tunnel.close()
        daemon.stop()


def test_settings_of_their_own_do_not_take_it_away(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    """A master that stays, a forward that is in use, a command, a terminal: all common, none meant for this."""
    scripted.answer("sync_status", mockup.listing([]))
    theirs = sshd.folder / "theirs"
    sshd.configure(
        "ControlMaster auto", f"ControlPath {theirs}", "ControlPersist 5m", f"LocalForward {sshd.port} localhost:1",
        "ExitOnForwardFailure yes", "RemoteCommand sleep 60", "RequestTTY force", "LogLevel QUIET", "ForwardAgent yes",
        "PermitLocalCommand yes", f"LocalCommand touch {sshd.folder / 'done'}",
    )  # fmt: skip
    tunnel = make(scripted.path)
    tunnel.open()
    assert ask(tunnel) == 0
    assert not theirs.exists() and not (sshd.folder / "done").exists() and not sshd.commands
    scripted.stop()
    assert failing(tunnel).reason == "missing", "LogLevel QUIET would hide why"


# --- it ends ----------------------------------------------------------------------------------------------------------

HOLDER = """
import sys, threading
from pathlib import Path
from zendeskd.address import Address
from zendeskd.ssh import Tunnel, ending_in_order
with ending_in_order(), Tunnel(Address(Path(sys.argv[1]), sys.argv[2]), unasked="") as tunnel:
    tunnel.open()
    print("open", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_ssh_ends_with_the_program(
    sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", HOLDER, str(scripted.path), HOST]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        assert sshd.clients()
        holder.send_signal(number)
        holder.wait(20)
    wait_for(lambda: not sshd.clients(), "the end of ssh", 5)
    assert bool(list(short_dir.glob("zendeskd-*"))) == (number == signal.SIGKILL)


def test_an_ssh_that_does_not_want_to_end(short_dir: Path, monkeypatch: pytest.MonkeyPatch, make: Open) -> None:
    monkeypatch.setattr(ssh, "END_S", 0.2)
    monkeypatch.setenv("TMPDIR", str(short_dir))
    monkeypatch.setattr("tempfile.tempdir", None)
    put_on_path(short_dir, "trap '' TERM; exec sleep 6543.21", monkeypatch)
    fault = refused(make(short_dir / "s"), timeout_s=0.5)
    assert (fault.reason, fault.detail) == ("timeout", f"the ssh connection to {HOST} does not come up")
    assert not running("6543.21")


@pytest.mark.parametrize("script", ["exec yes garbage >&2", "yes garbage | head -c 100000000 >&2; exit 255"])
def test_an_ssh_that_says_far_too_much_is_ended(
    make: Open, short_dir: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Before it fills the disk, or costs a minute of reading it again and again."""
    put_on_path(short_dir, script, monkeypatch)
    began = time.monotonic()
    fault = refused(make(short_dir / "s"), timeout_s=30)
    assert "garbage" in fault.detail and len(fault.detail) < 1000
    assert time.monotonic() - began < 15


def test_a_folder_that_ssh_would_not_take_as_it_is(
    sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    for name in ("my dir", "%h", "x" * 60):
        (short_dir / name).mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir / name))
        with Tunnel.opened(Address(scripted.path, HOST), unasked="", may_ask=False) as tunnel:
            assert tunnel.socket.parents[1] == short_dir
            assert ask(tunnel) == 0
    (short_dir / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir / "run"))
    with Tunnel.opened(Address(scripted.path, HOST), unasked="", may_ask=False) as tunnel:
        assert tunnel.socket.parents[1] == short_dir / "run"


def test_its_folder_was_cleaned_up(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    """As happens to old files while a laptop sleeps for weeks."""
    scripted.answer("sync_status", mockup.listing([]))
    tunnel = make(scripted.path)
    tunnel.open()
    shutil.rmtree(tunnel.socket.parent)
    assert failing(tunnel).reason == "lost"
    sshd.hang_up()
    wait_for(lambda: not tunnel.is_open, "the end of ssh")
    tunnel.open()
    assert ask(tunnel) == 0
    assert tunnel.socket.parent.stat().st_mode & 0o777 == 0o700


def test_no_room_for_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device", "/tmp/zendeskd-x")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(DaemonUnreachable, match="No space left"):
        Tunnel(Address(Path("/s"), HOST), unasked="")


# --- why there is no way there ----------------------------------------------------------------------------------------


def test_there_is_no_ssh(sshd: Sshd, scripted: ScriptedDaemon, make: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    fault = refused(make(scripted.path))
    assert (fault.reason, fault.detail) == ("missing", "there is no ssh on this machine")
    assert "openssh-client" in fault.hint


def test_nobody_listens_on_its_port(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    sshd.stop()
    fault = refused(make(scripted.path))
    assert fault.reason == "refused" and not isinstance(fault, NotLetIn)
    assert "Connection refused" in fault.detail


def test_a_name_that_nobody_knows(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    sshd.configure("HostName no-such-host.invalid")
    fault = refused(make(scripted.path))
    assert (fault.reason, "there is no host db1" in fault.detail) == ("missing", True)


def test_a_host_that_says_nothing(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sshd.configure(f"Port {silent.getsockname()[1]}")
        fault = refused(make(scripted.path), timeout_s=1.5)
    assert fault.reason == "timeout"


@pytest.mark.parametrize(("known", "said"), [((), "is not known to ssh"), (("other",), "is not the one that")])
def test_its_key_is_not_the_one_that_is_known(
    sshd: Sshd, scripted: ScriptedDaemon, make: Open, known: tuple[str, ...], said: str
) -> None:
    sshd.known(*known)
    fault = refused(make(scripted.path))
    assert (fault.reason, said in fault.detail) == ("refused", True)
    assert isinstance(fault, NotLetIn)


def test_a_key_that_it_does_not_take(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    sshd.configure(key="other")
    fault = refused(make(scripted.path))
    assert isinstance(fault, NotLetIn) and fault.reason == "permission"
    assert "db1 does not let you in" in fault.detail and fault.hint.startswith("nobody is there")


def test_a_password_that_nobody_may_be_asked_for(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    sshd.password = "secret"
    assert isinstance(refused(make(scripted.path)), NotLetIn)


# --- why a call got no answer -----------------------------------------------------------------------------------------


def test_no_daemon_there(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    tunnel = make(scripted.path)
    tunnel.open()
    scripted.stop()
    fault = failing(tunnel, changes=True)
    assert fault.reason == "missing"
    assert fault.detail == f"there is no socket {scripted.path} on db1: the daemon is stopped, or listens elsewhere"
    assert fault.hint == "ssh db1 systemctl status zendeskd, or name the socket there: --socket PATH"
    assert sshd.logins == 1, "the look went over the connection that was there"
    scripted.start()
    scripted.answer("sync_status", mockup.listing([]))
    assert ask(tunnel) == 0, "no new ssh is needed for it"


def test_a_socket_that_was_left_behind(sshd: Sshd, short_dir: Path, make: Open) -> None:
    path = short_dir / "left"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    tunnel = make(path)
    tunnel.open()
    fault = failing(tunnel)
    assert (fault.reason, fault.hint) == ("refused", "ssh db1 systemctl restart zendeskd")


def test_a_server_that_forwards_nothing(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    sshd.answers = False
    tunnel = make(scripted.path)
    tunnel.open()
    fault = failing(tunnel)
    assert (fault.reason, "sshd on db1 does not forward" in fault.detail) == ("permission", True)
    assert "AllowStreamLocalForwarding" in fault.hint


def test_an_account_that_may_not_look(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    sshd.answers = sshd.shell = False
    tunnel = make(scripted.path)
    tunnel.open()
    fault = failing(tunnel)
    assert (fault.reason, "no daemon, no permission, or" in fault.detail) == ("missing", True)


def test_a_look_that_takes_too_long(
    sshd: Sshd, scripted: ScriptedDaemon, make: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "EXAMINE_S", 0.3)
    monkeypatch.setattr("zendeskd.ssh_faults.look_command", lambda address: "exec sleep 1")
    sshd.answers = False
    tunnel = make(scripted.path)
    tunnel.open()
    assert "no daemon, no permission, or" in failing(tunnel).detail


def test_the_connection_breaks(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    def hang_up(asked: object) -> mockup.wire.Accepted:
        sshd.hang_up()
        return mockup.wire.Accepted(run_id=1, state="queued", joined=False)

    scripted.answer("trigger", hang_up)
    tunnel = make(scripted.path)
    tunnel.open()
    fault = failing(tunnel, changes=True)
    assert fault.reason == "lost"
    assert fault.detail.endswith("whether it did what was asked is not known")
    assert not tunnel.is_open


def test_the_daemon_goes_away_while_it_is_asked(sshd: Sshd, scripted: ScriptedDaemon, make: Open) -> None:
    def vanish(asked: object) -> mockup.wire.Accepted:
        assert scripted._server is not None
        scripted._server.hang_up()
        return mockup.wire.Accepted(run_id=1, state="queued", joined=False)

    scripted.answer("trigger", vanish)
    tunnel = make(scripted.path)
    tunnel.open()
    fault = failing(tunnel, changes=True)
    assert fault.reason == "lost" and f"went away while it was asked ({HOST}:" in fault.detail
    assert tunnel.is_open


def test_what_ssh_says_for_weeks_does_not_fill_the_disk(
    sshd: Sshd, scripted: ScriptedDaemon, make: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_HEARD_BYTES", 200)
    tunnel = make(scripted.path)
    tunnel.open()
    scripted.stop()
    for _ in range(9):
        tunnel.open()
        assert failing(tunnel).reason == "missing"
    assert (tunnel.socket.parent / "said").stat().st_size < 400


# --- with a person ----------------------------------------------------------------------------------------------------


def test_what_ssh_says_meanwhile_is_passed_on(sshd: Sshd, short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instructions of a second factor are on its standard errors; what it ended with is in the error."""
    go = short_dir / "go"
    put_on_path(
        sshd.folder,
        f"printf 'Push sent\\033[2J\\r\\n' >&2; until [ -e {go} ]; do sleep 0.05; done; echo 'the end' >&2; exit 255",
        monkeypatch,
    )
    told: list[str] = []

    def relay(line: str) -> None:
        told.append(line)
        go.touch()

    with pytest.raises(DaemonUnreachable) as failed:
        Tunnel.opened(Address(short_dir / "s", HOST), unasked="", may_ask=True, relay=relay)
    assert not list(short_dir.glob("zendeskd-*"))
    assert told == ["Push sent\ufffd[2J"]
    assert "the end" in failed.value.detail
