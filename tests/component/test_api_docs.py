"""docs/api.md: every example is run with the real curl, and every operation is in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.control import Control
from tests.waiting import wait_for
from zendeskd.operations import OPERATIONS, Operation

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")

EXAMPLES = re.findall(r"```sh\n(.*?)```\n\nAnswers ([^\n]*)\n(?:\n```json\n(.*?)```)?", PAGE, re.DOTALL)
"""The commands, the line that says with which status they answer, and the JSON that is shown."""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_is_described(operation: Operation) -> None:
    assert f"`{operation.method} {operation.path}`" in PAGE


def test_every_command_is_described_and_every_example_says_what_it_answers() -> None:
    for action in ("trigger", "start", "stop", "update-interval", "cancel", "resync"):
        assert f'"action": "{action}"' in PAGE
    assert len(EXAMPLES) == PAGE.count("```sh\n")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_example_runs_with_curl_and_answers_as_it_says(control: Control, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(tmp_path), "SOCKET": str(control.path)}
    for script, statuses, shown in EXAMPLES:
        done = subprocess.run(
            ["/bin/sh", "-c", script], check=False, capture_output=True, text=True, timeout=30, env=environment
        )
        body, _, status = done.stdout.rpartition("\n")
        assert status in re.findall(r"`(\d\d\d)`", statuses), f"{script}{done.stdout}{done.stderr}"
        first = json.loads(body.splitlines()[0])
        if shown:
            assert missing(json.loads(shown), first) == [], f"{script} answered {body}"
        wait_for(lambda: not control.jobs.busy() and not control.jobs.queue_length(), "the runs to end")


def missing(shown: object, given: object, path: str = "") -> list[str]:
    """Keys of the example that the answer does not have."""
    if isinstance(shown, dict) and isinstance(given, dict):
        found = [f"{path}.{key}" for key in shown if key not in given]
        for key in shown.keys() & given.keys():
            found += missing(shown[key], given[key], f"{path}.{key}")
        return found
    if isinstance(shown, list) and isinstance(given, list) and shown:
        return missing(shown[0], given[0], f"{path}[0]") if given else [f"{path}[0]"]
    return []
