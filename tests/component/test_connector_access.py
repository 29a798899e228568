"""Calls over a real socket: waiting, retrying, renewing, and the sentence for each way it can be refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.loopback import FastTime, Loopback, MemoryDoor, Opened, Reply, Seen, basic, http_date
from tests.waiting import wait_for
from zendeskd.connectors.zendesk import ZendeskConnector
from zendeskd.errors import (
    BadResponse,
    Cancelled,
    CredentialError,
    NetworkError,
    PermissionDenied,
    RunError,
    ServerError,
)
from zendeskd.models import (
    AccessToken,
    Identity,
    OAuthClientCredentials,
    OAuthRefreshToken,
    Page,
    Position,
    Secret,
    State,
    StoredCredential,
)

EMPTY = Reply({"tickets": [], "after_cursor": None, "end_of_stream": True})
ADMIN = Reply(
    {"user": {"id": 1, "name": "Ana", "email": "ana@example.com", "role": "admin", "authenticity_token": "x"}}
)
NOT_AUTHENTICATED = Reply({"error": "Couldn't authenticate you"}, 401)
SINCE = Position("export", since=datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def pages(opened: Opened) -> list[Page]:
    return list(opened.source.pages(SINCE))


def failing(opened: Opened, kind: type[RunError] = RunError) -> RunError:
    with pytest.raises(kind) as caught:
        pages(opened)
    assert "s3cret" not in caught.value.detail + caught.value.hint
    return caught.value


# --- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Reply({"error": "x"}, 500), "HTTP 500, try 2 of 5"),
        (Reply(b"<html>oops", 502), "HTTP 502, try 2 of 5"),
        (Reply(b"<html>suspended", headers={"Content-Type": "text/html"}), "unreadable answer, try 2 of 5"),
        (Reply(b'{"tickets":[', headers={"Connection": "close"}, close=True), "unreadable answer, try 2 of 5"),
        (Reply(b'{"tickets":[]}'), "unreadable answer, try 2 of 5"),
        (Reply(raw=b"", close=True), "not reachable, try 2 of 5"),
    ],
)
def test_what_may_pass_is_tried_again_and_told(bad: Reply, reason: str, loopback: Loopback) -> None:
    loopback.script = [bad, EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)[-1].end_of_stream
        assert opened.reasons == [reason]
        assert opened.waits[0] is not None
        assert opened.waits[0].state is State.RETRYING
        assert opened.waits[-1] is None
        assert (opened.source.calls.api_calls, opened.source.calls.retries) == (2, 1)
        assert opened.source.calls.rate_limit_wait_ms == 0


def test_five_tries_take_less_than_twenty_seconds_of_waiting(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 503, {"X-Request-Id": "r-9"})]
    with Opened(loopback) as opened:
        error = failing(opened, ServerError)
        assert len(loopback.seen) == 5
        assert [round(s, 2) for s in opened.time.waited] == [0.5, 1.0, 2.0, 4.0]
        assert (error.code, error.status, error.request_id) == ("server_error", 503, "r-9")


def test_a_web_page_for_data_is_a_bad_response_with_a_hint(loopback: Loopback) -> None:
    loopback.script = [Reply(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})]
    with Opened(loopback) as opened:
        error = failing(opened, BadResponse)
        assert "text/html" in error.detail
        assert "suspended" in error.hint


def test_nobody_calls_an_account_before_its_503_says_so(loopback: Loopback) -> None:
    """Not its next run either, which comes sooner than an hour."""
    connector = ZendeskConnector(time := FastTime())
    loopback.script = [Reply(b"", 503, {"Retry-After": "900"}), EMPTY]
    with Opened(loopback, time, connector=connector) as first:
        failing(first, ServerError)
    with Opened(loopback, time, connector=connector) as second:
        assert pages(second)
        assert second.reasons == ["503, asked to wait"]
        assert second.waits[0] is not None
        assert second.waits[0].state is State.LIMITED
        assert second.time.waited == [900.0]


def test_a_503_that_says_when_is_believed(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 503, {"Retry-After": "45"}), EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)
        assert opened.time.waited == [45.0]
        assert opened.reasons == ["HTTP 503, try 2 of 5"]


def test_a_503_of_an_hour_is_left_to_the_next_run(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 503, {"Retry-After": "3600"})]
    with Opened(loopback) as opened:
        error = failing(opened, ServerError)
        assert "come back in 3600 s" in error.detail
        assert len(loopback.seen) == 1


@pytest.mark.parametrize(
    ("lasting", "code"),
    [
        (Reply(status=301, headers={"Location": "https://other.example/"}), "network_error"),
        (Reply({"error": {"title": "No help desk at x.zendesk.com", "message": "m"}}, 404), "network_error"),
        (Reply({"error": "InvalidValue", "description": "no"}, 422), "bad_response"),
        (Reply({"error": {"title": "Forbidden"}}, 403), "permission_error"),
    ],
)
def test_what_will_not_pass_is_asked_once(lasting: Reply, code: str, loopback: Loopback) -> None:
    loopback.script = [lasting]
    with Opened(loopback) as opened:
        assert failing(opened).code == code
        assert len(loopback.seen) == 1


# --- rate limits ------------------------------------------------------------------------------------------------------


def test_a_429_is_waited_for_and_is_no_failure(loopback: Loopback) -> None:
    said = {"error": "APIRateLimitExceeded", "description": "Number of allowed incremental export API requests per min"}
    loopback.script = [Reply(said, 429, {"Retry-After": "30"}), Reply(b"slow down", 429), EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)
        assert opened.reasons == ["429, export budget", "429, account budget"]
        assert opened.waits[0] is not None
        assert opened.waits[0].state is State.LIMITED
        assert opened.source.calls.retries == 0
        assert opened.source.calls.api_calls == 3
        assert 32_000 <= opened.source.calls.rate_limit_wait_ms <= 40_000


def test_more_429s_than_tries_still_do_not_fail(loopback: Loopback) -> None:
    loopback.script = [*(Reply(b"", 429, {"Retry-After": "1"}) for _ in range(12)), EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)
        assert sum(opened.time.waited) > 60  # and they wait longer and longer


def test_a_budget_is_obeyed_before_it_is_hit_and_shown(loopback: Loopback) -> None:
    left = iter([1, 0, 9])

    def answer(seen: Seen) -> Reply:
        said = f"total=10; remaining={next(left)}; resets=17"
        number = len(loopback.seen)
        body = {"tickets": [], "after_cursor": f"c{number}", "end_of_stream": number == 3}
        return Reply(body, headers={"Zendesk-RateLimit-Incremental-Exports": said, "X-Rate-Limit": "700"})

    loopback.answer = answer
    with Opened(loopback) as opened:
        assert len(pages(opened)) == 3
        assert opened.reasons == ["export budget used up"]
        assert [(view.name, view.remaining, view.total) for view in opened.source.budgets()] == [("export", 9, 10)]
        assert opened.source.calls.rate_limit_wait_ms >= 17_000


def test_runs_on_one_account_share_what_one_of_them_learned(loopback: Loopback) -> None:
    time = FastTime()
    connector = ZendeskConnector(time)
    loopback.script = [Reply(EMPTY.body, headers={"X-Rate-Limit": "400", "X-Rate-Limit-Remaining": "100"})]
    with (
        Opened(loopback, time, connector=connector) as first,
        Opened(loopback, time, connector=connector, strategy="list") as second,
    ):
        pages(first)
        loopback.script = [ADMIN, Reply({"tickets": [], "meta": {"has_more": False}})]
        second.source.check()
        assert first.reasons == []
        assert second.reasons == ["account budget at a quarter"]


# --- cancelling and closing -------------------------------------------------------------------------------------------


class _Patient(FastTime):
    """Waits for real, as long as it takes."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(60)


