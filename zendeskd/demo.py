"""`zendeskd demo`: a made-up Zendesk on loopback, the real daemon on a throw-away folder, and a fleet to look at.

Some organisations are in trouble on purpose. `--once` syncs all of them, compares every ticket with what the simulator
would send now, byte for byte, and shows the database; without it everything goes on until ctrl+c.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from zendeskd import logs, wire
from zendeskd.client import Client
from zendeskd.errors import ZendeskdError
from zendeskd.simulator import Account, Simulator

READY_WITHIN_S: Final = 30.0
SYNCED_WITHIN_S: Final = 120.0
QUERIES: Final = (
    "SELECT * FROM sync_logs ORDER BY synced_at DESC LIMIT 10;",
    "SELECT source_system, COUNT(*) FROM flow_records GROUP BY source_system;",
    "SELECT * FROM integrations WHERE system_type = 'zendesk';",
)


@dataclass(frozen=True)
class Cast:
    """One organisation of the demo. `ends` is the status its run should come to, `trouble` what is made wrong."""

    org: str
    name: str
    tickets: int
    trouble: str = ""
    ends: str = "success"
    credential: str = "oauth_client_credentials"
    strategy: str = "export"
    interval: str = "* * * * *"
    faults: tuple[tuple[str, dict[str, Any]], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every ticket should arrive."""
        return self.ends == "success"


CAST: Final = (
    Cast("acme-eu", "Acme Europe", 6000, interval="*/2 * * * *"),
    Cast("acme-us", "Acme Americas", 2500, credential="api_token"),
    Cast("globex", "Globex", 800, "its token was revoked", "failed", "bearer", faults=(("unauthorized", {}),)),
    Cast(
        "hooli",
        "Hooli",
        3000,
        "Zendesk limits its rate for a moment",
        faults=(("rate_limited", {"times": 1, "after": 1, "retry_after": "3"}),),
    ),
    Cast(
        "initech",
        "Initech",
        1200,
        "its connections are cut now and then",
        credential="oauth_refresh_token",
        faults=(("reset", {"times": 2, "after": 1}), ("status", {"times": 1, "status": 503})),
    ),
    Cast("soylent", "Soylent", 900, strategy="list", credential="api_token"),
    Cast(
        "stark",
        "Stark Industries",
        1500,
        "its big pages time out",
        faults=(("too_big", {"times": 2, "above": 300}),),
    ),
    Cast(
        "tyrell",
        "Tyrell",
        700,
        "one of its tickets cannot be read",
        "partial",
        faults=(("malformed_ticket", {"times": 1, "variant": "no_id"}),),
    ),
    Cast("vandelay", "Vandelay", 0, "there is no such account", "failed"),
    Cast("wayne", "Wayne Enterprises", 400, options={"latency_s": 0.2}),
    Cast("wonka", "Wonka", 40, credential="bearer"),
)


def main(*, once: bool) -> int:
    """-> 0 if every ticket of every healthy organisation arrived (or, without `once`, the demo was ended)."""
    logs.quiet()  # the simulator hangs up on purpose, which its server would report
    folder = Path(tempfile.mkdtemp(prefix="zendeskd-demo-"))
    try:
        with Simulator(seed=7) as simulator, _daemon(folder) as (process, socket):
            accounts = _build(simulator)
            with Client(socket) as client:
                _wait_until_ready(client, process)
                started = time.monotonic()
                for cast in CAST:
                    client.add_organization(_specification(cast, simulator, accounts))
                if not once:
                    return _look_around(folder, socket, accounts, process)
                _say(f"syncing {len(CAST)} organisations ...")
                runs = _wait_for_runs(client, process)
                took_s = time.monotonic() - started
            return _report(folder / "state" / "zendeskd.db", runs, accounts, took_s)
    except ZendeskdError as error:
        _say(f"demo: {error.detail}", error.hint, f"the daemon's log: {folder / 'log' / 'sync-service.log'}")
        _say(_tail(folder / "log" / "sync-service.log"))
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- the stage --------------------------------------------------------------------------------------------------------


def _build(simulator: Simulator) -> dict[str, Account]:
    accounts = {}
    for cast in CAST:
        if not cast.tickets:
            continue
        account = simulator.add_account(
            cast.org, tickets=cast.tickets, export_per_minute=600, account_per_minute=2000, **cast.options
        )
        for kind, options in cast.faults:
            account.fault(kind, **{"on": "tickets", "times": None, **options})
        accounts[cast.org] = account
    return accounts


def _specification(cast: Cast, simulator: Simulator, accounts: dict[str, Account]) -> wire.OrganizationSpec:
    account = accounts.get(cast.org)
    base_url = f"{simulator.url}/accounts/{cast.org}" if account is None else account.base_url
    known = {"kind": "api_token", "email": "nobody@example.com", "token": "none"}
    credential = known if account is None else account.credential_of(cast.credential)
    return wire.OrganizationSpec(
        id=cast.org,
        name=cast.name,
        integrations=[
            wire.IntegrationSpec(
                base_url=base_url,
                interval=cast.interval,
                lookback="all",
                strategy=cast.strategy,
                credentials=msgspec.Raw(msgspec.json.encode(credential)),
            )
        ],
    )


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    command = [sys.executable, "-m", "zendeskd", "run"]
    command += [f"--state-dir={folder / 'state'}", f"--runtime-dir={folder / 'run'}", f"--log-dir={folder / 'log'}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ZENDESKD_")}
    environ["XDG_CONFIG_HOME"] = str(folder)  # the demo is the same whatever this machine's settings are
    process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process, folder / "run" / "control.sock"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(client: Client, process: subprocess.Popen[bytes]) -> None:
    deadline, pause = time.monotonic() + READY_WITHIN_S, threading.Event()
    while True:
        try:
            client.health()
        except ZendeskdError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            pause.wait(0.05)
        else:
            return


