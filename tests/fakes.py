"""Stand-ins for what a test wants to steer: the clock, and a source whose pages are a list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from zendeskd.cancel import CancelToken
from zendeskd.connectors.base import CredentialDoor
from zendeskd.models import (
    BudgetView,
    CallStats,
    Identity,
    Integration,
    Page,
    Position,
    Record,
    State,
    Waiting,
)

START = datetime(2026, 11, 23, 14, 0, 30, tzinfo=UTC)


class FakeClock:
    """A wall clock and a monotonic one that move only when told to."""

    def __init__(self, start: datetime = START) -> None:
        self.wall, self.ticks = start, 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, **span: float) -> None:
        moved = timedelta(**span)
        self.wall += moved
        self.ticks += moved.total_seconds()

    def step(self, **span: float) -> None:
        """The host's clock is set; real time does not pass."""
        self.wall += timedelta(**span)


def record(number: int, version: int = 1, **fields: object) -> Record:
    raw = f'{{"id":{number},"v":{version}}}'
    known: dict[str, object] = {
        "external_id": str(number),
        "record_type": "ticket",
        "source_version": version,
        "content_hash": raw.encode(),
        "raw": raw.encode(),
        "title": f"Ticket {number}",
        "updated_at": f"2026-11-23T10:00:{version % 60:02}.000Z",
    }
    return Record(**{**known, **fields})  # type: ignore[arg-type]


def page(*numbers: int, cursor: str | None = "c", end: bool = False, version: int = 1) -> Page:
    return Page(
        records=[record(n, version) for n in numbers],
        end_of_stream=end,
        cursor=cursor,
        watermark=START - timedelta(minutes=1),
    )


def integration(**fields: object) -> Integration:
    known: dict[str, object] = {
        "id": 1,
        "organization_id": "acme",
        "organization_name": "Acme",
        "system_type": "zendesk",
        "base_url": "https://acme.zendesk.com",
        "strategy": "export",
        "is_active": True,
        "sync_interval": "*/15 * * * *",
        "timezone": "America/New_York",
        "lookback": "7d",
        "state": State.IDLE,
        "credential_kind": "api_token",
    }
    return Integration(**{**known, **fields})  # type: ignore[arg-type]


Step = Page | Exception | Callable[[], Page]


class ScriptedSource:
    """Yields its script: pages, errors to raise, or functions that return a page (and may block)."""

    def __init__(self, script: Sequence[Step], still_there: Sequence[Record] = ()) -> None:
        self.script, self.still_there = script, still_there
        self.calls = CallStats()
        self.positions: list[Position] = []
        self.closed = threading.Event()

    def pages(self, position: Position) -> Iterator[Page]:
        self.positions.append(position)
        for step in self.script:
            self.calls.api_calls += 1
            if isinstance(step, Exception):
                raise step
            yield step if isinstance(step, Page) else step()

    def census(self, since: Position) -> Iterator[Page]:
        return self.pages(since)

    def confirm(self, external_ids: Sequence[str]) -> list[Record]:
        return [one for one in self.still_there if one.external_id in external_ids]

    def check(self) -> Identity:
        self.probe()
        return Identity(user="Ana", role="admin", account="acme")

    def probe(self) -> None:
        for step in self.script:
            if isinstance(step, Exception):
                raise step

    def budgets(self) -> tuple[BudgetView, ...]:
        return ()

    def close(self) -> None:
        self.closed.set()


class ScriptedConnector:
    """Opens the next of its scripts each time (the last one again and again), by organisation if given as a mapping."""

    def __init__(self, scripts: Sequence[Sequence[Step]]) -> None:
        self.scripts = list(scripts)
        self.opened: list[ScriptedSource] = []
        self.waits: list[Callable[[Waiting | None], None]] = []
        self.cancels: list[CancelToken] = []

    def open(
        self,
        integration: Integration,
        credentials: CredentialDoor,
        cancel: CancelToken,
        on_wait: Callable[[Waiting | None], None],
    ) -> ScriptedSource:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        source = ScriptedSource(script)
        self.opened.append(source)
        self.waits.append(on_wait)
        self.cancels.append(cancel)
        return source