def in_thread(opened: Opened) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            pages(opened)
        except (RunError, Cancelled) as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, raised


@pytest.mark.parametrize("reply", [Reply(b"", 429, {"Retry-After": "600"}), Reply(b"", 500)])
def test_cancelling_ends_a_wait_at_once(reply: Reply, loopback: Loopback) -> None:
    loopback.script = [reply]
    with Opened(loopback, _Patient()) as opened:
        thread, raised = in_thread(opened)
        wait_for(lambda: opened.waits, "the wait to be told")
        opened.cancel.set("cancelled")
        thread.join(10)
        assert isinstance(raised[0], Cancelled)
        assert opened.waits[-1] is None


def test_closing_ends_a_wait_too(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 429, {"Retry-After": "600"})]
    with Opened(loopback, _Patient()) as opened:
        thread, raised = in_thread(opened)
        wait_for(lambda: opened.waits, "the wait to be told")
        opened.source.close()
        thread.join(10)
        assert isinstance(raised[0], NetworkError)


def test_closing_after_cancelling_ends_a_blocked_call_as_cancelled(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", hold=threading.Event())]
    with Opened(loopback, _Patient()) as opened:
        thread, raised = in_thread(opened)
        wait_for(lambda: loopback.seen, "the call to arrive")
        opened.cancel.set("shutdown")
        opened.source.close()
        thread.join(10)
        assert isinstance(raised[0], Cancelled)


def test_a_cancelled_run_calls_nothing_more(loopback: Loopback) -> None:
    with Opened(loopback) as opened:
        opened.cancel.set("stopped")
        with pytest.raises(Cancelled):
            pages(opened)
    assert loopback.seen == []


# --- credentials ------------------------------------------------------------------------------------------------------


def test_a_lone_401_is_asked_again_with_the_same_token(loopback: Loopback) -> None:
    loopback.script = [NOT_AUTHENTICATED, EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)
        assert opened.reasons == ["HTTP 401, asking once more"]
        assert opened.source.calls.retries == 1
    assert {seen.headers["authorization"] for seen in loopback.seen} == {basic("ana@example.com", "s3cret-token")}


def test_a_second_401_is_the_credentials(loopback: Loopback) -> None:
    loopback.script = [NOT_AUTHENTICATED]
    with Opened(loopback) as opened:
        error = failing(opened, CredentialError)
        assert error.detail == "Zendesk rejected the API token (HTTP 401)."
        assert "zendeskctl credentials set acme" in error.hint
    assert len(loopback.seen) == 2


def test_a_probe_sends_a_refused_token_once(loopback: Loopback) -> None:
    loopback.script = [NOT_AUTHENTICATED]
    with Opened(loopback) as opened, pytest.raises(CredentialError):
        opened.source.probe()
    assert len(loopback.seen) == 1
    assert loopback.seen[0].params["per_page"] == "1"


def oauth_server(loopback: Loopback, *, expires_in: int | None = 1800) -> set[str]:
    """Answers token requests with numbered tokens; the export takes those in the returned set only."""
    good: set[str] = set()

    def answer(seen: Seen) -> Reply:
        if seen.path == "/oauth/tokens":
            token = f"access-{sum(one.path == '/oauth/tokens' for one in loopback.seen)}"
            good.clear()
            good.add(f"Bearer {token}")
            more = {} if expires_in is None else {"expires_in": expires_in}
            refresh = {"refresh_token": f"{token}-refresh"}
            return Reply({"access_token": token, "scope": "read", **refresh, **more}, 201)
        if seen.headers["authorization"] in good:
            return EMPTY
        return Reply({"error": "invalid_token", "error_description": "expired, revoked, malformed"}, 401)

    loopback.answer = answer
    return good


CLIENT = OAuthClientCredentials("zendeskd", Secret("client-s3cret"))
REFRESH = OAuthRefreshToken("zendeskd", Secret("client-s3cret"), Secret("first-s3cret"))


def test_client_credentials_get_a_token_once_and_use_it_in_the_next_run(loopback: Loopback) -> None:
    oauth_server(loopback)
    door = MemoryDoor(StoredCredential(CLIENT))
    for _ in range(2):
        with Opened(loopback, door=door) as opened:
            assert pages(opened)
    assert [seen.path.rpartition("/")[2] for seen in loopback.seen] == ["tokens", "cursor", "cursor"]
    assert "authorization" not in loopback.seen[0].headers


def test_a_revoked_access_token_is_renewed_inside_the_run(loopback: Loopback) -> None:
    good = oauth_server(loopback)
    door = MemoryDoor(StoredCredential(REFRESH, AccessToken(Secret("revoked"), None)))
    with Opened(loopback, door=door) as opened:
        assert pages(opened)
        assert opened.source.calls.retries == 1
    assert good == {"Bearer access-1"}
    assert door.stored.credential == OAuthRefreshToken("zendeskd", Secret("client-s3cret"), Secret("access-1-refresh"))


def test_a_new_token_that_is_refused_too_is_the_credentials(loopback: Loopback) -> None:
    good = oauth_server(loopback)
    before = loopback.answer

    def answer(seen: Seen) -> Reply:
        reply = before(seen)
        good.clear()
        return reply

    loopback.answer = answer
    with Opened(loopback, door=MemoryDoor(StoredCredential(CLIENT))) as opened:
        assert failing(opened, CredentialError).detail == "Zendesk rejected the access token (HTTP 401)."
    assert len(loopback.seen) == 4


def test_runs_at_the_same_time_renew_a_rotating_token_once(loopback: Loopback) -> None:
    oauth_server(loopback)
    door = MemoryDoor(StoredCredential(REFRESH, AccessToken(Secret("revoked"), None)))
    opened = [Opened(loopback, door=door) for _ in range(4)]
    running = [in_thread(one) for one in opened]
    for thread, raised in running:
        thread.join(30)
        assert raised == []
    for one in opened:
        one.source.close()
    assert sum(seen.path == "/oauth/tokens" for seen in loopback.seen) == 1
    assert len(door.saved) == 1


@pytest.mark.parametrize(("status", "error"), [(400, "invalid_grant"), (401, "invalid_client")])
def test_a_refused_grant_names_itself(status: int, error: str, loopback: Loopback) -> None:
    loopback.script = [Reply({"error": error, "error_description": "no"}, status)]
    with Opened(loopback, door=MemoryDoor(StoredCredential(REFRESH))) as opened:
        assert f"({error}, HTTP {status})" in failing(opened, CredentialError).detail
    assert len(loopback.seen) == 1


def test_a_token_endpoint_that_fails_has_its_own_five_tries_and_no_more(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 502)]
    with Opened(loopback, door=MemoryDoor(StoredCredential(CLIENT))) as opened:
        failing(opened, ServerError)
        assert len(loopback.seen) == 5
        assert {seen.path for seen in loopback.seen} == {"/oauth/tokens"}


