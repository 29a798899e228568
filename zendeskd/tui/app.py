"""The application: one connection, one fleet, the screens on top of them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import events, work
from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.timer import Timer

from zendeskd import __version__, present, wire
from zendeskd.address import Address
from zendeskd.client import AsyncClient
from zendeskd.models import utcnow
from zendeskd.present import Voice
from zendeskd.ssh import Tunnel
from zendeskd.tui import choices
from zendeskd.tui.actions import Actions
from zendeskd.tui.bindings import EVERYWHERE
from zendeskd.tui.choices import Choices
from zendeskd.tui.keyboard import Keyboard, Through, Typed
from zendeskd.tui.link import DELAYS_S, FROZEN_S, Link, Severity
from zendeskd.tui.palette import Palette
from zendeskd.tui.screens.acting import Acting
from zendeskd.tui.screens.daemon import DaemonScreen
from zendeskd.tui.screens.dialog import Dialog
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.screens.help import Help
from zendeskd.tui.screens.log import LogScreen
from zendeskd.tui.screens.organization import OrganizationScreen
from zendeskd.tui.screens.overview import Overview
from zendeskd.tui.screens.tickets import TicketsScreen
from zendeskd.tui.state import Fleet, Key
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import Grid
from zendeskd.tui.widgets.plain import Plain
from zendeskd.unreachable import explain_unreachable

FRAME_S: Final = 0.25
"""At most four drawings a second, whatever happens."""

SAVED_AFTER_S: Final = 1.0
"""Choices are kept so soon, for a terminal that hangs up leaves no time for it."""

THEMES: Final = {"dark": "textual-dark", "light": "textual-light"}
"""Our names for two of the built-in themes; every other goes by its own."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line, what was last chosen, and the configuration ask for."""

    read_only: bool = False
    ascii: bool = False
    theme: str = "dark"
    order: str = "health"
    is_reversed: bool = False
    only_problems: bool = False
    filter: str = ""
    time_style: str = "relative"
    keymap: dict[str, str] = field(default_factory=dict)


