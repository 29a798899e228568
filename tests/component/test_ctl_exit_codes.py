"""Each exit code, one by one, and what a person and a script are told with it."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Stream, Zendeskctl, carry_out
from tests.fixtures.scripted import ScriptedDaemon
from tests.waiting import wait_for
from zendeskd import ctl, wire

leaky = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""httpcore 1.0.9 leaves a Unix socket that could not connect to the garbage collector."""


def test_0_did_it_whatever_the_state(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status(health="blocked", state="blocked")]))
    assert zendeskctl("status").code == 0


def test_1_the_daemon_failed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("runs", 503, "storage_error", "the disk is full", hint="free some space")
    done = zendeskctl("runs")
    assert (done.code, done.out) == (1, "")
    assert done.err == "zendeskctl: the disk is full\n  free some space\n"


@pytest.mark.parametrize("status", ["success", "partial"])
def test_0_a_run_that_was_waited_for_did_its_work(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, status: str
) -> None:
    _trigger_that_ends(scripted, status)
    assert zendeskctl("trigger", "acme", "--wait").code == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [("failed", ()), ("cancelled", ()), ("interrupted", ()), ("partial", ("--strict",))],
)
def test_1_a_run_that_was_waited_for_did_not(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, status: str, words: tuple[str, ...]
) -> None:
    _trigger_that_ends(scripted, status)
    assert zendeskctl("trigger", "acme", "--wait", *words).code == 1


