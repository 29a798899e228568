"""Folders that are gone with their program, or with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zendeskd.throwaway import HELD, Throwaway, sweep

PREFIX = "zendeskd-x-"
KILLED = "import os, sys; from zendeskd.throwaway import Throwaway; Throwaway(*sys.argv[1:]); os.kill(os.getpid(), 9)"


def killed(tmp_path: Path) -> Path:
    """The folder of a program that was killed."""
    subprocess.run([sys.executable, "-c", KILLED, PREFIX, str(tmp_path)], timeout=30, check=False)
    (left,) = tmp_path.glob(f"{PREFIX}*")
    (left / "more").mkdir()
    (left / "more" / "s").touch()
    return left


def test_it_is_the_caller_s_alone_and_goes(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        one = Throwaway(PREFIX, str(tmp_path))
    finally:
        os.umask(before)
    assert one.path.stat().st_mode & 0o777 == 0o700
    one.remove()
    one.remove()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_program_left_goes_with_the_next_and_nothing_else(tmp_path: Path) -> None:
    left, living = killed(tmp_path), Throwaway(PREFIX, str(tmp_path))
    assert not left.exists()
    foreign = tmp_path / f"{PREFIX}without-a-lock"
    foreign.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / HELD).touch()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}pipe").mkdir()
    os.mkfifo(tmp_path / f"{PREFIX}pipe" / HELD)
    Throwaway(PREFIX, str(tmp_path)).remove()
    assert living.path.exists() and foreign.exists() and (elsewhere / HELD).exists()
    living.remove()


def test_what_belongs_to_somebody_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: left.stat().st_uid + 1)
    sweep(PREFIX, str(tmp_path))
    assert left.exists()


def test_where_there_is_no_folder_to_sweep_nothing_happens(tmp_path: Path) -> None:
    sweep(PREFIX, str(tmp_path / "none"))
    with pytest.raises(OSError, match="none"):
        Throwaway(PREFIX, str(tmp_path / "none"))
