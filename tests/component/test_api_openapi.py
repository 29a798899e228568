"""The API's description of itself. That every answer is as it says is looked at in every test on a control socket."""

from __future__ import annotations

import json
import re
import socket

import pytest

from tests.fixtures.control import Control, raw_http
from tests.fixtures.described import DOCUMENT, SCHEMAS, misfits
from tests.fixtures.shapes import problems
from tests.waiting import wait_for
from zendeskd import __version__
from zendeskd.api.app import ENDPOINTS
from zendeskd.operations import OPERATIONS, Operation

OPERATION_KEYS = {"operationId", "summary", "x-operations", "x-changes", "parameters", "requestBody", "responses"}


def described(one: Operation) -> dict[str, object]:
    found: dict[str, object] = DOCUMENT["paths"][one.path][one.method.lower()]
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_is_described(operation: Operation) -> None:
    about = described(operation)
    assert operation.name in about["x-operations"]  # type: ignore[operator]
    assert about["x-changes"] == operation.changes
    assert about.keys() <= OPERATION_KEYS


def test_nothing_else_is_described() -> None:
    calls = [(path, method, about) for path, each in DOCUMENT["paths"].items() for method, about in each.items()]
    names = [name for _, _, about in calls for name in about["x-operations"]]
    assert sorted(names) == sorted(one.name for one in OPERATIONS)
    ids = [about["operationId"] for _, _, about in calls]
    assert len(set(ids)) == len(ids)
    for path, _, about in calls:
        placeholders = [one["name"] for one in about["parameters"] if one["in"] == "path"]
        assert placeholders == re.findall(r"\{(\w+)\}", path)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.operations[0])
def test_every_endpoint_says_what_it_gives_and_takes(endpoint) -> None:  # type: ignore[no-untyped-def]
    assert endpoint.replies, "the shapes of its answers"
    about = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
    assert {str(status) for status in endpoint.replies} <= about["responses"].keys()
    asked = {one["name"] for one in about["parameters"] if one["in"] == "query"}
    assert asked == {*endpoint.query, *(("limit",) if endpoint.page else ())}
    takes_none = endpoint.method in {"GET", "DELETE"} or endpoint.operations[0] in {
        "backup",
        "reload",
        "check_credentials",
    }
    assert ("requestBody" in about) != takes_none


def test_every_reference_leads_somewhere_and_no_shape_is_left_over() -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert used == set(SCHEMAS)


def test_it_is_what_the_daemon_serves(standing: Control) -> None:
    reply = standing.http("GET", "/api/openapi.json")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == DOCUMENT == standing.client().openapi()
    assert reply.json()["info"]["version"] == __version__


def test_an_answer_that_is_not_as_described_is_noticed() -> None:
    problem = (
        b'{"type":"about:blank","title":"","status":404,"code":"c","detail":"d","hint":"","field":"","problems":[]}'
    )
    kinds = "application/json", "application/problem+json"
    assert misfits("GET", "/api/sync-logs/1", 404, kinds[1], problem) == []
    assert misfits("GET", "/api/nope/none", 404, kinds[1], problem) == []
    for wrong in (
        misfits("GET", "/api/sync-logs/1", 404, kinds[0], problem),
        misfits("GET", "/api/sync-logs/1", 418, kinds[1], problem),
        misfits("GET", "/api/sync-logs/1", 200, kinds[0], problem),
        misfits("GET", "/api/sync-logs/1", 404, kinds[1], problem.replace(b'"code":"c"', b'"code":""')),
        misfits("GET", "/api/sync-logs/1", 404, kinds[1], problem.replace(b'"code":"c",', b"")),
        misfits("GET", "/api/nope/none", 200, kinds[0], b"{}"),
    ):
        assert wrong


def test_the_secrets_of_credentials_are_described_as_such() -> None:
    for kind in ("ApiToken", "Bearer", "OAuthClientCredentials", "OAuthRefreshToken"):
        secrets = [name for name, one in SCHEMAS[kind]["properties"].items() if one.get("writeOnly")]
        assert secrets, kind


def test_each_line_of_the_stream_is_an_event_as_described(control: Control) -> None:
    control.add()
    about = DOCUMENT["paths"]["/api/events"]["get"]["responses"]["200"]["content"]["application/x-ndjson"]
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(control.path))
        caller.sendall(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_for(lambda: control.broker.streams == 1, "the stream")
        control.ended(control.client().trigger("acme").run_id)
        control.broker.publish("log", log={"event": "x"})
        control.broker.publish("daemon", message="last one")
        told = b""
        while b"last one" not in told:
            told += caller.recv(65536)
    events = [json.loads(line) for line in told.splitlines() if line.startswith(b"{")]
    assert {one["event"] for one in events} >= {"hello", "run", "integration", "log", "daemon"}
    for one in events:
        assert problems(one, about["x-line"], SCHEMAS) == []


def test_another_method_is_told_which_there_are_also_where_a_system_would_fit(standing: Control) -> None:
    for method, path, allowed in (
        ("GET", "/api/backup", "POST"),
        ("GET", "/api/organizations/import", "POST"),
        ("POST", "/api/status", "GET, HEAD"),
        ("DELETE", "/api/reconcile", "GET, HEAD, POST"),
        ("POST", "/api/events", "GET, HEAD"),
        ("TRACE", "/api/organizations/acme", "DELETE, GET, HEAD, PATCH"),
    ):
        reply = standing.http(method, path)
        assert (reply.status_code, reply.headers["allow"]) == (405, allowed), path
        assert reply.json()["hint"] == f"it takes {allowed}"


def test_a_header_host_of_nonsense_changes_nothing(standing: Control) -> None:
    for host in (b"[", b"a b", b"x/../../y", b"\xff"):
        answer = raw_http(standing.path, b"GET /nope HTTP/1.1\r\nhost: " + host + b"\r\nconnection: close\r\n\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "there is no GET /nope"
