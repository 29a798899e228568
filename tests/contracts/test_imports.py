"""Who may import whom: the rules in pyproject.toml, and what is really loaded when a program starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAEMON_ONLY = {"peewee", "playhouse", "schedule", "structlog", "starlette", "uvicorn", "cryptography", "daemon"}


def loaded_by(module: str) -> set[str]:
    """The top-level names that importing `module` in a fresh process brings in."""
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_the_rules_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["zendeskd.ctl", "zendeskd.client", "zendeskd.present"])
def test_front_ends_load_nothing_of_the_daemon(module: str) -> None:
    assert not loaded_by(module) & {*DAEMON_ONLY, "sqlite3", "textual"}


@pytest.mark.parametrize("module", ["zendeskd.daemon", "zendeskd.ctl", "zendeskd.cli"])
def test_nobody_but_the_dashboard_loads_textual(module: str) -> None:
    assert "textual" not in loaded_by(module)


def test_the_command_line_loads_a_verbs_needs_with_the_verb() -> None:
    assert not loaded_by("zendeskd.cli") & {*DAEMON_ONLY, "httpx", "msgspec", "sqlite3"}


def test_runs_know_neither_database_nor_network() -> None:
    assert not loaded_by("zendeskd.jobs") & {"peewee", "sqlite3", "httpx", "starlette", "uvicorn", "cryptography"}


def test_finding_the_socket_costs_the_standard_library_alone() -> None:
    assert not loaded_by("zendeskd.paths") & {*DAEMON_ONLY, "httpx", "msgspec", "tomllib", "asyncio"}
