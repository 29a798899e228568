"""Logs: what is written where, what is kept out of it, and what happens when it cannot be written."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from zendeskd import log_reading, logs
from zendeskd.config import Config, load
from zendeskd.log_reading import Wanted
from zendeskd.models import Secret, parse_stamp
from zendeskd.redact import LONGEST, clean, clean_text

log = structlog.get_logger("zendeskd.test")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load({"state_dir": tmp_path, "log_dir": tmp_path}, {}, files=())


@pytest.fixture
def started(config: Config) -> Iterator[Callable[..., logs.Logs]]:
    """Starts logging, ends it after the test."""
    open_ones: list[logs.Logs] = []

    def start(**changes: Any) -> logs.Logs:
        settings = {k: changes.pop(k) for k in list(changes) if hasattr(config, k)}
        opened = logs.setup(replace(config, **settings), foreground="stderr" in changes, **changes)
        open_ones.append(opened)
        return opened

    yield start
    for one in open_ones:
        one.close()
    structlog.reset_defaults()


def in_file(config: Config) -> list[dict[str, Any]]:
    return [json.loads(line) for line in config.log_file.read_text().splitlines()]


def test_one_json_line_a_fact(config: Config, started: Callable[..., logs.Logs]) -> None:
    started()
    log.bind(run=7, org="acme").info("page stored", page=3, new=4, after=datetime(2026, 11, 23, tzinfo=UTC))
    (line,) = in_file(config)
    assert list(line)[:6] == ["at", "level", "event", "org", "run", "page"]
    assert (line["event"], line["level"], line["new"], line["logger"]) == ("page stored", "info", 4, "zendeskd.test")
    assert line["after"] == "2026-11-23T00:00:00.000Z"
    moment = parse_stamp(line["at"])
    assert moment is not None
    assert abs((moment - datetime.now(UTC)).total_seconds()) < 60


def test_the_sink_and_the_file_tell_the_same_line_and_the_file_can_be_read_back(
    config: Config, started: Callable[..., logs.Logs]
) -> None:
    """A dashboard knows a line again by this: it comes once by the stream and once from the file."""
    told: list[dict[str, Any]] = []
    started(sink=lambda line: told.append(json.loads(json.dumps(line))), logging_max_bytes=4000)
    for number in range(60):
        log.bind(run=number % 3, org="acme").warning("request failed", reason="ünï \x1b[31m", wait_s=0.5, n=number)
    logging.getLogger("uvicorn").error("of a library")
    found = log_reading.read(config.log_file, Wanted(), limit=1000).lines[::-1]
    assert len(list(config.log_dir.glob("*.log.*"))) > 1, "it was rotated on the way"
    assert found == told
    begun = parse_stamp(told[0]["at"])
    some = log_reading.read(config.log_file, Wanted(run=2, level="warning", since=begun), limit=1000)
    assert [line["n"] for line in some.lines] == list(range(59, 0, -3))


def test_what_libraries_log_comes_out_the_same_way(config: Config, started: Callable[..., logs.Logs]) -> None:
    started()
    logging.getLogger("uvicorn.error").warning("%d connections", 3)
    logging.getLogger("httpx").info("HTTP Request: GET https://acme.zendesk.com/")
    (line,) = in_file(config)
    assert (line["event"], line["level"], line["logger"]) == ("3 connections", "warning", "uvicorn.error")


def test_a_traceback_is_text_without_the_values_of_variables(config: Config, started: Callable[..., logs.Logs]) -> None:
    started()
    hidden = "-".join(["only", "a", "local"])
    try:
        raise ValueError(len(hidden))
    except ValueError:
        log.exception("it broke")
    (line,) = in_file(config)
    assert line["level"] == "error"
    assert "ValueError: 12" in line["exception"]
    assert "only-a-local" not in json.dumps(line)


def test_a_thread_that_crashes_is_logged(config: Config, started: Callable[..., logs.Logs]) -> None:
    started()
    thread = threading.Thread(target=lambda: {}[0], name="scheduler")
    thread.start()
    thread.join()
    (line,) = in_file(config)
    assert (line["level"], line["thread"]) == ("critical", "scheduler")
    assert "KeyError" in line["exception"]


def test_level_is_followed_and_can_be_changed(config: Config, started: Callable[..., logs.Logs]) -> None:
    running = started(logging_level="warning")
    log.info("before")
    running.set_level("debug")
    log.debug("after")
    assert [line["event"] for line in in_file(config)] == ["after"]


def test_closing_gives_everything_back(config: Config, started: Callable[..., logs.Logs]) -> None:
    before = (logging.getLogger().handlers, logging.getLogger().level, threading.excepthook)
    before = (list(before[0]), *before[1:])
    started().close()
    assert (logging.getLogger().handlers, logging.getLogger().level, threading.excepthook) == before


# --- standard error ---------------------------------------------------------------------------------------------------


def test_a_person_reads_words(config: Config, started: Callable[..., logs.Logs]) -> None:
    terminal = Terminal()
    started(stderr=terminal)
    log.info("page stored", org="acme", title="a\x1b[31mred\x07")
    text = terminal.getvalue()
    assert "page stored" in text
    assert "acme" in text
    assert "\x1b[31mred" not in text, "a ticket's title must not colour the terminal"
    assert "\x07" not in text


def test_a_collector_reads_json(started: Callable[..., logs.Logs]) -> None:
    pipe = io.StringIO()
    started(stderr=pipe)
    log.warning("late", org="acme")
    assert json.loads(pipe.getvalue())["event"] == "late"


def test_the_journal_gets_priorities(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: Callable[..., logs.Logs]
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        started(stderr=journal)
        log.info("page stored", org="acme", why="two words", empty="", quoted='a"b', n=3)
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            log.exception("it broke", title="a\nb")
        lines = (tmp_path / "journal").read_text().splitlines()
    assert lines[0] == '<6>page stored org=acme why="two words" empty="" quoted="a\\"b" n=3'
    assert lines[1] == '<3>it broke title="a b"'
    assert {line[:3] for line in lines[1:]} == {"<3>"}
    assert lines[-1] == "<3>second"


def test_a_reader_that_went_away_ends_nothing(config: Config, started: Callable[..., logs.Logs]) -> None:
    started(stderr=Gone())
    log.info("page stored")
    assert [line["event"] for line in in_file(config)] == ["page stored"]


# --- the sink ---------------------------------------------------------------------------------------------------------


def test_the_sink_gets_plain_data_from_info_on(started: Callable[..., logs.Logs]) -> None:
    got: list[Any] = []
    started(sink=got.append, logging_level="debug")
    log.debug("page read")
    log.info("page stored", cursor=Secret("hidden"), path=Path("/x"))
    logging.getLogger("uvicorn.error").error("down")
    assert [line["event"] for line in got] == ["page stored", "down"]
    assert (got[0]["cursor"], got[0]["path"]) == ("***", "/x")
    json.dumps(got)


def test_a_sink_that_logs_or_fails_ends_nothing(config: Config, started: Callable[..., logs.Logs]) -> None:
    def sink(line: object) -> None:
        log.warning("subscriber is slow")
        raise RuntimeError("no")

    started(sink=sink)
    log.info("page stored")
    assert [line["event"] for line in in_file(config)] == ["page stored", "subscriber is slow"]


# --- the file ---------------------------------------------------------------------------------------------------------


def test_it_is_rotated_by_size_and_keeps_so_many(config: Config, started: Callable[..., logs.Logs]) -> None:
    started(logging_max_bytes=500, logging_keep=2)
    for number in range(40):
        log.info("page stored", page=number)
    files = sorted(path.name for path in config.log_dir.glob("sync-service.log*"))
    assert files == ["sync-service.log", "sync-service.log.1", "sync-service.log.2"]
    assert in_file(config)[-1]["page"] == 39


def test_its_group_may_read_it(config: Config, started: Callable[..., logs.Logs]) -> None:
    started()
    log.info("ready")
    assert config.log_file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_logrotate_took_away_is_begun_anew(config: Config, started: Callable[..., logs.Logs]) -> None:
    started()
    log.info("before")
    config.log_file.rename(config.log_dir / "sync-service.log-20261123")
    log.info("after")
    assert [line["event"] for line in in_file(config)] == ["after"]


def test_a_line_that_was_cut_off_does_not_spoil_the_next(config: Config, started: Callable[..., logs.Logs]) -> None:
    config.log_file.write_text('{"event":"cut o')
    started()
    log.info("ready")
    last = config.log_file.read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "ready"


def test_a_log_that_cannot_be_written_is_said_once_and_comes_back(
    config: Config, started: Callable[..., logs.Logs], capsys: pytest.CaptureFixture[str]
) -> None:
    config.log_file.mkdir()
    running = started()
    log.info("one")
    log.info("two")
    assert running.trouble == "Is a directory"
    assert capsys.readouterr().err.count("cannot be written: Is a directory; going on without it") == 1
    config.log_file.rmdir()
    log.info("three")
    assert [line["event"] for line in in_file(config)] == [
        "three",
        "the log file is written again, 2 lines are missing in it",
    ]
    assert running.trouble is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this host has no /dev/full")
def test_a_full_disk_ends_nothing(config: Config, started: Callable[..., logs.Logs]) -> None:
    config.log_file.symlink_to("/dev/full")
    running = started()
    log.info("page stored")
    assert running.trouble == "No space left on device"


def test_a_folder_in_which_nothing_can_be_renamed_makes_one_long_file(
    monkeypatch: pytest.MonkeyPatch, config: Config, started: Callable[..., logs.Logs]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    started(logging_max_bytes=200)
    monkeypatch.setattr(os, "rename", refuse)
    for number in range(10):
        log.info("page stored", page=number)
    assert [line["page"] for line in in_file(config)] == list(range(10))


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"token": "s3cret-value"}, {"token": "***"}),
        ({"clientSecret": "s3cret-value"}, {"clientSecret": "***"}),
        ({"refresh_token": "s3cret-value", "tokens": 3}, {"refresh_token": "***", "tokens": 3}),
        ({"headers": {"Authorization": "Basic x"}}, {"headers": {"Authorization": "***"}}),
        ({"a": [{"password": "s3cret-value"}]}, {"a": [{"password": "***"}]}),
        ({"kind": "api_token"}, {"kind": "api_token"}),
        (Secret("s3cret-value"), "***"),
        ((1, None, True, 2.5), [1, None, True, 2.5]),
        (b"s3cret", "s3cret"),
    ],
)
def test_values_by_their_keys(given: object, kept: object) -> None:
    assert clean(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Authorization: Bearer eyJhbGciOi.J9-_x", "Authorization: Bearer ***"),
        ("sent Basic YW5hOnRva2Vu==", "sent Basic ***"),
        ('{"access_token":"abcdef","x":1}', '{"access_token":"***","x":1}'),
        ("POST /oauth/tokens?client_secret=abcdef&a=1", "POST /oauth/tokens?client_secret=***&a=1"),
        ("https://ana:pw@acme.zendesk.com/x", "https://***@acme.zendesk.com/x"),
        ("password = 'hunter22'", "password = '***'"),
        ("the token was rejected", "the token was rejected"),
        ("basic plan", "basic plan"),
    ],
)
def test_text_by_its_looks(given: str, kept: str) -> None:
    assert clean_text(given) == kept


def test_a_value_is_not_longer_than_a_person_reads() -> None:
    assert len(clean_text("x" * 1_000_000)) < LONGEST + 50


def test_what_cannot_be_shown_costs_no_line() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    nested: dict[str, Any] = {}
    nested["self"] = nested
    assert clean(Broken()) == "<Broken>"
    json.dumps(clean(nested))


def test_short_commands_log_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    logs.quiet()
    try:
        log.error("not for the screen")
    finally:
        root.handlers[:] = before
        structlog.reset_defaults()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
