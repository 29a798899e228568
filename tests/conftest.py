"""What every test gets: a clean environment, UTC, and a folder short enough for a socket path."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = [  # one that another imports comes before it
    "tests.fixtures.scripted",
    "tests.fixtures.commandline",
    "tests.fixtures.control",
    "tests.fixtures.daemons",
    "tests.fixtures.fleets",
    "tests.fixtures.simulated",
    "tests.fixtures.sshd",
    "tests.fixtures.stores",
]

# a busy machine is slow at drawing examples, which says nothing about the code
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")

# started in the background or by nohup these are ignored, and so they would be in every program that a test starts
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

_OURS = ("ZENDESKD_", "XDG_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY")
_OURS += ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Programs that are called in this process set up logging for themselves."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    yield
    structlog.reset_defaults()
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's 107 bytes, which tmp_path may not."""
    path = Path(tempfile.mkdtemp(prefix="zd-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
