"""What every test gets: a clean environment, UTC, and a folder short enough for a socket path."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.fixtures.simulated", "tests.fixtures.daemons", "tests.fixtures.stores"]

_OURS = ("ZENDESKD_", "XDG_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY")
_OURS += ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith(_OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's 107 bytes, which tmp_path may not."""
    path = Path(tempfile.mkdtemp(prefix="zd-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
