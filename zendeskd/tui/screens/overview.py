"""The list of organisations: is anything wrong, why, does it need me."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input

from zendeskd import present, wire
from zendeskd.present import Cell
from zendeskd.tui import rows
from zendeskd.tui.bindings import LISTING, TICKETS
from zendeskd.tui.listing import BY_COLUMN, Listing
from zendeskd.tui.screens import copying
from zendeskd.tui.screens.acting import Acting
from zendeskd.tui.state import Key, key_of
from zendeskd.tui.widgets.field import Field
from zendeskd.tui.widgets.grid import Grid, GridRow
from zendeskd.tui.widgets.lines import Counts, Lines, Note
from zendeskd.tui.widgets.log import LogView
from zendeskd.tui.widgets.painting import entitle, wrapped

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

HOLD_S: Final = 2.0
"""After a key the list keeps its order for so long: nothing moves under a hand."""

EMPTY: Final = """
 No organisations yet. Add the first:

   {0} org add acme --subdomain acme
   {0} credentials set acme < token.txt
   {0} trigger acme

 Many at once: {0} org import FILE       A try-out: zendeskd demo"""


class Overview(Acting):
    """`listing` is how the list is arranged; `marked` the integrations that actions take."""

    BINDINGS: ClassVar[list[BindingType]] = [*LISTING, TICKETS]
    SHOWN: ClassVar[Sequence[str]] = (
        "open", "trigger", "start", "stop", "interval", "cancel", "tickets", "filter", "log", "help", "quit",
    )  # fmt: skip
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("quit", "filter", "cancel")

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__()
        asked = dashboard.options
        self.listing = Listing(asked.order, asked.is_reversed, asked.only_problems, asked.filter)
        self.marked: set[Key] = set()
        self._voice, self._ascii = dashboard.voice, dashboard.voice.ascii_only
        self._fleet = dashboard.fleet
        self._items: list[wire.SyncStatus] = []  # as they stand
        self._order: list[Key] = []
        self._longest = 0  # cells of the longest name
        self._arranged_at: tuple[int, Listing] | None = None
        self._arranged_as: Listing | None = None
        self._later: Timer | None = None

    def body(self) -> ComposeResult:
        yield Counts(self._voice)
        with Vertical(id="organisations", classes="panel"):
            yield Grid(rows.columns(98, 0), ascii_only=self._ascii)
            yield Note("", id="note")
        yield Field("words, !word, state:failing, system:, last:", id="filter")
        yield Lines(self._sentences, id="sentences")
        log = LogView(self._fleet, self._time, self.dashboard.client.logs, id="log", ascii_only=self._ascii)
        log.can_focus = False
        log.add_class("panel")
        yield log

    def on_mount(self) -> None:
        self.query_one(Grid).focus()
        self._title_log()

    def needless_hints(self) -> Collection[str]:
        return {"log"} if self.query_one("#log").display else ()

    # --- drawing --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        app, fleet = self.dashboard, self._fleet
        items = self._arranged()
        grid, note = self.query_one(Grid), self.query_one("#note", Note)
        chosen = rows.columns(self.query_one("#organisations").content_size.width, self._longest)

        known = {key_of(item): item for item in items}  # one may be removed before the list is drawn again

        def row(key: Key) -> GridRow:
            return rows.row(
                fleet.items.get(key) or known[key], chosen, self._voice, app.now(),
                times=app.times, marked=self.marked, asked=app.actions.asked, is_faded=not fleet.is_live,
            )  # fmt: skip

        grid.show_keys(self._order, row, chosen)
        said = self._note(items)
        note.show(said)
        note.display, grid.display = bool(said), not said
        if grid.display and self.focused is None:
            grid.focus()  # what is not shown loses the focus
        entitle(self.query_one("#organisations"), self._title(len(items)))
        self.query_one("#sentences", Lines).draw()
        self.query_one("#log", LogView).draw()

    def _arranged(self) -> list[wire.SyncStatus]:
        """In order; in the order it had while a hand is on the keys, unless that hand changed the order."""
        state = (self._fleet.revision, self.listing)
        if state == self._arranged_at:
            return self._items
        self._arranged_at = state
        self.marked &= self._fleet.items.keys()
        self.query_one(Counts).show([item.health for item in self._fleet.items.values()])
        items = self.listing.arranged(self._fleet.items.values())
        held_s = HOLD_S - self.dashboard.since_key_s()
        if held_s > 0 and self._arranged_as == self.listing and self._order:
            places = {key: place for place, key in enumerate(self._order)}
            held = sorted(items, key=lambda item: places.get(key_of(item), len(places)))
            if held != items:
                self._arranged_at = None
                self._later = self._later or self.set_timer(held_s, self._hold_over)
            items = held
        self._items, self._order, self._arranged_as = items, [key_of(item) for item in items], self.listing
        self._longest = max((present.width(rows.name_of(item)) for item in items), default=0)
        return items

    def _hold_over(self) -> None:
        self._later = None
        self.dashboard.changed()

    def _title(self, shown: int) -> str:
        if self._fleet.heard_at is None:
            return "Organisations"  # how many there are is not known yet
        total = len(self._fleet.items)
        count = str(total) if shown == total else f"{shown} of {total}"
        hidden = len(self.marked.difference(self._order))
        marked = f" · {len(self.marked)} marked{f', {hidden} not shown' if hidden else ''}" if self.marked else ""
        doubt = " ?" if self._not_understood() else ""
        return f"Organisations {count}{marked} · {self.listing.order_words()} · {self.listing.filter_words()}{doubt}"

    def _not_understood(self) -> str:
        wrong = self.listing.not_understood(self._fleet.items.values())
        return f"Filter: {wrong}." if wrong else ""

    def _note(self, items: Sequence[wire.SyncStatus]) -> str:
        if self._fleet.heard_at is None:
            return "" if not self._fleet.is_live else self._empty()
        if not self._fleet.items:
            return self._empty()
        return "" if items else f"\n None of them matches. esc shows all again.\n\n {self._not_understood()}".rstrip()

    def _empty(self) -> str:
        return present.clean_block(EMPTY.format(self.dashboard.address.zendeskctl))

    def _sentences(self, cells: int) -> list[list[Cell]]:
        item = self._fleet.items.get(self.query_one(Grid).cursor_key)
        if item is None:
            return [[Cell("")], [Cell("")]]
        if wrong := self._not_understood():
            return [[Cell(f" {line}", "warn")] for line in [*wrapped(wrong, cells - 2), ""][:2]]
        return rows.sentences(item, self.dashboard.now(), cells, ascii_only=self._ascii)

    def _time(self, text: str) -> str:
        return self.dashboard.times.clock(text, self.dashboard.now())

    def _title_log(self) -> None:
        log = self.query_one("#log", LogView)
        entitle(log, f"Log · all orgs · {log.level} and above · {log.state}")

    def on_log_view_changed(self) -> None:
        self._title_log()

    def targets(self) -> list[Key]:
        if self.marked:
            return [key for key in self._order if key in self.marked] + sorted(self.marked - set(self._order))
        key = self.query_one(Grid).cursor_key
        return [] if key is None else [key]

    def times_changed(self) -> None:
        self.query_one("#log", LogView).again()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        self.dashboard.open(event.key)

    # --- keys -----------------------------------------------------------------------------------------------------

    def on_grid_moved(self) -> None:
        self.query_one("#sentences", Lines).draw()

    def on_grid_header_pressed(self, event: Grid.HeaderPressed) -> None:
        order = BY_COLUMN.get(event.column)
        if order is not None:
            turned = order == self.listing.order and not self.listing.is_reversed
            self._arrange(replace(self.listing, order=order, is_reversed=turned))

    def on_counts_pressed(self, event: Counts.Pressed) -> None:
        self._narrow(f"state:{event.word}")

    def action_health(self, place: int) -> None:
        words = self.query_one(Counts).words
        if place <= len(words):
            self._narrow(f"state:{words[place - 1]}")

    def _narrow(self, words: str) -> None:
        """Pressed again, it shows all."""
        self._arrange(replace(self.listing, filter="" if self.listing.filter == words else words))

    def action_order(self) -> None:
        self._arrange(self.listing.next_order())

    def action_reverse(self) -> None:
        self._arrange(replace(self.listing, is_reversed=not self.listing.is_reversed))

    def action_problems(self) -> None:
        self._arrange(replace(self.listing, only_problems=not self.listing.only_problems))

    def _arrange(self, listing: Listing) -> None:
        self.listing = listing
        self.dashboard.remember(**asdict(listing))
        self.draw_frame()

    def action_mark(self) -> None:
        grid = self.query_one(Grid)
        if grid.cursor_key is not None:
            self.marked ^= {grid.cursor_key}
            grid.action_move(1)
            self.draw_frame()

    def action_mark_all(self) -> None:
        shown = set(self.query_one(Grid).keys)
        self.marked = self.marked - shown if shown <= self.marked else self.marked | shown
        self.draw_frame()

    def action_copy(self) -> None:
        if (item := self._fleet.items.get(self.query_one(Grid).cursor_key)) is not None:
            copying.offer(self.dashboard, rows.copies(item, self.dashboard.address.zendeskctl))

    def action_filter(self) -> None:
        field = self.query_one(Field)
        field.value = self.listing.filter
        field.open()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._arrange(replace(self.listing, filter=event.value.strip()))

    def on_input_submitted(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one(Field).close(self.query_one(Grid))

    def action_back(self) -> None:
        """First out of the filter, then off the marks; there is nothing behind this screen."""
        if self.query_one(Field).is_open or self.listing.filter or self.listing.only_problems:
            self._close_filter()
            self._arrange(replace(self.listing, filter="", only_problems=False))
        elif self.marked:
            self.marked.clear()
            self.draw_frame()
