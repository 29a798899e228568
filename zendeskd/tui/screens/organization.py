"""One organisation: what goes on, how good its copy is, its runs, its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell
from zendeskd.tui import cards, run_text
from zendeskd.tui.bindings import BACK, COPY, FOLLOW, TICKETS
from zendeskd.tui.screens.acting import Acting
from zendeskd.tui.screens.run import RunScreen
from zendeskd.tui.state import Key
from zendeskd.tui.widgets.grid import Grid
from zendeskd.tui.widgets.lines import Lines
from zendeskd.tui.widgets.log import LogView
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

PAGE: int = 100


class OrganizationScreen(Acting):
    BINDINGS: ClassVar[list[BindingType]] = [BACK, COPY, FOLLOW, TICKETS]
    SHOWN: ClassVar[Sequence[str]] = (
        "back", "open", "trigger", "start", "stop", "interval", "cancel", "tickets", "follow", "help",
    )  # fmt: skip
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("start", "cancel", "follow", "open")

    def __init__(self, dashboard: Dashboard, key: Key) -> None:
        super().__init__()
        self.key = key
        self._fleet, self._voice = dashboard.fleet, dashboard.voice
        self._runs: list[wire.RunSummary] = []
        self._next: str | None = None
        self._trouble = ""

    @property
    def _item(self) -> wire.SyncStatus | None:
        return self._fleet.items.get(self.key)

    def body(self) -> ComposeResult:
        with Horizontal(id="cards"):
            yield Lines(self._run_lines, id="run-card", classes="panel")
            yield Lines(self._data_lines, id="data-card", classes="panel")
        yield Lines(self._data_line, id="data-line")
        with Vertical(id="runs", classes="panel"):
            yield Grid(run_text.columns(98), ascii_only=self._voice.ascii_only)
        log = LogView(
            self._fleet,
            self._time,
            self.dashboard.client.logs,
            orgs=[self.key[0]],
            id="log",
            ascii_only=self._voice.ascii_only,
        )
        log.add_class("panel")
        yield log

    def on_mount(self) -> None:
        self.query_one(Grid).focus()
        entitle(self.query_one("#data-card"), "Data")
        self._load()

    def targets(self) -> list[Key]:
        return [self.key]

    # --- drawing --------------------------------------------------------------------------------------------------

    def headline(self, cells: int) -> list[Cell]:
        item, app = self._item, self.dashboard
        if item is None or not self._fleet.is_live:
            return super().headline(cells)
        clock = app.times.header(app.now())
        line = cards.breadcrumb(item, self._voice, app.now())
        room = cells - present.width(clock) - 1
        shown: list[Cell] = []
        for cell in line:
            shown.append(Cell(present.cut(cell.text, room), cell.tone))
            room -= present.width(shown[-1].text)
        return [*shown, Cell(" " * (room + 1) + clock)]

    def draw(self) -> None:
        if self._item is None and self._fleet.heard_at is not None and self.is_current:
            self.dashboard.tell(f"{present.clean(self.key[0])} is not there any more", "warning")
            self.app.pop_screen()
            return
        app = self.dashboard
        head = "" if (item := self._item) is None else cards.run_card(item, self._voice, app.now(), app.times, 50)[0]
        entitle(self.query_one("#run-card"), head)
        for each in self.query("#cards Lines, #data-line").results(Lines):
            each.draw()
        grid = self.query_one(Grid)
        chosen = run_text.columns(self.query_one("#runs").content_size.width)
        grid.show(
            run_text.rows(
                item, self._runs, chosen, self._voice, app.now(), app.times, is_faded=not self._fleet.is_live
            ),
            chosen,
        )
        entitle(self.query_one("#runs"), self._trouble or run_text.title(self._runs, app.now()))
        self.query_one("#log", LogView).draw()

    def _run_lines(self, cells: int) -> list[list[Cell]]:
        app = self.dashboard
        if (item := self._item) is None:
            return []
        return cards.run_card(item, self._voice, app.now(), app.times, cells)[1]

    def _data_lines(self, cells: int) -> list[list[Cell]]:
        app = self.dashboard
        return [] if (item := self._item) is None else cards.data_card(item, app.now(), app.times)

    def _data_line(self, cells: int) -> list[list[Cell]]:
        """The card in one line, for narrow terminals."""
        line: list[Cell] = []
        for each in self._data_lines(cells)[:3]:
            room = cells - sum(present.width(cell.text) for cell in line)
            line += [Cell(present.cut(f"{' · ' if line else ''}{cell.text}", max(0, room)), cell.tone) for cell in each]
        return [line]

    def _time(self, text: str) -> str:
        return self.dashboard.times.clock(text, self.dashboard.now())

    def on_log_view_changed(self) -> None:
        log = self.query_one("#log", LogView)
        entitle(log, f"Log · {present.clean(self.key[0])} · {log.level} and above · {log.state}")

    # --- its runs -------------------------------------------------------------------------------------------------

    def happened(self, event: wire.Event) -> None:
        """A run of it began or ended: that is a line more, or another one."""
        run = event.run
        if run is None or (run.organization_id, run.system_type) != self.key:
            return
        for index, known in enumerate(self._runs):
            if known.id == run.id:
                self._runs[index] = run
                return
        self._runs.insert(0, run)

    def reconnected(self) -> None:
        self._load()

    @work(exclusive=True, group="runs")
    async def _load(self, after: str | None = None) -> None:
        org, system = self.key
        try:
            page = await self.dashboard.client.runs(org, system=system, limit=PAGE, after=after)
        except ZendeskdError as error:
            self._trouble = f"Runs · cannot be read: {present.clean(error.detail)}"
        else:
            known = {run.id for run in page.items}
            self._runs = [run for run in self._runs if after is not None and run.id not in known] + list(page.items)
            self._next, self._trouble = page.next, ""
        self.draw_frame()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Older ones are read as one scrolls to them."""
        if self._next is not None and self._runs and event.key == self._runs[-1].id:
            after, self._next = self._next, None
            self._load(after)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        self.app.push_screen(RunScreen(self.dashboard, event.key, present.clean(self.key[0])))

    def action_copy(self) -> None:
        self.dashboard.copy(present.clean(self.key[0]))

    def action_follow(self) -> None:
        log = self.query_one("#log", LogView)
        log.follow(not log.is_following)