def test_a_429_of_the_token_endpoint_is_waited_for(loopback: Loopback) -> None:
    oauth_server(loopback)
    before = loopback.answer
    loopback.answer = lambda seen: Reply(b"", 429) if len(loopback.seen) == 1 else before(seen)
    with Opened(loopback, door=MemoryDoor(StoredCredential(CLIENT))) as opened:
        assert pages(opened)
        assert opened.reasons == ["429, account budget"]


def test_a_token_answer_is_stored_even_if_the_run_is_cancelled_and_closed_meanwhile(loopback: Loopback) -> None:
    oauth_server(loopback)
    before, release = loopback.answer, threading.Event()

    def answer(seen: Seen) -> Reply:
        reply = before(seen)
        reply.hold = release
        return reply

    loopback.answer = answer
    door = MemoryDoor(StoredCredential(REFRESH))
    with Opened(loopback, door=door) as opened:
        thread, raised = in_thread(opened)
        wait_for(lambda: loopback.seen, "the token request to arrive")
        opened.cancel.set("shutdown")
        opened.source.close()
        release.set()
        thread.join(10)
    assert isinstance(raised[0], Cancelled)
    assert isinstance(door.stored.credential, OAuthRefreshToken)
    assert door.stored.credential.refresh_token.reveal() == "access-1-refresh"


