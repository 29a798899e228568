"""One run: its numbers, its course page by page, its error, its own log lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from zendeskd import __version__, present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell
from zendeskd.tui import course, run_text
from zendeskd.tui.bindings import BACK, COPY, FOLLOW, PANEL, WRAP
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.widgets.grid import Grid, GridRow
from zendeskd.tui.widgets.lines import Lines
from zendeskd.tui.widgets.log import LogView
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

PAGE: Final = 1000
"""Log lines that are read at once: a page of a large run is one of them."""

ROOM_FOR_THE_COURSE: Final = 18
"""Lines of a terminal from which on there is room for the table beside numbers and log."""

COPIED_MAX: Final = 60_000
"""Characters that are copied: what many terminals take of an OSC 52 text."""


class RunScreen(Framed):
    """`org` is clean text."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK, PANEL, COPY, FOLLOW, WRAP]
    SHOWN: ClassVar[Sequence[str]] = ("back", "panel", "copy", "follow", "wrap", "time-style", "help")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("time-style", "wrap")

    def __init__(self, dashboard: Dashboard, run_id: int, org: str) -> None:
        super().__init__()
        self.run_id, self._org = run_id, org
        self._fleet, self._voice = dashboard.fleet, dashboard.voice
        self._run: wire.RunDocument | None = None
        self._trouble = ""
        self._steps: list[course.Step] = []
        self._steps_of: tuple[object, int] = (None, -1)

    def body(self) -> ComposeResult:
        yield Lines(self._facts, id="facts", classes="panel")
        with Vertical(id="course", classes="panel"):
            yield Grid(course.columns(98), ascii_only=self._voice.ascii_only)
        log = LogView(
            self._fleet,
            self._time,
            self.dashboard.client.logs,
            run=self.run_id,
            page=PAGE,
            id="run-log",
            ascii_only=self._voice.ascii_only,
        )
        log.add_class("panel")
        yield log

    def on_mount(self) -> None:
        arrow = ">" if self._voice.ascii_only else "›"
        entitle(self.query_one("#facts"), f"Organisations {arrow} {self._org} {arrow} run {self.run_id}")
        log = self.query_one(LogView)
        log.again()
        log.focus()
        self._load()

    def draw(self) -> None:
        app, log, grid = self.dashboard, self.query_one(LogView), self.query_one(Grid)
        log.draw()
        self._follow_the_course(log)
        self.query_one("#facts", Lines).draw()
        box = self.query_one("#course")
        box.set_class(not self._steps or self.size.height < ROOM_FOR_THE_COURSE, "-empty")
        if not self._steps or self._run is None:
            return
        chosen = course.columns(self.size.width - 2)
        now, by_key = app.now(), {step.key: step for step in self._steps}

        def row(key: Any) -> GridRow:
            return course.row(by_key[key], chosen, now, app.times)

        is_on_top = not grid.keys or grid.cursor_key == grid.keys[0]
        grid.show_keys([step.key for step in self._steps], row, chosen)
        if is_on_top:  # there the newest stays in view
            grid.move_to(self._steps[0].key)
        run = self._with_live(self._run)
        entitle(box, course.title(self._steps, run.pages if run.live is None else run.live.pages))

    def _follow_the_course(self, log: LogView) -> None:
        """Tell it anew, when the run or its log changed."""
        if self._run is not None and self._steps_of != (self._run, log.revision):
            self._steps_of = (self._run, log.revision)
            self._steps = course.steps(self._run, log.lines)

    def _facts(self, cells: int) -> list[list[Cell]]:
        app = self.dashboard
        if self._run is None:
            return [[Cell(self._trouble or "reading ...")]]
        troubles = course.troubles(self._steps, app.now(), app.times)
        return run_text.facts(self._with_live(self._run), self._voice, app.now(), app.times, cells, troubles)

    def _with_live(self, run: wire.RunDocument) -> wire.RunDocument:
        """With the numbers that the events bring while it goes on."""
        item = self._fleet.items.get((run.organization_id, run.system_type))
        live = None if item is None or item.run is None or item.run.id != run.id else item.run
        return msgspec.structs.replace(run, live=live)

    def _time(self, text: str) -> str:
        return self.dashboard.times.clock(text, self.dashboard.now())

    def on_log_view_changed(self) -> None:
        log = self.query_one(LogView)
        entitle(log, f"Log · run {self.run_id} · {log.state}")
        self.draw()

    def happened(self, event: wire.Event) -> None:
        if event.run is not None and event.run.id == self.run_id:
            self._load()

    def reconnected(self) -> None:
        self._load()

    def times_changed(self) -> None:
        self.query_one(LogView).again()

    @work(exclusive=True, group="run")
    async def _load(self) -> None:
        try:
            self._run = await self.dashboard.client.run(self.run_id)
        except ZendeskdError as error:
            self._trouble = present.clean(f"run {self.run_id} cannot be read: {error.detail}")
        self.draw_frame()

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """What to send to somebody who helps: the run, its course and its log lines. None of them has secrets."""
        if self._run is None:
            return
        text, lines, left_out = self._bundle(self._run)
        self.app.copy_to_clipboard(text)
        cut = f" ({left_out} older ones left out)" if left_out else ""
        self.dashboard.tell(f"copied (if your terminal allows): run {self.run_id} and {lines} log lines{cut}")

    def _bundle(self, run: wire.RunDocument) -> tuple[str, int, int]:
        """-> the text, how many log lines are in it, and how many are not."""
        daemon = self._fleet.daemon
        bundle: dict[str, Any] = {
            "zendeskd": None if daemon is None else daemon.version,
            "zendeskd-tui": __version__,
            "run": msgspec.to_builtins(run),
            "course": [course.plain(step) for step in self._steps],
        }
        lines = [f"{line.at} {line.level} {line.event} {line.rest}" for line in self.query_one(LogView).lines]
        room = COPIED_MAX - len(json.dumps(bundle, indent=1))
        kept: list[str] = []
        for line in reversed(lines):
            room -= len(json.dumps(line)) + 4
            if room < 0:
                break
            kept.insert(0, line)
        left_out = len(lines) - len(kept)
        text = json.dumps({**bundle, "log": kept, **({"logLeftOut": left_out} if left_out else {})}, indent=1)
        return text, len(kept), left_out

    def action_panel(self) -> None:
        """From the log to the table, and back."""
        log, grid = self.query_one(LogView), self.query_one(Grid)
        (grid if log.has_focus and grid.keys else log).focus()

    def action_follow(self) -> None:
        log = self.query_one(LogView)
        log.follow(not log.is_following)

    def action_wrap(self) -> None:
        log = self.query_one(LogView)
        log.wrap(not log.is_wrapping)
