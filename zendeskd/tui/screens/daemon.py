"""The daemon itself: version, threads, database, what it may still ask of each account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.tui import cards
from zendeskd.tui.bindings import BACK
from zendeskd.tui.rows import name_of
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.widgets.lines import Note
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard


class DaemonScreen(Framed):
    BINDINGS: ClassVar[list[BindingType]] = [BACK]
    SHOWN: ClassVar[Sequence[str]] = ("back", "help", "quit")

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        self._fleet = dashboard.fleet
        self._health: wire.Health | None = None
        self._trouble = ""

    def body(self) -> ComposeResult:
        with VerticalScroll(id="facts", classes="panel"):
            yield Note("")

    def on_mount(self) -> None:
        box = self.query_one("#facts")
        entitle(box, "Daemon")
        box.focus()
        self._load()

    def draw(self) -> None:
        self.query_one(Note).show("\n".join(self._lines()))

    def happened(self, event: wire.Event) -> None:
        if event.event == "daemon":
            self._load()

    def reconnected(self) -> None:
        self._load()

    @work(exclusive=True, group="health")
    async def _load(self) -> None:
        try:
            self._health, self._trouble = await self.dashboard.client.health(), ""
        except ZendeskdError as error:
            self._trouble = present.clean(error.detail)
        self.draw_frame()

    def _lines(self) -> list[str]:
        app, daemon = self.dashboard, self._fleet.daemon
        if daemon is None:
            return [" not connected yet"]
        now, clean = app.now(), present.clean
        database = daemon.database
        since = f"{app.times.clock(daemon.started_at, now)}, up {present.since(daemon.started_at, now)}"
        config = clean(daemon.config_file) or "none, the defaults"
        lines = [
            f" version   {clean(daemon.version)}, API {daemon.api_version}",
            f" process   pid {daemon.pid}, boot {clean(daemon.boot_id)}",
            f" started   {since}",
            f" config    {config}, loaded {app.times.clock(daemon.config_loaded_at, now)}",
            f" socket    {clean(daemon.socket)}; you are {clean(daemon.role)}",
            f" log       {clean(daemon.log_file)}",
            f" database  {clean(database.path)}, {present.size(database.bytes)}, "
            f"WAL {present.size(database.wal_bytes)}, {present.number(database.records)} records",
            f" trouble   {clean(database.trouble) or 'none'}",
            f" workers   {min(self._fleet.busy, daemon.workers)} of {daemon.workers} busy",
            f" compared  {self._last_comparison()}",
            f" backup    {'not known' if daemon.backup is None else present.backups(daemon.backup, now)}",
            "",
            *self._threads(),
            "",
            *self._budgets(),
            " What the daemon said while this dashboard was connected",
        ]
        said = [f"   {app.times.clock(at, now)}  {message}" for at, message in reversed(self._fleet.daemon_events)]
        return [*lines, *(said or ["   nothing"])]

    def _threads(self) -> list[str]:
        if self._health is None:
            return [f" Threads   {self._trouble or 'reading ...'}"]
        health = self._health
        word = "ok" if health.ok else "NOT WELL"
        moved = (f"   {present.clean(name):<16} moved {age:.0f}s before" for name, age in health.threads.items())
        return [f" Threads when asked: {word}, {present.clean(health.detail)}", *moved]

    def _budgets(self) -> list[str]:
        items = self._fleet.items.values()
        known = [(name_of(item), item.budgets or (item.run.budgets if item.run else [])) for item in items]
        told = [(name, cards.budgets(found)) for name, found in known if found]
        if not told:
            return []
        return [" Rate limits", *(f"   {name:<16} {text}" for name, text in told), ""]

    def _last_comparison(self) -> str:
        """The newest one of all organisations."""
        ended = [item for item in self._fleet.items.values() if item.reconciled and item.reconciled.finished_at]
        if not ended:
            return "none yet"
        newest = max(ended, key=lambda item: (item.reconciled and item.reconciled.finished_at) or "")
        assert newest.reconciled is not None
        return f"{name_of(newest)} {present.verified(newest.reconciled, self.dashboard.now())}"