FIREWALL = Reply(b"<html>Access denied", 403, {"Content-Type": "text/html"})


def test_a_lone_403_of_a_firewall_is_asked_once_more(loopback: Loopback) -> None:
    loopback.script = [FIREWALL, EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)[-1].end_of_stream
        assert opened.time.waited == [1.0]
        assert opened.reasons == ["HTTP 403 with a web page, asking once more"]
        assert (opened.source.calls.api_calls, opened.source.calls.retries) == (2, 1)


def test_a_403_of_a_firewall_that_stays_counts_as_permission(loopback: Loopback) -> None:
    loopback.script = [FIREWALL]
    with Opened(loopback) as opened:
        error = failing(opened, PermissionDenied)
        assert (error.code, error.status, len(loopback.seen)) == ("permission_error", 403, 2)
        assert "certain IP addresses" in error.hint


def test_a_firewall_before_the_token_endpoint_costs_no_grant(loopback: Loopback) -> None:
    loopback.script = [FIREWALL, Reply({"access_token": "t", "expires_in": 1800, "scope": "read"}), EMPTY]
    with Opened(loopback, door=MemoryDoor(StoredCredential(CLIENT))) as opened:
        assert pages(opened)[-1].end_of_stream
    assert [seen.path for seen in loopback.seen][:2] == ["/oauth/tokens"] * 2


def test_a_scope_that_was_not_granted_explains_the_403(loopback: Loopback) -> None:
    loopback.answer = lambda seen: (
        Reply({"access_token": "t", "scope": "tickets:write"})
        if seen.path == "/oauth/tokens"
        else Reply({"error": {"title": "Forbidden", "message": "m"}}, 403)
    )
    with Opened(loopback, door=MemoryDoor(StoredCredential(CLIENT))) as opened:
        error = failing(opened, PermissionDenied)
        assert '"tickets:write" only' in error.hint


