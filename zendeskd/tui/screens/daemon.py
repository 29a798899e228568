"""The daemon itself: version, who may use it, threads, database, what it may still ask of each account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlsplit

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.worker import Worker

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.models import SYSTEMS
from zendeskd.tui import about
from zendeskd.tui.bindings import BACK, SCROLLING
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.state import Key
from zendeskd.tui.widgets.lines import Note
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

AGAIN_S: Final = 5.0
"""While it is looked at, what no event tells is asked again so often."""


class DaemonScreen(Framed):
    BINDINGS: ClassVar[list[BindingType]] = [BACK, *SCROLLING]
    SHOWN: ClassVar[Sequence[str]] = ("back", "scroll-down", "scroll-up", "help", "quit")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("quit", "scroll-up", "scroll-down")

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self._fleet = dashboard.fleet
        self._health: wire.Health | None = None
        self._asked_at = dashboard.now()
        self._asking: Worker[None] | None = None
        self._hosts: dict[Key, str] = {}
        self._trouble = ""

    def body(self) -> ComposeResult:
        with VerticalScroll(id="facts", classes="panel"):
            yield Note("")

    def on_mount(self) -> None:
        box = self.query_one("#facts")
        entitle(box, "Daemon")
        box.focus()
        self._load_hosts()
        self._load()

    def draw(self) -> None:
        box = self.query_one("#facts")
        cells = box.scrollable_content_region.width
        lines = [piece for line in self._lines() for piece in _broken(line, cells)]
        self.query_one(Note).show("\n".join(lines))
        is_due = self._asked_ago_s() >= AGAIN_S and (self._asking is None or self._asking.is_finished)
        if is_due and self.is_current and self._fleet.is_live:
            self._asking = self._load()

    def happened(self, event: wire.Event) -> None:
        if event.event == "daemon":
            self._load(with_status=False)  # the event says what of it changed

    def reconnected(self) -> None:
        self._load_hosts()
        self._load()

    def action_scroll(self, by: int) -> None:
        self.query_one("#facts").scroll_relative(y=by, animate=False)

    def _asked_ago_s(self) -> float:
        """As of the moment that the screen shows: while the connection is lost, time does not go on."""
        now = self.dashboard.now() if self._fleet.is_live else self._fleet.heard_at or self._asked_at
        return max(0.0, (now - self._asked_at).total_seconds())

    @work(exclusive=True, group="daemon")
    async def _load(self, *, with_status: bool = True) -> None:
        app = self.dashboard
        try:
            self._health, self._trouble = await app.client.health(), ""
            self._asked_at = app.now()
            if with_status:
                self._fleet.set_daemon(await app.client.status(), app.now() - self._fleet.skew)
        except ZendeskdError as error:
            self._trouble = present.clean(error.detail)
        self.draw_frame()

    @work(exclusive=True, group="hosts")
    async def _load_hosts(self) -> None:
        """Which account each integration reads: what is left of a rate limit is left to an account."""
        try:
            lists = [await self.dashboard.client.sync_config(system) for system in SYSTEMS]
        except ZendeskdError:
            return  # the names of the organisations stand there instead
        self._hosts = {
            (one.organization_id, one.system_type): urlsplit(one.base_url).netloc
            for each in lists
            for one in each.items
        }
        self.draw_frame()

    def _lines(self) -> list[str]:
        app, daemon = self.dashboard, self._fleet.daemon
        if daemon is None:
            return [" not connected yet"]
        now, items = app.now(), self._fleet.items.values()
        said = [f"   {app.times.clock(at, now)}  {message}" for at, message in reversed(self._fleet.daemon_events)]
        return [
            *about.facts(daemon, self._fleet.busy, about.last_comparison(items, now), now, app.times),
            "",
            *self._threads(),
            "",
            *about.budgets(items, self._hosts),
            "",
            " What the daemon said while this dashboard was connected",
            *(said or ["   nothing"]),
        ]

    def _threads(self) -> list[str]:
        failed = [f" Threads: cannot be asked: {self._trouble}"] if self._trouble else []
        if self._health is None:
            return failed or [" Threads: asking ..."]
        return [*failed, *about.threads(self._health, self._asked_ago_s())]


def _broken(line: str, cells: int) -> list[str]:
    """In lines that fit; what goes on stands below the text, not below its label."""
    return present.wrapped(line, cells, indent=about.LABEL_CELLS) if cells else [line]
