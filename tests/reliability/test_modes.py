"""Every file, folder and socket that our programs make, and who may open it: whatever umask they were started with."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.pseudo_terminal import Terminal
from tests.waiting import wait_for
from zendeskd.simulator import Simulator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TABLE: Final = {
    r"state|log": 0o750,
    r"run": 0o755,  # who may is said by the socket
    r"state/zendeskd\.db(-wal|-shm)?": 0o640,  # the group may query the copy
    r"state/zendeskd\.db\.before-restore-[0-9TZ]+": 0o640,
    r"state/master\.key": 0o600,
    r"state/master\.key\.[0-9a-f]{8}": 0o600,
    r"state/zendeskd\.lock": 0o600,
    r"state/backups": 0o700,
    r"state/backups/zendeskd-[0-9TZ]+\.db": 0o600,
    r"run/control\.sock": 0o660,
    r"run/control\.sock\.lock": 0o600,
    r"log/sync-service\.log": 0o640,
    r"log/sync-service\.log\.[0-9]+": 0o640,
    r"fleet\.json": 0o640,
    r"mine/new|mine/new/zendeskd": 0o700,
    r"mine/new/zendeskd/tui\.json": 0o600,
}
"""What is made -> its mode. Nothing else is made."""

OF_THE_TEST: Final = r"stderr|mine|zendeskd\.toml"


@pytest.fixture(autouse=True)
def _wide_open() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def made_in(folder: Path) -> set[str]:
    """All that is there has the mode of the table and our owner. -> which rows of the table were seen."""
    seen, wrong = set(), []
    for path in folder.rglob("*"):
        try:
            about = path.lstat()
        except FileNotFoundError:  # a log of the database, a folder that was thrown away
            continue
        name = str(path.relative_to(folder))
        if re.fullmatch(OF_THE_TEST, name):
            continue
        row = next((row for row in TABLE if re.fullmatch(row, name)), None)
        mode = stat.S_IMODE(about.st_mode)
        if row is None or TABLE[row] != mode or about.st_uid != os.geteuid():
            wrong.append(f"{name} {mode:o} of {about.st_uid}, {'unknown' if row is None else f'{TABLE[row]:o}'}")
        seen.add(row or "")
    assert wrong == []
    return seen


def backed_up(daemon: DaemonProcess) -> Path:
    path = Path(daemon.client.backup().path)
    wait_for(path.exists, "the backup")
    return path


def carry_out(daemon: DaemonProcess, verb: str, *words: str) -> None:
    done = subprocess.run(daemon.command(verb, *words), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_whole_life(daemons: Callable[[], DaemonProcess], simulator: Simulator) -> None:
    daemon = daemons()
    settings = daemon.folder / "zendeskd.toml"
    settings.write_text('[logging]\nmax_bytes = "64 KB"\nlevel = "debug"\n')
    (daemon.folder / "mine").mkdir()
    daemon.start(f"--config={settings}")
    account = simulator.add_account("acme", tickets=200)
    daemon.add("acme", account.base_url, account.credential)
    daemon.first_run("acme")
    file = backed_up(daemon)
    while not list(daemon.log.parent.glob("*.log.1")):
        daemon.client.reload()
    ctl = [sys.executable, "-m", "zendeskd.ctl", f"--socket={daemon.socket}"]
    subprocess.run([*ctl, "org", "export", str(daemon.folder / "fleet.json")], check=True, timeout=30)
    terminal = Terminal(
        sys.executable,
        "-m",
        "zendeskd.tui.program",
        f"--socket={daemon.socket}",
        XDG_STATE_HOME=str(daemon.folder / "mine" / "new"),
    )
    try:
        terminal.until("acme")
        terminal.type("o")
        terminal.type("q")
        assert terminal.ended() == 0
    finally:
        terminal.close()
    seen = made_in(daemon.folder)
    daemon.stop()
    carry_out(daemon, "rotate-key")
    carry_out(daemon, "restore", str(file), "--yes")
    carry_out(daemon, "doctor")
    seen |= made_in(daemon.folder)
    daemon.start()
    daemon.kill()
    seen |= made_in(daemon.folder)
    assert seen == set(TABLE)


def test_folders_that_are_made_on_the_way(short_dir: Path) -> None:
    names = {name: short_dir / "far" / name / "away" / name for name in ("state", "runtime", "log")}
    folders = [f"--{name}-dir={folder}" for name, folder in names.items()]
    for verb in ("start", "stop"):
        done = subprocess.run(
            [sys.executable, "-m", "zendeskd", verb, *folders], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    modes = {str(path.relative_to(short_dir)): stat.S_IMODE(path.stat().st_mode) for path in short_dir.rglob("*")}
    assert {name: f"{mode:o}" for name, mode in modes.items() if mode & 0o027} == dict.fromkeys(
        ("far/runtime", "far/runtime/away", "far/runtime/away/runtime"), "755"
    )
    assert modes["far/log/away/log/sync-service.log"] == 0o640