# --- the credential check ---------------------------------------------------------------------------------------------


def test_a_check_takes_two_calls_and_tells_who_it_is(loopback: Loopback) -> None:
    loopback.script = [ADMIN, EMPTY]
    with Opened(loopback) as opened:
        identity = opened.source.check()
    assert identity == Identity("ana@example.com", "admin", f"127.0.0.1:{loopback.port}")
    assert [seen.path for seen in loopback.seen] == ["/api/v2/users/me.json", "/api/v2/incremental/tickets/cursor"]
    assert loopback.seen[1].params["per_page"] == "1"


@pytest.mark.parametrize(
    ("script", "kind", "sentence"),
    [
        ([NOT_AUTHENTICATED], CredentialError, "rejected the API token"),
        ([Reply({"user": {"id": None, "name": "Anonymous user"}})], CredentialError, "anonymous"),
        ([Reply({"user": {"name": "Anonymous user"}})], CredentialError, "anonymous"),
        ([Reply({"user": {"id": 5, "name": "Bo", "role": "agent"}})], PermissionDenied, "Bo has the role agent"),
        ([Reply({"user": {"id": 5}})], PermissionDenied, "user 5 has the role unknown"),
        ([ADMIN, Reply({"error": {"title": "Forbidden"}}, 403)], PermissionDenied, "refuses the incremental export"),
        ([ADMIN, Reply({"error": "InvalidEndpoint"}, 404)], PermissionDenied, "does not offer the incremental export"),
        ([Reply({"error": {"title": "No help desk at x"}}, 404)], NetworkError, "There is no Zendesk account at 127"),
        ([Reply(b"<html>")], BadResponse, "did not answer like a Zendesk account"),
        ([Reply(b"", 302, {"Location": "https://www.zendesk.com/"})], NetworkError, "redirected the call to www.zen"),
    ],
)
def test_a_check_tells_what_is_wrong_apart(
    script: list[Reply], kind: type[RunError], sentence: str, loopback: Loopback
) -> None:
    loopback.script = script
    with Opened(loopback) as opened, pytest.raises(kind, match=sentence) as caught:
        opened.source.check()
    assert caught.value.hint


@pytest.mark.parametrize("strategy", ["export", "list"])
def test_a_person_who_waits_for_a_check_waits_for_two_tries(strategy: str, loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 500)]
    with Opened(loopback, strategy=strategy) as opened:
        with pytest.raises(ServerError):
            opened.source.check()
        assert len(loopback.seen) == 2
        assert opened.reasons == ["HTTP 500, try 2 of 2"]
        with pytest.raises(ServerError):
            opened.source.probe()
        assert len(loopback.seen) == 4


def test_a_check_of_an_unreachable_host_says_so(loopback: Loopback) -> None:
    with Opened(loopback) as opened:
        loopback.stop()
        with pytest.raises(NetworkError, match="refused the connection"):
            opened.source.check()


@pytest.mark.parametrize("strategy", ["export", "list"])
def test_where_the_export_is_refused_the_hint_names_the_other_way(strategy: str, loopback: Loopback) -> None:
    loopback.script = [Reply({"error": {"title": "Forbidden"}}, 403)]
    with Opened(loopback, strategy=strategy) as opened, pytest.raises(PermissionDenied) as caught:
        opened.source.probe()
    assert ("zendeskctl org set acme --strategy list" in caught.value.hint) == (strategy == "export")


def test_the_end_of_a_wait_is_when_it_was_said(loopback: Loopback) -> None:
    loopback.script = [Reply(b"", 503, {"Retry-After": "45"}), EMPTY]
    with Opened(loopback) as opened:
        began = opened.time.now()
        pages(opened)
        assert opened.waits[0] is not None
        assert opened.waits[0].until == began + timedelta(seconds=45)


def test_a_429_until_a_date_is_waited_for_on_the_servers_clock(loopback: Loopback) -> None:
    theirs = datetime(2031, 1, 1, tzinfo=UTC)
    headers = {"Date": http_date(theirs), "Retry-After": http_date(theirs + timedelta(seconds=20))}
    loopback.script = [Reply(b"", 429, headers), EMPTY]
    with Opened(loopback) as opened:
        assert pages(opened)
        assert 20 <= sum(opened.time.waited) <= 23
