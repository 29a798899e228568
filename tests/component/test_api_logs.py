"""The daemon's log, read back over the control socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import page
from tests.fixtures.control import Control
from zendeskd.client import ApiError, Client
from zendeskd.errors import NetworkError, StorageError
from zendeskd.log_reading import Found
from zendeskd.models import Quarantined, stamp, utcnow

NOW = utcnow()


def line(event: str, ago_s: float = 0, level: str = "info", **more: Any) -> str:
    at = stamp(NOW - timedelta(seconds=ago_s))
    return json.dumps({"at": at, "level": level, "event": event, **more}, separators=(",", ":")) + "\n"


def log_file(control: Control) -> Path:
    return control.context.facts.log_file


@pytest.fixture
def asked(control: Control) -> Iterator[Client]:
    log_file(control).write_text(
        line("ready", 7200, version="1.0.0")
        + line("old", 7000, org="acme", run=1)
        + line("debugging", 900, "debug", org="acme")
        + line("retry", 800, "warning", org="acme", run=7, reason="HTTP 502, try 2 of 5")
        + line("down", 700, "error", org="hooli", run=8)
        + line("up", 600, org="hooli", text="\x1b[31m [bold]")
        + "half a li"
    )
    control.add("acme")
    control.add("hooli")
    yield control.client()


def told(client: Client, *orgs: str, **options: Any) -> list[str]:
    return [each["event"] for each in client.logs(orgs, **options).items]


def test_newest_first_as_they_are_in_the_file(control: Control, asked: Client) -> None:
    reply = asked.logs()
    assert [each["event"] for each in reply.items] == ["up", "down", "retry", "old", "ready"]
    assert (reply.next, reply.complete, reply.hint) == (None, True, "")
    assert reply.file == str(log_file(control))
    assert reply.items[0]["text"] == "\x1b[31m [bold]"


def test_they_are_narrowed(asked: Client) -> None:
    assert told(asked, "acme") == ["retry", "old"]
    assert told(asked, "acme", "hooli") == ["up", "down", "retry", "old"]
    assert told(asked, "acme", level="debug") == ["retry", "debugging", "old"]
    assert told(asked, level="warn") == ["down", "retry"]
    assert told(asked, run=8) == ["down"]
    assert told(asked, since="1h") == ["up", "down", "retry"]
    assert told(asked, since=stamp(NOW - timedelta(seconds=750))) == ["up", "down"]
    assert told(asked, until=stamp(NOW - timedelta(seconds=750))) == ["retry", "old", "ready"]


def test_page_after_page(asked: Client) -> None:
    first = asked.logs(limit=2)
    assert [each["event"] for each in first.items] == ["up", "down"]
    assert told(asked, limit=9, after=first.next) == ["retry", "old", "ready"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("limit=1001", "from 1 to 1000"),
        ("level=loud", "level: 'loud' is not known"),
        ("run=x", "run: 'x'"),
        ("after=../../etc/passwd", "is not from here"),
        ("since=yesterday", "since:"),
        ("until=1h", "until:"),
        ("org=acme", "not known here"),
    ],
)
def test_what_is_wrong_is_named(control: Control, parameters: str, said: str) -> None:
    reply = control.http("GET", f"/api/logs?{parameters}")
    assert reply.status_code == 422, reply.text
    assert said in reply.json()["detail"]


def test_no_log_file_is_no_error_and_says_why(control: Control) -> None:
    reply = control.client().logs()
    assert (reply.items, reply.complete) == ([], True)
    assert "there is no log file" in reply.hint
    assert "journalctl" in reply.hint


def test_a_folder_in_its_place_is_a_problem_not_a_bug(control: Control) -> None:
    log_file(control).mkdir()
    with pytest.raises(ApiError) as refused:
        control.client().logs()
    assert (refused.value.status, refused.value.problem.code) == (503, "log_unreadable")
    assert "it is not a file" in refused.value.detail


def test_a_name_that_is_not_there_is_told_unless_there_are_lines_of_it(control: Control, asked: Client) -> None:
    with log_file(control).open("a") as file:
        file.write("\n" + line("removed", org="gone"))
    assert told(asked, "gone") == ["removed"]
    with pytest.raises(ApiError) as refused:
        asked.logs(["acmee"])
    assert refused.value.status == 404
    assert "acme" in refused.value.hint


def test_the_log_is_told_while_the_database_is_in_trouble(
    control: Control, asked: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise StorageError("disk I/O error")

    monkeypatch.setattr(type(control.store.runs), "get", broken)
    monkeypatch.setattr(type(control.store.fleet), "organization", broken)
    assert told(asked, run=8) == ["down"]
    assert told(asked, "nobody") == []


def test_a_run_is_looked_for_between_its_asking_and_its_end(control: Control) -> None:
    control.add()
    run = control.ended(control.client().trigger("acme").run_id)
    began, ended = (datetime.fromisoformat(at or "") for at in (run.queued_at, run.synced_at))

    def at(when: datetime, event: str) -> str:
        return json.dumps({"at": stamp(when), "level": "info", "event": event, "run": run.id}) + "\n"

    log_file(control).write_text(
        at(began - timedelta(hours=3), "of a database before")
        + at(began, "run began")
        + at(ended, "run ended")
        + at(ended + timedelta(hours=3), "of a database after")
    )
    assert told(control.client(), run=run.id) == ["run ended", "run began"]


def test_logs_that_are_read_for_long_hold_up_no_other_request(
    control: Control, asked: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the threads that answer what asks the database."""
    wait, inside = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> Found:
        inside.set()
        assert wait.wait(20)
        return Found()

    monkeypatch.setattr("zendeskd.log_reading.read", slow)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(control.http, "GET", "/api/logs") for _ in range(8)]
        try:
            assert inside.wait(20)
            assert asked.status().version
        finally:
            wait.set()
        assert [one.result(20).status_code for one in waiting] == [200] * 8


def test_viewers_may_read_it(control: Control, asked: Client) -> None:
    control.role = "viewer"
    assert told(asked, run=8) == ["down"]


def test_a_run_tells_what_it_set_aside_and_the_request_that_failed(control: Control) -> None:
    bad = page(1, end=True)
    bad.quarantined = [Quarantined(raw="{", reason=f"bad date {n}", external_id=str(900 + n)) for n in range(120)]
    failing = NetworkError("acme ended the connection.", request_id="zd-77")
    control.script([bad], [failing])
    control.add()
    first = control.ended(control.client().trigger("acme").run_id)
    assert first.records_failed == 120
    assert len(first.skipped) == 100
    assert (first.skipped[0].external_id, first.skipped[0].reason) == ("900", "bad date 0")
    second = control.ended(control.client().trigger("acme").run_id)
    assert (second.status, second.request_id, second.skipped) == ("failed", "zd-77", [])
