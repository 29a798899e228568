"""A life with every kind of credentials, good and refused, and a server that repeats what it was sent: afterwards no
secret stands in any file, log, reply, event, command line, environment, crash or screen, in no form.

Whole programs: the daemon at debug level, zendeskctl, the dashboard, doctor, check, rotate-key, restore.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.control import raw_http
from tests.fixtures.daemons import NEVER, DaemonProcess
from tests.fixtures.leaks import Processes, Secrets
from tests.fixtures.loopback import Loopback, Reply, Seen, basic
from tests.fixtures.pseudo_terminal import Terminal
from tests.waiting import wait_for
from zendeskd.client import ApiError
from zendeskd.operations import OPERATIONS
from zendeskd.simulator import Account, Simulator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

KINDS: Final = ("oauth_client_credentials", "oauth_refresh_token", "api_token", "bearer")
ODD: Final = r"""quo"te'd\se%cret+/=&<x>;{}%41:@"""
LONG: Final = "long-" + "0123456789abcdef" * 700
WRONG: Final = {
    "oauth_client_credentials": {"clientId": "id", "clientSecret": "wrong-secret-1"},
    "oauth_refresh_token": {
        "clientId": "id",
        "clientSecret": "wrong-client-secret-2",
        "refreshToken": "wrong-refresh-2",
    },
    "api_token": {"email": "ana@example.com", "token": "wrong-api-token-3"},
    "bearer": {"token": "wrong-bearer-4"},
}
REFUSED: Final = (
    "pässwörd-ünd-möre",
    "line-one\nline-two-x",
    "nul-before\0nul-after",
    "tab-before\ttab-after",
    "\u202eright-to-left",
)
PASSWORD: Final = "hunter22-in-a-url"


def echo(seen: Seen) -> Reply:
    """Answers everything with what came, in the way that the path's first part names."""
    way = seen.path.split("/")[1]
    sent = seen.headers.get("authorization", "")
    came = f"{sent} {seen.body.decode()} {' '.join(map(str, seen.json.values())) if seen.body else ''}"
    word = sent.rpartition(" ")[2] or (str(seen.json["client_secret"]) if seen.body else "nothing")
    page = f"<html><body><h1>Error</h1><pre>Authorization: {sent}\n{came}</pre></body></html>".encode()
    if way == "grant" and seen.path.endswith("/oauth/tokens"):
        return Reply({"access_token": "access-token-of-echo", "refresh_token": "refresh-token-of-echo", "scope": word})
    return {
        "json400": Reply({"error": "InvalidRequest", "description": came}, 400),
        "json422": Reply({"error": {"title": word, "message": f"no {word}"}}, 422),
        "list404": Reply({"errors": [{"code": word, "title": came}]}, 404),
        "json401": Reply({"error": "invalid_client", "error_description": came}, 401, {"WWW-Authenticate": sent}),
        "scope403": Reply({"error": "scope", "description": came}, 403),
        "html403": Reply(page, 403, {"Content-Type": "text/html"}),
        "html200": Reply(page, 200, {"Content-Type": "text/html"}),
        "text500": Reply(page, 500, {"X-Request-Id": word[:90]}),
        "packed": Reply(b"x", 200, {"Content-Encoding": word[:90]}),
        "away": Reply(b"", 302, {"Location": "https://elsewhere.invalid/?" + word[:90]}),
        "grant": Reply({"error": word, "description": came, "details": {"sent": came}}, 403),
    }[way]


WAYS: Final = {
    "json400": KINDS[1:],  # the first asks for tokens as the second does
    "json401": ("oauth_refresh_token", "bearer"),
    "json422": ("api_token",),
    "list404": ("bearer",),
    "scope403": ("oauth_refresh_token",),
    "html403": ("api_token", "bearer"),
    "away": ("oauth_refresh_token", "bearer"),
    "grant": KINDS[:2],  # gives tokens first
    "text500": ("bearer",),  # the last ones are tried again, which takes time
    "html200": ("api_token",),
    "packed": ("oauth_refresh_token",),
}
"""Of the server that repeats what it was sent -> with which kinds of credentials."""


