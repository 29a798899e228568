"""zendeskd.service, as systemd itself reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "zendeskd.service"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="this host has no systemd-analyze: apt-get install systemd"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def setting(name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found, f"no {name}"
    return found[-1]


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    program = tmp_path / "zendeskd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "zendeskd.service"
    unit.write_text(UNIT.read_text().replace(setting("ExecStart"), f"{program} run"))
    done = analyze("verify", "--man=no", str(unit))
    ours = [line for line in done.stderr.splitlines() if "zendeskd" in line]
    assert (done.returncode, ours) == (0, [])


@needs_systemd
def test_what_a_break_in_could_reach_is_little() -> None:
    done = analyze("security", "--offline=yes", str(UNIT))
    match = re.search(r"Overall exposure level for zendeskd.service: ([\d.]+)", done.stdout)
    assert match is not None, done.stdout + done.stderr
    assert float(match[1]) <= 1.5


def test_it_starts_without_anything_prepared() -> None:
    """A key file that must be there first would keep the first start from working: docs/operate.md has a drop-in."""
    assert "LoadCredential" not in UNIT.read_text()
    for directory in ("StateDirectory", "RuntimeDirectory", "LogsDirectory", "ConfigurationDirectory"):
        assert setting(directory) == "zendeskd"


def test_callers_of_the_socket_keep_their_names() -> None:
    """In a user namespace every caller looks like "nobody" to SO_PEERCRED."""
    assert not re.search(r"^PrivateUsers=", UNIT.read_text(), re.MULTILINE)


def test_a_wrong_configuration_is_not_tried_again_and_again() -> None:
    from zendeskd import cli

    assert str(cli.USAGE) in setting("RestartPreventExitStatus").split()


def test_it_waits_longer_than_the_daemon_drains() -> None:
    """The longest that each part is waited for, one after the other; what it saves of a deleted database comes on top,
    and asks for that time itself."""
    from zendeskd import assembly, control_socket, daemon, db

    scheduler_s, control_s = 5, control_socket.GRACE_S + 5
    longest = daemon.DRAIN_S + scheduler_s + control_s + db._BUSY_S
    longest += assembly._BACKUP_ENDS_WITHIN_S + assembly._CHORE_ENDS_WITHIN_S + assembly._RENEWED_WITHIN_S
    assert float(setting("TimeoutStopSec").removesuffix("s")) > longest + 20


def test_every_thread_that_it_may_start_fits() -> None:
    from zendeskd.api import app
    from zendeskd.runs import workers
    from zendeskd.settings import SETTINGS

    most = SETTINGS["workers"].parse(64)
    with pytest.raises(ValueError, match="from 1 to 64"):
        SETTINGS["workers"].parse(65)
    running = (most + workers.SPARES_MOST) * 3  # with one that fetches and one that asks ahead
    ending = most * 2  # those whose run is over, and which hang up
    beside = app.THREADS + app.SLOW_THREADS + app.LOG_THREADS + len(("main", "scheduler", "control", "time", "backup"))
    assert int(setting("TasksMax")) >= running + ending + beside
    assert int(setting("LimitNOFILE")) >= (running + ending) * 8  # a connection, and the database with its log


def test_each_setting_stands_once() -> None:
    names = re.findall(r"^(\w+)=", UNIT.read_text(), re.MULTILINE)
    assert [name for name, count in Counter(names).items() if count > 1] == ["SystemCallFilter"]  # a list in parts


def test_an_upgrade_may_take_as_long_as_it_takes() -> None:
    """The database is copied before it is changed: 30 GB take minutes, and killed half-way it would begin anew."""
    assert setting("TimeoutStartSec") == "infinity"


def test_each_setting_has_its_reason_above_it() -> None:
    """One comment for at most three lines of a kind."""
    bare, covered = [], 3
    for line in UNIT.read_text().splitlines():
        if line.startswith("#"):
            covered = 0
        elif "=" in line:
            covered += 1
            if covered > 3:
                bare.append(line)
        else:
            covered = 3
    assert bare == []
