"""One caller does not cost the others anything: who may not, who is slow, who floods, who sends a lot."""

from __future__ import annotations

import socket

import pytest

from tests.fixtures.control import Control, raw_http
from tests.waiting import wait_for
from zendeskd.client import ApiError
from zendeskd.connection import Limits

UNFINISHED = b"POST /api/organizations/import HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n"
SMALL_IMPORT = '{"organizations": []}'
LARGE_IMPORT = SMALL_IMPORT + " " * (2 * 1024 * 1024)


@pytest.mark.parametrize("role", ["viewer", None])
def test_the_body_of_who_may_not_is_not_waited_for(control: Control, role: str | None) -> None:
    control.role = role  # type: ignore[assignment]
    answer = raw_http(control.path, UNFINISHED + b"{")  # until it hangs up, far below the 30 s of a slow body
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"connection: close" in answer
    assert control.audit() == [("import_organizations", "", "", 403)]


def test_a_stranger_that_floods_takes_no_place_of_the_others(new_control: Control) -> None:
    new_control.start(limits=Limits(requests=4, streams=4))
    new_control.role = None
    for path in ("/api/status", "/api/events", "/api/health"):
        assert new_control.http("GET", path).status_code == 403
    stream = new_control.http("GET", "/api/events")
    assert stream.headers["connection"] == "close"
    new_control.role = "operator"
    assert new_control.http("GET", "/api/status").status_code == 200


def test_health_is_told_however_much_else_is_asked_for(new_control: Control) -> None:
    new_control.start(limits=Limits(rate_per_s=0.1, burst=3))
    codes = [new_control.http("GET", "/api/sync-logs").status_code for _ in range(6)]
    assert codes == [200, 200, 200, 429, 429, 429]
    assert new_control.http("GET", "/api/health").status_code == 200


def test_health_does_not_queue_behind_those_that_wait_for_their_turn(new_control: Control) -> None:
    new_control.start(limits=Limits(rate_per_s=1.0, burst=2, requests=4))
    assert [new_control.http("GET", "/api/sync-logs").status_code for _ in range(2)] == [200, 200]
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.settimeout(10)
        waiting.connect(str(new_control.path))
        waiting.sendall(b"GET /api/sync-logs HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_for(lambda: new_control.http("GET", "/api/sync-logs").status_code == 503, "the queue to be full")
        codes = [new_control.http("GET", "/api/health").status_code for _ in range(3)]
        assert codes == [200, 200, 200]  # the third one waits for a second, in a queue of its own
        assert waiting.recv(65536).startswith(b"HTTP/1.1 200")


def test_of_large_bodies_there_are_few_at_a_time_and_small_ones_go_on(control: Control) -> None:
    with socket.socket(socket.AF_UNIX) as slow:
        slow.settimeout(10)
        slow.connect(str(control.path))
        slow.sendall(UNFINISHED + b" " * (3 * 1024 * 1024))  # returns when nearly all of it was read
        refused = control.http("POST", "/api/organizations/import", content=LARGE_IMPORT)
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert refused.json()["detail"] == "too many large bodies at a time"
        assert control.http("POST", "/api/organizations/import", content=SMALL_IMPORT).status_code == 200
        slow.sendall(b" " * (8_000_000 - 3 * 1024 * 1024))
        assert slow.recv(65536).startswith(b"HTTP/1.1 422")
    assert control.http("POST", "/api/organizations/import", content=LARGE_IMPORT).status_code == 200


def rows(control: Control) -> int:
    return len(control.store.audit.list(10_000))


def test_a_flood_of_refused_calls_does_not_fill_the_audit_log(new_control: Control) -> None:
    new_control.start(limits=Limits(burst=1_000_000))
    new_control.role = "viewer"
    client = new_control.client()
    for number in range(300):
        with pytest.raises(ApiError, match="may look but not change"):
            client.remove_organization(f"org-{number}")
    assert 100 <= rows(new_control) <= 115  # one more for each ten seconds that it took


def test_a_flood_of_triggers_that_join_does_not_fill_it_and_every_change_is_in_it(new_control: Control) -> None:
    new_control.start(limits=Limits(burst=1_000_000))
    new_control.add()
    new_control.hold()
    client = new_control.client()
    assert not client.trigger("acme").joined
    assert {client.trigger("acme").joined for _ in range(250)} == {True}
    assert 100 <= rows(new_control) <= 115
    before = rows(new_control)
    for _ in range(20):
        assert client.start("acme").changed
        assert client.stop("acme").changed
    assert [operation for operation, *_ in new_control.audit()[:40]] == ["stop", "start"] * 20
    assert rows(new_control) == before + 40