def _trigger_that_ends(scripted: ScriptedDaemon, status: str) -> None:
    scripted.answer("trigger", wire.Accepted(run_id=8815, state="queued", joined=False))
    scripted.answer("run", mockup.document(mockup.run(status=status)))
    scripted.answer("events", mockup.hello())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["start"], "the daemon: systemctl start zendeskd"),
        (["stop"], "the daemon: systemctl stop zendeskd"),
        (["status", "--json", "--wide"], "--json and --wide do not go together"),
        (["status", "--nope"], "unrecognized arguments: --nope"),
        (["status", "--failin"], "unrecognized arguments: --failin"),
        (["statsu"], "did you mean status"),
        (["org"], "It can be add, show, set, remove, list, import, export"),
        (["org", "ad"], "did you mean org add or org set?"),
        (["trigger"], "name organisations or give --all or --failed"),
        (["trigger", "acme", "--all"], "one of them"),
        (["trigger", "acme", "--strict"], "--strict goes with --wait"),
        (["trigger", "acme", "--timeout", "soon"], "'soon' is no span of time"),
        (["interval", "acme", "*/5"], "quote it"),
        (["resync", "acme"], "say from when"),
        (["resync", "acme", "--full", "--since", "7d"], "say from when"),
        (["resync", "acme", "--full"], "there is no terminal to ask on"),
        (["cancel", "acme"], "give --yes to go ahead"),
        (["stop", "a", "b"], "give --yes to go ahead"),
        (["org", "remove", "acme"], "give --yes to go ahead"),
        (["org", "add", "acme"], "one of the arguments --subdomain --base-url is required"),
        (["org", "set", "acme"], "nothing to set"),
        (["run", "abc"], "'abc' is no number from 1"),
        (["record", "acme"], "names no record"),
        (["record", "1", "--raw", "--json"], "do not go together"),
        (["link", "1", "--remove"], "want the OTHER record"),
        (["watch", "--level", "warn"], "--level goes with --log"),
        (["watch", "acme", "--run", "3"], "--run is one run"),
        (["credentials", "set", "acme"], "is empty"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_2_usage(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, words: list[str], said: str) -> None:
    done = zendeskctl(*words)
    assert done.code == 2
    assert said.lower() in (done.err or done.document()["error"]["detail"]).lower()
    assert not [one for one in scripted.asked if one.method != "GET"]


def test_2_the_daemon_found_a_value_wrong(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("interval", 422, "invalid_request", "minute: 75 is not valid, 0-59", field="interval")
    done = zendeskctl("interval", "acme", "75 * * * *", "--json")
    assert done.code == 2
    assert done.document()["error"] == {
        "code": "invalid_request",
        "detail": "minute: 75 is not valid, 0-59",
        "hint": "",
        "field": "interval",
    }


@leaky
def test_3_there_is_no_socket(short_dir: Path) -> None:
    path = short_dir / "none.sock"
    done = carry_out("status", "--socket", str(path))
    assert done.code == 3
    assert f"there is no socket {path}" in done.err
    assert "systemctl status zendeskd" in done.err


@leaky
def test_3_nobody_listens_on_the_socket(short_dir: Path) -> None:
    path = short_dir / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    error = carry_out("--json", "--socket", str(path)).document()["error"]
    assert (error["code"], error["reason"]) == ("daemon_unreachable", "refused")
    assert error["hint"] == "systemctl restart zendeskd"


def test_3_the_daemon_does_not_answer(short_dir: Path) -> None:
    path = short_dir / "deaf.sock"
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        done = carry_out("status", "--json", "--timeout", "0.2", "--socket", str(path))
    assert done.code == 3
    assert done.document()["error"]["reason"] == "timeout"


def test_4_the_caller_may_only_look(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("trigger", 403, "forbidden", "viewers may only look", hint="join the group zendeskd")
    done = zendeskctl("trigger", "acme")
    assert done.code == 4
    assert "viewers may only look" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
def test_4_the_socket_belongs_to_others(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.path.chmod(0)
    done = zendeskctl("status", "--json")
    assert done.code == 4
    assert done.document()["error"]["reason"] == "permission"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_4_the_socket_belongs_to_root(scripted: ScriptedDaemon) -> None:
    scripted.path.chmod(0o600)
    scripted.path.parent.chmod(0o755)
    program = (
        "import os, sys; from zendeskd import ctl, client; client.Client('/').close();"  # loads all modules as root
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        f"sys.exit(ctl.main(['--json', '--socket', {str(scripted.path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    assert '"reason":"permission"' in done.stdout


def test_5_there_is_no_such_organisation(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("trigger", 404, "not_found", "no organisation 'acmee'", hint="did you mean acme?")
    done = zendeskctl("trigger", "acmee")
    assert done.code == 5
    assert "did you mean acme?" in done.err


@pytest.mark.parametrize(
    ("operation", "words"),
    [("run", ["run", "99"]), ("record", ["record", "acme/zendesk/1"]), ("sync_status", ["explain", "acmee"])],
)
def test_5_there_is_no_such_thing(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, operation: str, words: list[str]
) -> None:
    scripted.refuse(operation, 404, "not_found", "there is no such thing")
    assert zendeskctl(*words).code == 5


def test_6_refused_in_this_state(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("trigger", 409, "conflict", "acme is blocked", hint="zendeskctl start acme tries again")
    done = zendeskctl("trigger", "acme", "--wait")
    assert done.code == 6
    assert done.err == "zendeskctl: acme is blocked\n  zendeskctl start acme tries again\n"


def test_7_versions_are_too_far_apart(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing())
    scripted.api_version = "99"
    done = zendeskctl("status", "--json")
    assert done.code == 7
    assert done.document()["error"]["code"] == "incompatible_api"
    assert "99" in done.document()["error"]["detail"]
    assert zendeskctl("version").code == 7


def test_8_the_timeout_passed_and_the_work_goes_on(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("trigger", wire.Accepted(run_id=8815, state="queued", joined=False))
    scripted.answer("run", mockup.document(mockup.run(status="running")))
    scripted.refuse("events", 503, "busy", "too many streams")
    done = zendeskctl("trigger", "acme", "--wait", "--timeout", "0.3")
    assert done.code == 8
    assert "the work goes on" in done.err
    assert done.out == ""


def test_130_ctrl_c(scripted: ScriptedDaemon) -> None:
    scripted.answer("sync_status", mockup.listing())
    scripted.answer("events", mockup.hello())
    command = [sys.executable, "-m", "zendeskd.ctl", "watch", "--socket", str(scripted.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        wait_for(lambda: scripted.streams, "the stream")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
        assert watching.stderr is not None
        assert watching.stderr.read() == b""


def test_141_nobody_reads_the_output(scripted: ScriptedDaemon) -> None:
    scripted.answer("records", wire.RecordList(items=[mockup.record()] * 2000, next=None))
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "zendeskd.ctl", "records", "--socket", str(scripted.path)]
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_1_the_output_cannot_be_written(scripted: ScriptedDaemon) -> None:
    scripted.answer("sync_status", mockup.listing())
    command = [sys.executable, "-m", "zendeskd.ctl", "status", "--socket", str(scripted.path)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "zendeskctl: cannot write: No space left on device\n")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("zendeskd.ctl status >&-", 0, ""),
        ("zendeskd.ctl --json nope >&-", 2, ""),
        ("zendeskd.ctl credentials set acme <&-", 2, "zendeskctl: standard input is empty"),
        ("zendeskd.ctl org import - <&-", 2, "zendeskctl: standard input, line 1, column 1: no JSON"),
        ("zendeskd.ctl nope <&- >&- 2>&-", 2, ""),
        ("zendeskd check >&-", 0, ""),
        ("zendeskd check --state-dir '' 2>&-", 2, ""),
    ],
)
def test_streams_that_the_caller_closed(scripted: ScriptedDaemon, command: str, code: int, said: str) -> None:
    scripted.answer("sync_status", mockup.listing())
    environ = {"PATH": os.environ["PATH"], "ZENDESKD_SOCKET": str(scripted.path), "HOME": str(scripted.path.parent)}
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m {command}"],
        env=environ,
        cwd=Path(ctl.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert done.stderr.startswith(said)


def test_2_an_empty_socket_is_none(zendeskctl: Zendeskctl) -> None:
    done = zendeskctl("status", "--socket", "")
    assert (done.code, "argument --socket: the path is empty" in done.err) == (2, True)


def test_usage_errors_are_json_too(zendeskctl: Zendeskctl) -> None:
    document = zendeskctl("trigger", "--json").document()
    assert document["schema"] == 1
    assert document["error"]["code"] == "usage"


def test_the_entry_point_reads_the_process_s_own_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zendeskctl", "--help"])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert ctl.main() == 0
    assert capsys.readouterr().out.startswith("examples:\n  zendeskctl\n")


def test_a_detail_cannot_move_the_cursor(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("run", 404, "not_found", mockup.HOSTILE)
    done = zendeskctl("run", "7", stdout=Stream(tty=True))
    assert "\x1b" not in done.err
    assert "\x9b" not in done.err