class Life:
    """The daemon, and what all our programs said."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon
        self.said = daemon.folder / "said"
        self.temporary = daemon.folder / "tmp"
        for folder in (self.said, self.temporary):
            folder.mkdir()
        self.mark = f"MARK_OF_THIS_TEST={daemon.folder}"
        self.environ = {
            "MARK_OF_THIS_TEST": str(daemon.folder),
            "TMPDIR": str(self.temporary),
            "HOME": str(self.temporary),
            "PYTHONFAULTHANDLER": "1",
        }
        self.secrets = Secrets()
        self._number = 0

    def keep(self, what: str, content: bytes) -> None:
        self._number += 1
        (self.said / f"{self._number:03} {what.replace('/', ' ')[:60]}").write_bytes(content)

    def program(self, *words: str, given: bytes = b"", code: int | None = 0) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, **self.environ},
        )
        self.keep(" ".join(words[1:]), done.stdout + b"\n" + done.stderr)
        assert code is None or done.returncode == code, (words, done.stdout, done.stderr)

    def ctl(self, *words: str, given: bytes = b"", code: int | None = 0) -> None:
        self.program("zendeskd.ctl", *words, f"--socket={self.daemon.socket}", given=given, code=code)

    def zendeskd(self, verb: str, *words: str, code: int | None = 0) -> None:
        self.program("zendeskd", *self.daemon.command(verb, *words)[3:], code=code)

    def request(self, method: str, path: str, body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        self.keep(f"{method} {path}", raw_http(self.daemon.socket, head.encode() + body))


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        running.answer = echo
        yield running


@pytest.fixture
def life(daemons: Callable[[], DaemonProcess]) -> Iterator[Life]:
    daemon = daemons()
    (daemon.folder / "zendeskd.toml").write_text('[logging]\nlevel = "debug"\nmax_bytes = "64 KB"\nkeep = 100\n')
    one = Life(daemon)
    daemon.launch(f"--config={daemon.folder / 'zendeskd.toml'}", environ=one.environ)
    daemon.await_ready()
    yield one


PLAIN: Final = st.characters(exclude_categories=["Cs"])


@given(st.binary(max_size=20), st.text(PLAIN, min_size=12, max_size=60), st.binary(max_size=20))
def test_what_looks_for_secrets_finds_them(before: bytes, secret: str, after: bytes) -> None:
    raw = secret.encode()
    secrets = Secrets()
    secrets.add("it", raw)
    around = before + raw + after
    written = [around, base64.b64encode(around), base64.urlsafe_b64encode(around), around.hex().encode()]
    written += [json.dumps(secret).encode(), quote(secret, "").encode(), quote_plus(secret).encode()]
    assert [one for one in written if not secrets.found_in(one)] == []


def test_no_secret_shows(life: Life, simulator: Simulator, server: Loopback) -> None:
    daemon = life.daemon
    watching = (life.said / "events").open("wb")
    watch = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "zendeskd.ctl",
            "watch",
            "--json",
            "--log",
            "--level=debug",
            f"--socket={daemon.socket}",
        ],
        stdout=watching,
        stderr=watching,
        env={**os.environ, **life.environ},
    )
    try:
        with Processes(life.mark) as processes:
            accounts = live(life, simulator, server)
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.wait(20)
        watching.close()
    for account in accounts.values():
        for number, grant in enumerate(account.access.grants):
            for name, token in (("access", grant.access), ("refresh", grant.refresh)):
                if token:
                    life.secrets.add(f"{name} token {number} of {account.name}", token)
    keys = list((daemon.folder / "state").glob("master.key*"))
    assert len(keys) == 2
    for key in keys:
        life.secrets.add(key.name, key.read_bytes())
    assert len(life.secrets) > 30
    # what was to happen did
    log = b"".join(path.read_bytes() for path in daemon.log.parent.iterdir())
    assert b"Traceback" in log
    assert b'"event":"a bug' in log or b"run failed by a bug" in log
    assert len(list(daemon.log.parent.iterdir())) > 1
    assert (life.said / "events").stat().st_size > 10_000
    assert len(processes.seen) > 10
    assert any("tui" in name for name in processes.seen)
    assert b"Fatal Python error: Aborted" in (daemon.folder / "stderr").read_bytes()
    # and nothing of it shows
    assert life.secrets.found_under(daemon.folder, without=keys) == {}
    assert life.secrets.found_in(processes.content) == []


def live(life: Life, simulator: Simulator, server: Loopback) -> dict[str, Account]:
    accounts = enter_good_ones(life, simulator)
    enter_others(life, server)
    daemon = life.daemon
    for org in [*accounts, *(f"wrong-{number}" for number in range(len(KINDS)))]:
        daemon.first_run(org)
    # refresh tokens are spent, and the new ones too
    for _ in range(2):
        accounts["oauth-refresh-token"].expire_tokens()
        assert daemon.ended(daemon.client.trigger("oauth-refresh-token").run_id).status == "success"
    accounts["api-token"].revoke_client()
    daemon.ended(daemon.client.trigger("api-token").run_id)
    a_bug(life, accounts["bearer"])
    for org in daemon.client.organizations().items:
        if org.integrations:
            daemon.first_run(org.id)
    look(life)
    file = Path(daemon.client.backup().path)
    wait_for(file.exists, "the backup")
    assert daemon.process is not None
    daemon.client.trigger("oauth-client-credentials")
    daemon.process.send_signal(signal.SIGABRT)
    daemon.process.wait(30)
    daemon.start(f"--config={daemon.folder / 'zendeskd.toml'}", environ=life.environ)
    daemon.stop()
    life.zendeskd("doctor", code=None)
    life.zendeskd("check", "--online", code=None)
    life.zendeskd("rotate-key")
    life.zendeskd("restore", str(file), "--yes")
    life.zendeskd("doctor", "--json", code=None)
    return accounts


def enter_good_ones(life: Life, simulator: Simulator) -> dict[str, Account]:
    accounts = {}
    for kind in KINDS:
        org = kind.replace("_", "-")
        account = accounts[org] = simulator.add_account(org, tickets=40, kind=kind)
        account.access.client_secret = f"{ODD}-{kind}"
        account.access.token = f"{ODD}-token"
        account.access.bearer = LONG
        for name, secret in account.credential.items():
            if name not in {"kind", "clientId", "email"}:
                life.secrets.add(f"{name} of {org}", secret)
        life.secrets.add(f"Basic header of {org}", basic(account.email, f"{ODD}-token")[6:])
        given = json.dumps(account.credential).encode()
        where = [f"--base-url={account.base_url}", f"--interval={NEVER}", "--lookback=all"]
        life.ctl("org", "add", org, *where, "--credentials=-", "--json", given=given)
    return accounts


def enter_others(life: Life, server: Loopback) -> None:
    """What is refused by Zendesk, by us, and what is repeated."""
    add, url = life.daemon.add, server.url
    for number, (kind, parts) in enumerate(WRONG.items()):
        for name, secret in parts.items():
            if name not in {"clientId", "email"}:
                life.secrets.add(f"wrong {name} of {kind}", secret)
        simulated = life.daemon.client.organization(KINDS[number].replace("_", "-")).integrations[0].base_url
        add(f"wrong-{number}", simulated, {"kind": kind, **parts})
    life.secrets.add("access token of echo", "access-token-of-echo")
    life.secrets.add("refresh token of echo", "refresh-token-of-echo")
    for way, kinds in WAYS.items():
        for kind in kinds:
            org = f"{way}-{kind.replace('_', '-')}"
            parts = {name: f"{value}-{way}" for name, value in WRONG[kind].items()}
            for name, secret in parts.items():
                if name not in {"clientId", "email"}:
                    life.secrets.add(f"{name} of {org}", secret)
            if kind == "api_token":
                life.secrets.add(f"Basic header of {org}", basic(parts["email"], parts["token"])[6:])
            add(org, f"{url}/{way}", {"kind": kind, **parts})
    for number, secret in enumerate(REFUSED):
        life.secrets.add(f"refused {number}", secret)
        document = json.dumps({"kind": "bearer", "token": secret})
        life.ctl("credentials", "set", "bearer", given=document.encode(), code=2)
        life.ctl("credentials", "set", "bearer", "--kind=bearer", "--json", given=secret.encode(), code=None)
        broken = json.dumps({"kind": "bearer", "tokn": secret, secret[:3]: "x"}).encode()
        life.request("PUT", "/api/organizations/bearer/credentials/zendesk", broken)
        life.request("PUT", "/api/organizations/bearer/credentials/zendesk", document.encode()[:-2])
        life.request("POST", "/api/organizations", document.encode())
        life.request("POST", "/api/organizations/import", document.encode())
    life.secrets.add("password in a URL", PASSWORD)
    for part in ({"baseUrl": f"https://ana:{PASSWORD}@acme.zendesk.com"}, {"subdomain": f"ana:{PASSWORD}@acme"}):
        body: dict[str, Any] = {"id": "with-password", "integrations": [part]}
        life.request("POST", "/api/organizations", json.dumps(body).encode())
        life.request("POST", "/api/organizations/import", json.dumps({"organizations": [body]}).encode())
        with pytest.raises(ApiError):
            life.daemon.client.import_organizations(json.dumps({"organizations": [body]}).encode())


def a_bug(life: Life, account: Account) -> None:
    """A run that ends by an exception nobody expects, deep inside."""
    account.change(5)
    with sqlite3.connect(life.daemon.database, timeout=30) as connection:
        connection.execute(
            "CREATE TRIGGER a_bug BEFORE UPDATE ON flow_records WHEN new.organization_id = 'bearer'"
            " BEGIN SELECT raise(ABORT, 'a bug'); END"
        )
    run = life.daemon.ended(life.daemon.client.trigger("bearer").run_id)
    with sqlite3.connect(life.daemon.database, timeout=30) as connection:
        connection.execute("DROP TRIGGER a_bug")
    assert run.error_code == "internal_error"


def look(life: Life) -> None:
    """Everything that our programs show."""
    daemon = life.daemon
    while not list(daemon.log.parent.glob("*.1")):
        daemon.client.reload()
    for words in (
        ["status", "--json"],
        ["runs", "--json", "-n", "200"],
        ["log", "--level", "debug", "-n", "1000", "--json"],
        ["log", "--level", "debug", "-n", "300"],
        ["org", "list", "--json"],
        ["org", "export"],
        ["version", "--json"],
        ["health"],
        ["completion", "bash"],
        ["reload", "--json"],
        ["explain", "json400-bearer"],
        ["explain", "grant-oauth-refresh-token", "--json"],
        ["credentials", "check", "json422-api-token", "--json"],
        ["credentials", "check", "grant-oauth-refresh-token"],
    ):
        life.ctl(*words, code=None)
    for way in ("json400", "list404", "away"):
        life.request("POST", f"/api/organizations/{way}-bearer/check")
    values = {"system": "zendesk", "org": "json400-bearer", "id": "1"}
    for operation in OPERATIONS:
        if operation.method == "GET" and operation.name != "events":
            life.request("GET", operation.path.format(**values))
    for run in daemon.client.runs(limit=200).items:
        life.request("GET", f"/api/sync-logs/{run.id}")
    life.zendeskd("doctor", code=None)
    life.zendeskd("check", "--show")
    terminal = Terminal(sys.executable, "-m", "zendeskd.tui.program", f"--socket={daemon.socket}", **life.environ)
    try:
        terminal.until("connected", "blocked")
        terminal.type("\r")
        terminal.until("Organisations ›")
        terminal.type("d")
        terminal.until("boot ")
        terminal.type("\x03")
        terminal.ended()
        life.keep("dashboard", terminal._bytes)
    finally:
        terminal.close()
