"""`zendeskd demo` as people start it, and the pictures that are made of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fixtures.pseudo_terminal import Terminal
from tests.waiting import wait_for
from zendeskd.client import Client
from zendeskd.demo.cast import FLEET

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DEMO = (sys.executable, "-m", "zendeskd", "demo")
PICTURE = Path(__file__).parents[2] / "docs" / "picture.py"


def processes_of(folder: Path) -> list[int]:
    """The ids of those whose command line names this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if str(folder) in command:
            found.append(int(process.name))
    return found


def nothing_is_left(folder: Path) -> None:
    wait_for(lambda: not processes_of(folder), f"the processes of {folder} to end")
    wait_for(lambda: not list(folder.iterdir()), f"{folder} to be empty")


def end_what_is_left(folder: Path) -> None:
    """After a test that failed: a demo that is killed cannot end its daemon."""
    for pid in processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def on_terminal(short_dir: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts the demo in a terminal; everything it makes is in `short_dir`."""
    made: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        made.append(Terminal(*DEMO, *arguments, TMPDIR=str(short_dir)))
        return made[-1]

    yield start
    for one in made:
        one.close()
    end_what_is_left(short_dir)


def by_key(terminal: Terminal) -> None:
    terminal.type("q")


def by_signal(terminal: Terminal) -> None:
    terminal.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("end", [by_key, by_signal])
def test_it_opens_the_dashboard_on_a_fleet_and_leaves_nothing(
    on_terminal: Callable[..., Terminal], short_dir: Path, end: Callable[[Terminal], None]
) -> None:
    terminal = on_terminal()
    terminal.until("connected", "blocked", "change freeze", *(player.org for player in FLEET), timeout_s=90)
    assert processes_of(short_dir)
    end(terminal)
    assert terminal.ended(60) == 0
    assert "is removed" in terminal.text
    assert "demo --no-dashboard" in terminal.text
    assert "syncing goes on" not in terminal.text
    nothing_is_left(short_dir)


def test_a_terminal_that_hangs_up_leaves_nothing(on_terminal: Callable[..., Terminal], short_dir: Path) -> None:
    terminal = on_terminal()
    terminal.until("connected", timeout_s=90)
    terminal.hang_up()
    wait_for(lambda: terminal.process.poll() is not None, "the end of the demo", 60)
    nothing_is_left(short_dir)


def test_ctrl_c_while_it_sets_up_leaves_nothing(on_terminal: Callable[..., Terminal], short_dir: Path) -> None:
    terminal = on_terminal("--no-dashboard")
    terminal.until("Setting up")
    wait_for(lambda: processes_of(short_dir), "the daemon", 30)
    terminal.type("\x03")
    assert terminal.ended(60) in {0, 130}
    nothing_is_left(short_dir)


def test_without_the_dashboard_it_says_where_to_look_and_waits(
    on_terminal: Callable[..., Terminal], short_dir: Path
) -> None:
    terminal = on_terminal("--no-dashboard")
    terminal.until("ctrl+c here ends it", "zendeskctl watch", timeout_s=90)
    assert "connected" not in terminal.text
    terminal.type("\x03")
    assert terminal.ended(60) == 0
    nothing_is_left(short_dir)


def test_without_a_terminal_it_says_so_and_the_revoked_token_can_be_mended(short_dir: Path) -> None:
    process = subprocess.Popen(
        DEMO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(short_dir)},
    )
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line.strip())
            if "ctrl+c here ends it" in line:
                break
        assert any("no terminal that it can be drawn on" in line for line in said), said
        (socket,) = [line.partition("=")[2] for line in said if line.startswith("export ZENDESKD_SOCKET=")]
        folder = Path(socket).parents[1]
        with Client(socket) as client:
            items = {item.organization_id: item for item in client.sync_status("zendesk").items}
            assert set(items) == {player.org for player in FLEET}
            assert items["globex"].state == "blocked"
            assert (items["umbrella"].state, items["umbrella"].stop_reason) == ("stopped", "change freeze")
            assert items["acme-us"].last_status is None  # its first import takes a while
            assert len(items["wonka"].recent_runs) > 4
            linked = client.tickets(org="acme-eu", limit=50).items
            assert {link.system for one in linked for link in client.links(one.id).items} >= {"jira", "slack"}
            client.set_credentials("globex", (folder / "globex.json").read_bytes())
            wait_for(lambda: client.sync_status_one("globex").last_status == "success", "globex to be mended", 60)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        nothing_is_left(short_dir)
    finally:
        process.kill()
        process.wait()
        end_what_is_left(short_dir)


def test_once_compares_every_ticket(short_dir: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--once"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, "TMPDIR": str(short_dir)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every ticket of the 8 organisations that can be read is here, byte for byte." in done.stdout
    nothing_is_left(short_dir)


def test_the_pictures_are_made_from_the_real_programs(short_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, PICTURE, tmp_path],
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
        env={**os.environ, "TMPDIR": str(short_dir)},
    )
    assert done.returncode == 0, done.stderr
    drawn = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert set(drawn) == {"dashboard.svg", "organisation.svg"}
    words = " ".join(ElementTree.fromstring(drawn["dashboard.svg"]).itertext()).split()
    assert {player.org for player in FLEET} <= set(words)
    assert {"blocked", "failing", "limited", "running", "queued", "stopped", "partial"} <= set(words)
    assert "acme-eu" in drawn["organisation.svg"]
    for svg in drawn.values():
        assert "http" not in svg.replace("http://www.w3.org/", "")
    nothing_is_left(short_dir)


def test_kill_9_takes_the_daemon_and_the_dashboard_and_the_next_demo_clears_up(
    on_terminal: Callable[..., Terminal], short_dir: Path
) -> None:
    terminal = on_terminal()
    terminal.until("connected", "globex", timeout_s=90)
    assert len(processes_of(short_dir)) >= 2
    terminal.process.kill()
    wait_for(lambda: not processes_of(short_dir), "the end of the daemon and the dashboard", 60)
    (left,) = short_dir.glob("zendeskd-demo-*")
    again = on_terminal("--no-dashboard")
    again.until("Setting up")
    wait_for(lambda: not left.exists(), "the old folder to be removed", 30)
    again.type("\x03")
    assert again.ended(60) in {0, 130}
    nothing_is_left(short_dir)


def test_a_folder_with_a_name_too_long_for_a_socket(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    environ = {**os.environ, "TMPDIR": str(long)}
    done = subprocess.run([*DEMO, "--once"], capture_output=True, text=True, timeout=200, check=False, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_folder_at_all_is_told() -> None:
    script = "import sys, tempfile; tempfile.tempdir = '/none'; from zendeskd.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "demo", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "the demo has no room for its files (No such file or directory)" in done.stderr and "TMPDIR" in done.stderr
    assert "Traceback" not in done.stderr