class Dashboard(App[int]):
    """`tunnel` leads to the daemon's socket on another host; without one, `socket` is here, as an Address
    where it is known how commands for it begin. `choices_file` keeps what is chosen here for the next start; None:
    nothing is kept. `clock`, `monotonic` and `delays_s` are parameters for tests; the clock is this machine's, aware
    and UTC."""

    CSS_PATH = "zendeskd.tcss"
    TITLE = "zendeskd"
    COMMANDS: ClassVar[set[Any]] = {Palette}
    BINDINGS: ClassVar[list[BindingType]] = [*EVERYWHERE]
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (50, "-narrow"), (80, "-usual"), (96, "-wide")]  # noqa: RUF012 - Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (12, "-short"), (28, "-tall")]  # noqa: RUF012 - as above

    def __init__(
        self,
        socket: Path | Address,
        options: Options | None = None,
        *,
        tunnel: Tunnel | None = None,
        choices_file: Path | None = None,
        clock: Callable[[], datetime] = utcnow,
        monotonic: Callable[[], float] = time.monotonic,
        delays_s: Sequence[float] = DELAYS_S,
        frozen_s: float = FROZEN_S,
    ) -> None:
        super().__init__()
        self.options = options or Options()
        self.voice = Voice(ascii_only=self.options.ascii)
        self.times = TimeStyle(self.options.time_style)
        self.fleet = Fleet()
        self.when_up: Callable[[], None] | None = None  # called once: there are rows, or why there are none
        self._clock, self._monotonic = clock, monotonic
        self._key_at = self._drawn_at = float("-inf")
        self._frame: Timer | None = None
        self._keyboard = Keyboard(self, super().on_event)
        here = socket if isinstance(socket, Address) else Address(socket)
        self.address = here if tunnel is None else tunnel.address
        self.client = AsyncClient(
            here.socket if tunnel is None else tunnel.socket,
            user_agent=f"zendeskd-tui/{__version__}",
            explain=explain_unreachable if tunnel is None else tunnel.explain_at_once,
        )
        self.link = Link(self.client, self.fleet, self, now=clock, tunnel=tunnel, delays_s=delays_s, frozen_s=frozen_s)
        self.actions = Actions(self.client, self.fleet, self, self.address.zendeskctl)
        self._choices, self._choices_file = Choices(asdict(self.options)), choices_file
        self._saving: Timer | None = None
        self._plain = [Plain()] if self.options.ascii else []
        self.animation_level = "none"
        self.theme = THEMES.get(self.options.theme, self.options.theme)
        self.set_keymap(self.options.keymap)

    def on_mount(self) -> None:
        self.set_class(self.options.ascii, "-ascii")
        if not self.is_headless:  # leave the terminal as it was
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit, 128 + number)
        self.push_screen(Overview(self))
        self.set_interval(1.0, self.draw)
        self._follow()

    async def on_unmount(self) -> None:
        self._save_choices()
        await self.client.close()

    @work(exclusive=True, group="link")
    async def _follow(self) -> None:
        await self.link.run()

    # --- time -----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """By the daemon's clock."""
        return self._clock() + self.fleet.skew

    def since_key_s(self) -> float:
        """How long ago a key was pressed."""
        return self._monotonic() - self._key_at

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._key_at = self._monotonic()
        if isinstance(event, Typed) and not event.is_forwarded:
            await self._keyboard.take(event)
        else:
            await super().on_event(event)

    def on_keyboard_through(self, message: Through) -> None:
        self._keyboard.through(message)

    # --- drawing --------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something to draw: at once if it was quiet, else together with what comes until the next frame."""
        if self._frame is None:
            self._frame = self.set_timer(max(0.001, self._drawn_at + FRAME_S - time.monotonic()), self._draw_frame)

    def _draw_frame(self) -> None:
        self._frame = None
        self.draw()

    def draw(self) -> None:
        """Every screen that may be seen: the topmost whole one and what lies over it."""
        self._drawn_at = time.monotonic()
        for screen in reversed(self.screen_stack):
            if isinstance(screen, Framed):
                screen.draw_frame()
                return
            if isinstance(screen, Dialog) and screen.is_mounted:  # one that opens at this moment has no widgets yet
                screen.draw()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._plain]

    # --- the link tells -------------------------------------------------------------------------------------------

    def happened(self, event: wire.Event) -> None:
        self.actions.confirm(event)
        for screen in self._framed:
            screen.happened(event)

    def tell(self, text: str, severity: Severity = "information") -> None:
        self.notify(present.clean(text), severity=severity, markup=False)

    def phase_changed(self) -> None:
        if self.fleet.is_live:
            self._read_again()
        else:
            self.actions.forget()
        for screen in self.screen_stack:
            screen.refresh_bindings()
        self.draw()
        if self.when_up is not None:
            self.when_up()
            self.when_up = None

    def reloaded(self) -> None:
        self.actions.forget()  # what was asked may be done
        self._read_again()

    def _read_again(self) -> None:
        for screen in self._framed:
            screen.reconnected()

    @property
    def _framed(self) -> list[Framed]:
        return [screen for screen in self.screen_stack if isinstance(screen, Framed) and screen.is_mounted]

    @property
    def may_change(self) -> bool:
        """Whether keys that change something are there: the daemon decides, `--read-only` narrows."""
        return self.fleet.is_live and self.fleet.role == "operator" and not self.options.read_only

    # --- keys that work everywhere --------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "reconnect":
            return not self.fleet.is_live
        return True

    def action_reconnect(self) -> None:
        self.link.reconnect()

    def action_time_style(self) -> None:
        self.times = self.times.next()
        self.remember(time_style=self.times.name)
        self.tell(f"times: {self.times.name}")
        for screen in self._framed:
            screen.times_changed()
        self.draw()

    def action_help(self) -> None:
        self.push_screen(Help(self.screen))

    def action_backup(self) -> None:
        self.run_worker(self.actions.backup(), group="actions")

    def action_reload(self) -> None:
        self.run_worker(self.actions.reload(), group="actions")

    @property
    def theme_names(self) -> list[str]:
        """Ours first; then Textual's."""
        return [*THEMES, *sorted(name for name in self.available_themes if name not in THEMES.values())]

    def use_theme(self, name: str) -> None:
        self.theme = THEMES.get(name, name)
        self.remember(theme=name)

    # --- what was chosen ------------------------------------------------------------------------------------------

    def remember(self, **chosen: object) -> None:
        """Keep it for the next start, once the keys are at rest."""
        if self._choices.keep(**chosen) and self._saving is None:
            self._saving = self.set_timer(SAVED_AFTER_S, self._save_choices)

    def _save_choices(self) -> None:
        self._saving = None
        if self._choices_file is not None:
            choices.write(self._choices_file, self._choices.take())

    # --- screens --------------------------------------------------------------------------------------------------

    def open(self, key: Key) -> None:
        """Show that organisation."""
        overview = next(screen for screen in self.screen_stack if isinstance(screen, Overview))
        while self.screen is not overview:
            self.pop_screen()
        overview.query_one(Grid).move_to(key)
        self.push_screen(OrganizationScreen(self, key))

    def action_log(self) -> None:
        screen = self.screen
        if not isinstance(screen, LogScreen):
            marked = screen.marked if isinstance(screen, Overview) else ()
            one = [screen.key] if isinstance(screen, OrganizationScreen) else marked
            self.push_screen(LogScreen(self, sorted({org for org, _ in one})))

    def action_tickets(self) -> None:
        """Of what is looked at or marked; of all organisations where nothing is."""
        screen = self.screen
        if isinstance(screen, TicketsScreen):
            return
        keys = screen.targets() if isinstance(screen, Acting) else []
        if isinstance(screen, Overview) and not keys:
            self.tell("there is no organisation here yet", "warning")
            return
        self.push_screen(TicketsScreen(self, list(dict.fromkeys(org for org, _ in keys))))

    def action_daemon(self) -> None:
        if not isinstance(self.screen, DaemonScreen):
            self.push_screen(DaemonScreen(self))

    async def action_quit(self) -> None:
        self.exit(0)

    def copy(self, text: str, *, said: str = "") -> None:
        """One OSC 52 write, to which no terminal answers. `said`: what to tell instead of the text."""
        self.copy_to_clipboard(text)
        self.tell(f"copied (if your terminal allows): {said or text}")
