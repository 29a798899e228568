"""A daemon that does nothing but talk: made-up organisations and a steady stream of events on a real Unix socket.

    python benchmarks/standin.py SOCKET ORGANISATIONS TICKETS

Says "ready", then takes a number of events a second on each line of its input, and ends with it. Of four events three
are an integration's whole new status, every other of them of one of the first twenty, which the dashboard shows; the
fourth is a line of the log. So much of what comes has to be drawn.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from zendeskd import __version__, wire
from zendeskd.models import SYSTEMS, stamp

SHOWN = 20
BATCH_S = 0.02
_BEGAN = datetime.now(UTC)


def _at(**span: float) -> str:
    return stamp(datetime.now(UTC) + timedelta(**span))


def _past(org: str, number: int) -> wire.RunSummary:
    return wire.RunSummary(
        id=number, organization_id=org, system_type="zendesk", trigger="schedule", requested_by=None, status="success",
        queued_at=_at(minutes=-2), started_at=_at(minutes=-2), synced_at=_at(minutes=-1), duration_ms=5200,
        records_processed=48, records_created=4, records_updated=44, records_unchanged=0, records_deleted=0,
        records_failed=0, pages=1, api_calls=2, retries=0, rate_limit_wait_ms=0, end_reason="end_of_stream",
        error_code=None, error_message=None,
    )  # fmt: skip


def _live(number: int, records: int) -> wire.LiveRun:
    return wire.LiveRun(
        id=number, kind="sync", trigger="schedule", requested_by=None, started_at=_at(seconds=-40),
        pages=records // 100, records=records, created=12, updated=records - 12, unchanged=0, deleted=0, failed=0,
        rate=40.0, progress=records % 1000 / 1000, eta_s=48, api_calls=31, retries=0, waiting_until=None,
        waiting_for=None, budgets=[],
    )  # fmt: skip


def _status(number: int) -> wire.SyncStatus:
    org = f"org-{number:04}"
    return wire.SyncStatus(
        organization_id=org, organization_name=org.title(), system_type="zendesk", state="idle", health="ok", why="",
        explanation=wire.Explanation(happened="The last run was fine.", daemon="The next one comes soon.", you=""),
        is_active=True, interval="*/15 * * * *", timezone="America/New_York", next_run_at=_at(minutes=30 + number % 30),
        last_sync_at=_at(minutes=-(number % 50) - 2), last_success_at=_at(minutes=-(number % 50) - 2),
        last_status="success", consecutive_failures=0, last_error=None, total_records=12_000 + number,
        records_today=311, failures_today=0, run=None, queued_run_id=None,
        recent_runs=[_past(org, 10 * number - each) for each in range(8)],
        credential=wire.CredentialStatus(kind="api_token", expires_at=None), watermark=None, stopped_by=None,
        stop_reason=None, stopped_until=None, late_s=None, reconciled=None, skipped_ticks=0, budgets=[],
    )  # fmt: skip


def _ticket(number: int) -> wire.RecordItem:
    return wire.RecordItem(
        id=number, organization_id=f"org-{number % 500:04}", source_system="zendesk", record_type="ticket",
        external_id=f"{100_000 + number}", url=None, title=f"Ticket {number:05} about the export of invoices",
        status="open", priority="normal", requester="Ada", assignee="Grace", group_name="Support", customer="Acme",
        tags=["invoice"], created_at=_at(days=-3), updated_at=_at(seconds=-number), deleted_at=None,
        synced_at=_at(minutes=-1),
    )  # fmt: skip


class StandIn(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, organisations: int, tickets: int) -> None:
        self.path = path
        self.fleet = {"zendesk": [_status(number) for number in range(1, organisations + 1)]}
        self.tickets = [_ticket(number) for number in range(tickets)]
        self.per_s = 0.0
        super().__init__(path, _Talk)

    def get_request(self) -> tuple[Any, Any]:
        connection, _ = super().get_request()
        return connection, ("unix", 0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A dashboard that was killed is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def status(self) -> wire.DaemonStatus:
        count = len(self.fleet["zendesk"])
        return wire.DaemonStatus(
            version=__version__, api_version=wire.API_VERSION, boot_id="bench", pid=1, started_at=stamp(_BEGAN),
            now=_at(), uptime_s=0, workers=8, workers_busy=0, queue_length=0, organizations=count, integrations=count,
            health={"ok": count}, database=wire.DatabaseStatus(path="", bytes=10**8, wal_bytes=0, records=count),
            config_file=None, config_loaded_at=stamp(_BEGAN), socket=self.path, log_file="", role="operator", seq=0,
        )  # fmt: skip

    def event(self, number: int) -> wire.Event:
        items = self.fleet["zendesk"]
        item = items[(number % SHOWN if number % 2 else number) % len(items)]
        if number % 4 == 3:
            log = {"at": _at(), "level": "info", "event": "page stored", "org": item.organization_id, "run": number}
            return wire.Event(seq=number, event="log", at=_at(), log=log)
        said = wire.Explanation(happened=f"A run has {number} records.", daemon="It goes on.", you="")
        run = _live(number, number)
        item = msgspec.structs.replace(item, state="running", run=run, explanation=said, last_success_at=_at())
        return wire.Event(seq=number, event="integration", at=_at(), item=item)


class _Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/api/events":
            self._stream(float(query["heartbeatS"][0]))
        elif parts.path == "/api/status":
            self._send(self.server.status())
        elif parts.path == "/api/records":
            begin, limit = int(query.get("after", ["0"])[0]), int(query.get("limit", ["100"])[0])
            items, end = self.server.tickets[begin : begin + limit], begin + limit
            self._send(wire.RecordList(items=items, next=str(end) if end < len(self.server.tickets) else None))
        elif parts.path.endswith("/sync-status") and (system := parts.path.split("/")[2]) in SYSTEMS:
            self._send(wire.SyncStatusList(seq=0, items=self.server.fleet.get(system, [])))
        else:
            self._send(wire.Problem(title="No", status=404, code="not_found", detail=parts.path), 404)

    def _send(self, reply: msgspec.Struct, status: int = 200) -> None:
        content = msgspec.json.encode(reply)
        self.send_response(status)
        self.send_header("content-type", "application/json" if status == 200 else "application/problem+json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, heartbeat_s: float) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.end_headers()
        hello = wire.Event(seq=0, event="hello", at=_at(), boot_id="bench", version=__version__)
        pause, numbers, owed = threading.Event(), itertools.count(1), 0.0
        paid_at = said_at = time.monotonic()
        content = msgspec.json.encode(hello) + b"\n"
        try:
            while True:
                if content:
                    self.wfile.write(content)
                    said_at = time.monotonic()
                pause.wait(BATCH_S)
                owed += self.server.per_s * (time.monotonic() - paid_at)
                paid_at = time.monotonic()
                events = [self.server.event(next(numbers)) for _ in range(int(owed))]
                owed -= len(events)
                content = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
                if not content and time.monotonic() - said_at >= heartbeat_s:
                    content = b"\n"
        except OSError:  # the dashboard has gone
            return


def main(path: str, organisations: int, tickets: int) -> None:
    with StandIn(path, organisations, tickets) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            server.per_s = float(line)
        server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
