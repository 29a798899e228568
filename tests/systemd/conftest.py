"""The server of a test, and how long a test that has one may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.image import Missing
from tests.systemd.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """zendeskd put on a new machine by the commands of docs/operate.md, with ana in its group and bob outside."""
    try:
        one = Server(tmp_path)
    except Missing as reason:
        pytest.skip(f"no machine with a systemd of its own: {reason}")
    try:
        one.paste("Install on a server")
        yield one
    finally:
        one.close()