def _wait_for_runs(client: Client, process: subprocess.Popen[bytes]) -> dict[str, wire.RunSummary]:
    """The first run of each organisation that came to an end of the kind it should come to, or its last one."""
    wanted = {cast.org: cast.ends for cast in CAST}
    found: dict[str, wire.RunSummary] = {}
    deadline, pause = time.monotonic() + SYNCED_WITHIN_S, threading.Event()
    while len(found) < len(wanted) and time.monotonic() < deadline and process.poll() is None:
        for item in client.sync_status("zendesk").items:
            for run in reversed(item.recent_runs):
                if run.status == wanted[item.organization_id]:
                    found.setdefault(item.organization_id, run)
        pause.wait(0.1)
    for item in client.sync_status("zendesk").items:
        if item.recent_runs:
            found.setdefault(item.organization_id, item.recent_runs[0])
    return found


def _look_around(folder: Path, socket: Path, accounts: dict[str, Account], process: subprocess.Popen[bytes]) -> int:
    """Keep things happening until ctrl+c."""
    programs = Path(sys.executable).parent
    dashboard = [f"  {programs}/zendeskd-tui                   the dashboard"] if find_spec("textual") else []
    _say(
        "",
        "The daemon runs. In another terminal:",
        f"  export ZENDESKD_SOCKET={socket}",
        *dashboard,
        f"  {programs}/zendeskctl                     all organisations",
        f"  {programs}/zendeskctl explain globex      why, and what to do",
        f"  {programs}/zendeskctl watch               one line a change",
        f"  sqlite3 {folder / 'state' / 'zendeskd.db'}",
        "ctrl+c here ends it and removes everything.",
    )
    pause, turn = threading.Event(), 0
    with contextlib.suppress(KeyboardInterrupt):
        while process.poll() is None:
            for place, account in enumerate(accounts.values()):
                if turn % (place + 2) == 0:
                    account.add(3)
                    account.change(5)
            turn += 1
            pause.wait(5)
    return 0 if process.poll() is None else 1


# --- the result -------------------------------------------------------------------------------------------------------


def _report(database: Path, runs: dict[str, wire.RunSummary], accounts: dict[str, Account], took_s: float) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows, wrong, total = [], [], 0
        for cast in CAST:
            run = runs.get(cast.org)
            sent = accounts[cast.org].tickets() if cast.org in accounts else {}
            stored = _stored(connection, cast.org)
            total += len(stored)
            same = sum(stored.get(key) == raw for key, raw in sent.items())
            verdict = _verdict(cast, run, len(sent), same, len(stored))
            if verdict.startswith("WRONG"):
                wrong.append(cast.org)
            rows.append(
                (
                    cast.org,
                    run.status if run else "-",
                    f"{len(sent):,}",
                    f"{len(stored):,}",
                    f"{same:,}",
                    str(run.pages) if run else "-",
                    f"{run.retries}" if run else "-",
                    verdict,
                )
            )
        _print("", *_table(("ORG", "RUN", "THERE", "HERE", "IDENTICAL", "PAGES", "RETRIES", ""), rows))
        for query in QUERIES:
            _print("", f"sqlite> {query}", *_answer(connection, query))
    whole = [cast for cast in CAST if cast.is_whole]
    _print("", f"{total:,} tickets of {len(rows)} organisations in {took_s:.1f} s.")
    if wrong:
        _print(f"Not as it should be: {', '.join(wrong)}.")
        return 1
    _print(f"Every ticket of the {len(whole)} organisations that can be read is here, byte for byte.")
    return 0


def _verdict(cast: Cast, run: wire.RunSummary | None, there: int, same: int, here: int) -> str:
    if run is None or run.status != cast.ends:
        return f"WRONG: should have ended {cast.ends}" + (f", {run.error_message}" if run else ", did not run")
    if cast.is_whole and not there == same == here:
        return "WRONG: not every ticket is here as it was sent"
    if cast.trouble:
        return f"on purpose: {cast.trouble}" + (f" ({run.error_code})" if run.error_code else "")
    return ""


def _stored(connection: sqlite3.Connection, org: str) -> dict[int, bytes]:
    rows = connection.execute("SELECT external_id, raw FROM flow_records WHERE organization_id = ?", (org,))
    return {int(external_id): raw.encode() for external_id, raw in rows}


def _answer(connection: sqlite3.Connection, query: str) -> list[str]:
    cursor = connection.execute(query)
    names = tuple(column[0] for column in cursor.description)
    return _table(names, [tuple(_cell(value) for value in row) for row in cursor])


def _cell(value: object) -> str:
    text = "" if value is None else str(value).replace("\n", " ")
    return text if len(text) <= 32 else text[:31] + "…"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def _tail(path: Path, lines: int = 10) -> str:
    try:
        return "\n".join(path.read_text().splitlines()[-lines:])
    except OSError:
        return ""


def _print(*texts: str) -> None:
    sys.stdout.write("".join(f"{text}\n" for text in texts))
    sys.stdout.flush()


def _say(*texts: str) -> None:
    sys.stderr.write("".join(f"{text}\n" for text in texts))
    sys.stderr.flush()
