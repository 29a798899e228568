"""The command line of `zendeskd`: what it prints, where, and with which exit code."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from zendeskd import __version__, cli
from zendeskd.errors import StorageError

VERBS = [
    "run",
    "start",
    "stop",
    "check",
    "configtest",
    "doctor",
    "restore",
    "rotate-key",
    "simulator",
    "demo",
    "version",
]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    structlog.reset_defaults()


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "zendeskd.toml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"zendeskd {verb.replace('configtest', 'check')}" in out


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert [verb for verb in VERBS if verb not in out] == []


@pytest.mark.parametrize("arguments", [[], ["restart"], ["stop", "--timeout", "0"], ["run", "--workers", "many"]])
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert "usage: zendeskd" in captured.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"zendeskd {__version__}\n"


def test_a_right_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "workers = 3")
    assert cli.main(["check", "--config", file]) == 0
    assert capsys.readouterr().out == f"The configuration is right: {file}.\n"


def test_every_problem_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "workers = 0\nwat = 1")
    assert cli.main(["configtest", "--config", file]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"zendeskd: {file} line 1: workers: 0 must be" in captured.err
    assert f"zendeskd: {file} line 2: wat: there is no such setting" in captured.err


def test_where_each_value_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "workers = 3")
    assert cli.main(["check", "--show", "--config", file, "--state-dir", str(tmp_path)]) == 0
    lines = [line.split("  # ") for line in capsys.readouterr().out.splitlines()]
    found = {setting.strip(): source for setting, source in lines}
    assert found["workers = 3"] == f"{file} line 1"
    assert found[f'state_dir = "{tmp_path}"'] == "command line"
    assert found['timezone = "America/New_York"'] == "default"


def test_doctor_on_a_host_where_nothing_is_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--config", written(tmp_path, ""), "--state-dir", str(tmp_path / "new")]) == 0
    assert "is not there yet" in capsys.readouterr().out


def test_stop_where_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stop", "--config", written(tmp_path, ""), "--state-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "zendeskd: not running\n"


def test_an_error_is_a_sentence_and_a_hint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> int:
        raise StorageError("The disk is full.", hint="Make room.")

    monkeypatch.setattr(cli, "_reader", fail)
    assert cli.main(["check"]) == 1
    assert capsys.readouterr().err == "zendeskd: The disk is full.\nMake room.\n"


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_reader", interrupt)
    assert cli.main(["check"]) == 130


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "zendeskd", "check", "--show"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
