"""What all screens share: the first line, the banner of a lost connection, the keys that work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from zendeskd import present, wire
from zendeskd.present import Cell
from zendeskd.tui import headline
from zendeskd.tui.bindings import BACK, CHANGING
from zendeskd.tui.widgets.keys import Keys
from zendeskd.tui.widgets.lines import Lines
from zendeskd.tui.widgets.painting import entitle, wrapped

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard


class Framed(Screen[None]):
    """`SHOWN`: ids of the bindings in the last line; `FIRST_TO_GO`: which yield first to a narrow terminal."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK]
    SHOWN: ClassVar[Sequence[str]] = ("help", "quit")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("quit",)

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def compose(self) -> ComposeResult:
        yield Lines(lambda cells: [self.headline(cells)], id="headline")
        yield Lines(self._banner, id="banner")
        yield from self.body()
        yield Keys(
            self.SHOWN, self.FIRST_TO_GO, needless=self.needless_hints, ascii_only=self.dashboard.voice.ascii_only
        )

    def on_mount(self) -> None:
        self.draw_frame()

    # --- what each screen says for itself -------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """What stands between the first line and the keys."""
        raise NotImplementedError

    def draw(self) -> None:
        """Bring what is shown up to date; called at most four times a second, and each second."""

    def happened(self, event: wire.Event) -> None:
        """An event newer than the snapshot, for screens that keep more than the fleet has."""

    def reconnected(self) -> None:
        """The connection is back, or events were lost: what such screens keep may be old."""

    def times_changed(self) -> None:
        """Instants are shown another way from now on."""

    def needless_hints(self) -> Collection[str]:
        """Bindings of SHOWN that say nothing new just now."""
        return ()

    def headline(self, cells: int) -> list[Cell]:
        app = self.dashboard
        now = app.now()
        return headline.headline(
            app.fleet, app.address, now, app.times.header(now), cells, is_read_only=app.options.read_only
        )

    # --- the frame ------------------------------------------------------------------------------------------------

    def draw_frame(self) -> None:
        top, banner = self.query_one_optional("#headline", Lines), self.query_one_optional("#banner", Lines)
        if not self.is_mounted or self not in self.app.screen_stack or top is None or banner is None:
            return  # not there yet, or being taken away: the frame that was asked for comes too late
        app = self.dashboard
        self.set_class(app.fleet.connection.phase not in {"live", "connecting"}, "-lost")
        top.draw()
        banner.display = headline.is_shown(app.fleet, app.now())
        if banner.display:
            entitle(banner, "No connection" if app.fleet.heard_at is None else "Connection lost")
            banner.draw()
        self.draw()

    def on_screen_resume(self) -> None:
        self.draw_frame()

    def on_grid_resized(self) -> None:
        self.draw_frame()

    def _banner(self, cells: int) -> list[list[Cell]]:
        app = self.dashboard
        said = headline.banner(app.fleet, app.address, app.now())
        lines = [[line] if present.width(line) <= cells else wrapped(line, cells) for line in said]
        return [[Cell(line)] for pieces in lines for line in pieces]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in CHANGING:
            return self.dashboard.may_change
        return True

    def action_back(self) -> None:
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()
