"""Credentials go to the account's own host and to nobody else, whatever it answers and whatever the environment says.

Every other host is a real listener that writes down what arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.fixtures.loopback import FastTime, Loopback, MemoryDoor, Opened, Reply, Seen, basic
from zendeskd.errors import RunError
from zendeskd.models import (
    AnyCredential,
    ApiToken,
    Bearer,
    OAuthClientCredentials,
    OAuthRefreshToken,
    Position,
    Secret,
    StoredCredential,
)

TOKEN, CLIENT_SECRET, REFRESH = "S3cret-t0ken-of-acme", "S3cret/cl+ent=of-acme", "S3cret-r3fresh-of-acme"
CREDENTIALS: dict[str, AnyCredential] = {
    "oauth_client_credentials": OAuthClientCredentials("id", Secret(CLIENT_SECRET)),
    "oauth_refresh_token": OAuthRefreshToken("id", Secret(CLIENT_SECRET), Secret(REFRESH)),
    "api_token": ApiToken("ana@example.com", Secret(TOKEN)),
    "bearer": Bearer(Secret(TOKEN)),
}
PROXIES = [name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (proxy, proxy.lower())]


@pytest.fixture
def account() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[Loopback]:
    with Loopback() as server:
        server.script = [Reply({"access_token": "of-another", "tickets": [], "end_of_stream": True})]
        yield server


def read(server: Loopback, kind: str, strategy: str = "export") -> RunError | None:
    """Read everything. -> what went wrong."""
    door = MemoryDoor(StoredCredential(CREDENTIALS[kind]))
    since = Position(strategy=strategy)
    with Opened(server, FastTime(), door=door, strategy=strategy) as opened:
        try:
            for _ in opened.source.pages(since):
                pass
        except RunError as error:
            return error
    return None


# to another port, which is another host as far as credentials go; by name, as a URL may be written
PLACES = [
    "http://127.0.0.1:{port}/api",
    "http://localhost:{port}/api",
    "//127.0.0.1:{port}/api",
    "http://acme.zendesk.com@127.0.0.1:{port}/api",
    "http://acme.zendesk.com%2f@127.0.0.1:{port}/api",
    "http:\\\\127.0.0.1:{port}\\api",
    "http:/\t/127.0.0.1:{port}/api",
    "http://[::ffff:127.0.0.1]:{port}/api",
    "http://\u2488127.0.0.1:{port}/",
    "http://acme.zendesk.com.evil.test:{port}/",
    "HTTPS://127.0.0.1:{port}/api",
    "/api/v2/elsewhere",
    "?again=1",
]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 399])
@pytest.mark.parametrize("kind", ["bearer", "oauth_refresh_token"])
def test_no_redirect_is_followed_whatever_its_status(
    kind: str, status: int, account: Loopback, elsewhere: Loopback
) -> None:
    raw = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/api\r\nContent-Length: 0\r\n\r\n".encode()
    account.script = [Reply(raw=raw)]
    error = read(account, kind)
    assert error is not None
    assert error.code == "network_error"
    assert elsewhere.connections == 0
    assert len(account.seen) == 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", CREDENTIALS)
def test_no_redirect_is_followed_however_it_is_written(
    kind: str, place: str, account: Loopback, elsewhere: Loopback
) -> None:
    account.script = [Reply(status=302, headers={"Location": place.format(port=elsewhere.port)})]
    error = read(account, kind)
    assert error is not None
    assert error.code in {"network_error", "bad_response"}
    assert elsewhere.connections == 0
    assert len({seen.path for seen in account.seen}) == 1


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_redirect_that_repeats_the_credentials_shows_none(kind: str, account: Loopback) -> None:
    def repeat(seen: Seen) -> Reply:
        word = quote(seen.headers.get("authorization", "").rpartition(" ")[2] or str(seen.json["client_secret"]), "")
        return Reply(status=302, headers={"Location": f"https://ana:{word}@{word}.evil.test/", "X-Request-Id": word})

    account.answer = repeat
    error = read(account, kind)
    assert error is not None
    assert "evil.test" in error.detail
    said = f"{error.detail} {error.hint} {error.request_id}".lower()
    for secret in ("S3cret", basic("ana@example.com", TOKEN)[6:20]):
        assert secret.lower() not in said


@pytest.mark.parametrize("strategy", ["export", "list"])
def test_a_next_page_elsewhere_is_asked_of_the_account_itself(
    strategy: str, account: Loopback, elsewhere: Loopback
) -> None:
    """Every link that Zendesk's answers have, to another host: the position is taken from them, never the address."""
    away = f"{elsewhere.url}/api/v2/incremental/tickets/cursor.json?cursor=away"
    links = {"after_url": away, "before_url": away, "next_page": away, "links": {"next": away, "prev": away}}
    ticket = {
        "id": 1,
        "url": f"{elsewhere.url}/api/v2/tickets/1.json",
        "subject": "x",
        "description": "x",
        "status": "open",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "generated_timestamp": 1767225600,
        "via": {"source": {"from": {"url": f"{elsewhere.url}/from"}}},
        "attachments": [{"content_url": f"{elsewhere.url}/file", "mapped_content_url": f"{elsewhere.url}/file"}],
    }
    pages = [
        {"tickets": [ticket], "after_cursor": "one", "end_of_stream": False, "meta": {"has_more": True}, **links},
        {"tickets": [], "after_cursor": "two", "end_of_stream": True, "meta": {"has_more": False}, **links},
    ]
    pages[0]["meta"]["after_cursor"] = "one"  # type: ignore[index]
    account.answer = lambda seen: Reply(pages[0] if len(account.seen) == 1 else pages[1])
    read(account, "bearer", strategy)
    assert len(account.seen) > 1
    assert {seen.headers["authorization"] for seen in account.seen} == {f"Bearer {TOKEN}"}
    assert {seen.headers["host"] for seen in account.seen} == {f"127.0.0.1:{account.port}"}
    assert elsewhere.connections == 0


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_neither_a_proxy_nor_a_netrc_of_the_environment_is_asked(
    kind: str, account: Loopback, elsewhere: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\ndefault login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in PROXIES:
        monkeypatch.setenv(name, elsewhere.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    account.answer = lambda seen: Reply(
        {"access_token": TOKEN, "refresh_token": REFRESH, "tickets": [], "after_cursor": "a", "end_of_stream": True}
    )
    assert read(account, kind) is None
    assert elsewhere.connections == 0
    sent = {seen.headers.get("authorization") for seen in account.seen if seen.path.startswith("/api")}
    assert sent == {basic("ana@example.com", TOKEN) if kind == "api_token" else f"Bearer {TOKEN}"}
    asked = [seen for seen in account.seen if seen.path == "/oauth/tokens"]
    assert [seen.headers.get("authorization") for seen in asked] == [None] * len(asked)


def test_a_cookie_of_the_answer_is_not_sent_back(account: Loopback) -> None:
    page = {"tickets": [], "after_cursor": "a", "end_of_stream": False}
    last = {**page, "after_cursor": "b", "end_of_stream": True}
    account.script = [Reply(page, headers={"Set-Cookie": "_zendesk_session=x; Domain=127.0.0.1; Path=/"}), Reply(last)]
    assert read(account, "bearer") is None
    assert [seen.headers.get("cookie") for seen in account.seen] == [None, None]
