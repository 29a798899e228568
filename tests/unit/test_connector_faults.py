"""Status and error body -> the error an operator reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zendeskd.connectors.faults import (
    Answer,
    GatewayTimeout,
    Limited,
    NoAccount,
    Redirected,
    Rejected,
    Slow,
    TooLarge,
    Unauthorized,
    error_words,
    fault_of,
    is_slow,
    is_transient,
)
from zendeskd.errors import BadResponse, NetworkError, PermissionDenied, ServerError
from zendeskd.models import Secret

BODIES = json.loads((Path(__file__).parent.parent / "data" / "zendesk-error-bodies.json").read_bytes())


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers=headers, body=data, host="acme.zendesk.com")


@pytest.mark.parametrize("known", BODIES, ids=lambda known: f"{known['status']} {known['when'][:40]}")
def test_every_known_error_body_becomes_its_error(known: dict[str, object]) -> None:
    status = int(str(known["status"]))
    fault = fault_of(answer(status, known["body"]))
    expected = {
        200: type(None),
        400: Rejected,
        401: Unauthorized,
        403: PermissionDenied,
        404: NoAccount if "No help desk" in json.dumps(known["body"]) else Rejected,
        422: Rejected,
        429: Limited,
    }
    assert type(fault) is expected[status]
    if isinstance(fault, Rejected):
        assert fault.name or fault.message
        assert f"HTTP {status}" in fault.detail


@pytest.mark.parametrize("status", [500, 502, 503, 408, 409])
@pytest.mark.parametrize("body", [b"", b"<html><h1>oops", b"{", {"error": "x"}])
def test_a_server_error_is_one_whatever_its_body(status: int, body: object) -> None:
    fault = fault_of(answer(status, body, **{"x-request-id": "abc-1"}))
    assert isinstance(fault, ServerError)
    assert fault.code == "server_error"
    assert (fault.status, fault.request_id) == (status, "abc-1")
    assert is_transient(fault)
    assert not is_slow(fault)


def test_a_gateway_timeout_may_be_helped_by_a_smaller_page() -> None:
    fault = fault_of(answer(504))
    assert isinstance(fault, GatewayTimeout)
    assert is_slow(fault)
    assert is_transient(fault)


def test_scope_role_and_web_page_are_told_apart() -> None:
    scope = fault_of(answer(403, {"error": "insufficient_scope", "error_description": "missing: read"}))
    role = fault_of(answer(403, {"error": {"title": "Forbidden", "message": "You do not have access"}}))
    page = fault_of(answer(403, b"<!DOCTYPE html>"))
    assert all(isinstance(fault, PermissionDenied) for fault in (scope, role, page))
    assert scope is not None
    assert "scope" in scope.hint
    assert role is not None
    assert "admin" in role.hint
    assert page is not None
    assert "suspended" in page.hint


def test_what_is_lasting_is_not_asked_again_in_the_same_run() -> None:
    rejected = fault_of(answer(422, {"error": "InvalidValue"}))
    assert rejected is not None
    lasting = [rejected, NoAccount("x"), Redirected("x"), PermissionDenied("x"), Unauthorized("x"), ValueError("x")]
    assert not any(is_transient(error) for error in lasting)
    assert all(is_transient(error) for error in (NetworkError("x"), BadResponse("x"), Slow("x"), TooLarge("x")))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"title":"No help desk at x","message":"m"}}', ("No help desk at x", "m")),
        (b'{"errors":[{"code":"InvalidPaginationDepth","title":"t"}]}', ("InvalidPaginationDepth", "t")),
        (b'{"errors":[]}', ("", "")),
        (b'{"errors":[3]}', ("", "")),
        (b'{"error":7,"description":["x"]}', ("", "")),
        (b"[1]", ("", "")),
        (b"Number of allowed API requests per minute exceeded", ("", "")),
        (b"[" * 100_000, ("", "")),
        (b'{"error":"' + b"x" * 900 + b'"}', ("x" * 900, "")),
    ],
)
def test_the_words_of_an_error_body(body: bytes, words: tuple[str, str]) -> None:
    assert error_words(body) == words


@pytest.mark.parametrize("secret", ["s3cret-Token_0", "s3cret/to+ken=", 'quo"ted\\secret', "x" * 16_000])
@pytest.mark.parametrize("words", ["you sent {}", "{}", "{}{} and {}", "Bearer {}", "a=1&client_secret={}"])
def test_an_answer_that_repeats_what_was_sent_is_shown_without_it(secret: str, words: str) -> None:
    for sent in (secret, quote_plus(secret)):
        body = json.dumps({"error": "invalid", "description": words.replace("{}", sent)}).encode()
        echo = Answer(400, {"x-request-id": f"of {sent}"}, body, "acme.zendesk.com", (Secret(secret),))
        fault = fault_of(echo)
        assert isinstance(fault, Rejected)
        assert sent[:8] not in fault.detail + fault.hint + str(fault.request_id)
        assert "***" in fault.detail
        assert len(fault.detail) < 300
        assert secret not in repr(echo.sent)


def test_an_error_body_as_long_as_no_error_is_not_taken_apart() -> None:
    assert error_words(b'{"error":"x","more":[' + b"[]," * 100_000 + b"[]]}") == ("", "")


@given(st.binary(max_size=60), st.integers(200, 599))
def test_no_answer_is_too_strange_to_be_judged(body: bytes, status: int) -> None:
    fault = fault_of(answer(status, body))
    assert (fault is None) == (status < 300)


def test_the_servers_clock_is_read_from_its_date() -> None:
    assert answer(200, date="Mon, 23 Nov 2026 14:05:00 GMT").date == datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    assert answer(200, date="Mon, 23 Nov 2026 16:05:00 +0200").date == datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    assert answer(200, date="Mon, 23 Nov 2026 14:05:00 -0000").date == datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
    assert answer(200, date="soon").date is None
    assert answer(200).date is None
