"""The tickets of the local copy: one organisation's, some organisations' or all, newest change first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.timer import Timer

from zendeskd import present, wire
from zendeskd.client import DaemonUnreachable
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell
from zendeskd.tui import finding, record_text, records, search
from zendeskd.tui.bindings import BACK, COPY, TICKET_LIST
from zendeskd.tui.pages import Pages
from zendeskd.tui.screens import copying
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.screens.record import RecordScreen
from zendeskd.tui.state import Key, key_of
from zendeskd.tui.widgets.field import Field
from zendeskd.tui.widgets.grid import Grid, GridRow
from zendeskd.tui.widgets.lines import Lines, Note
from zendeskd.tui.widgets.painting import entitle, two_ends, wrapped

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

AHEAD: Final = 60
"""So many rows are there below what is seen, as long as there are more: the next page is read before it is needed."""

DEBOUNCE_S: Final = 0.2
"""A search begins so long after the last letter."""

SLOW_S: Final = 0.3
"""An answer that takes longer is told to be on its way."""

EVERY_S: Final = 5.0
"""The top of the list is read again when something was stored, and what failed is tried again; no more often."""

Stored = tuple[int, str | None, str | None]


class TicketsScreen(Framed):
    """`orgs`: those that are looked at; none: all organisations."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK, COPY, *TICKET_LIST]
    SHOWN: ClassVar[Sequence[str]] = ("open", "search", "tickets", "copy", "time-style", "back", "help")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("time-style", "help", "tickets")

    def __init__(self, dashboard: Dashboard, orgs: Sequence[str] = ()) -> None:
        super().__init__()
        self._fleet, self._voice = dashboard.fleet, dashboard.voice
        self._narrow, self._is_wide = tuple(orgs), not orgs
        self._typed = ""
        self._typing: Timer | None = None
        self._pages: Pages | None = None  # what is shown
        self._coming: Pages | None = None  # what is asked for in its place
        self._followed: Pages | None = None  # what a worker is reading on
        self._misread = self._trouble = ""  # what of the search was not understood; what could not be read
        self._has_failed = False  # what was asked for did not come
        self._is_stale = False  # something was stored since the top was read
        self._is_newer = False  # and there are newer ones than those shown
        self._is_on_top = True  # nobody has gone down the list
        self._stored: dict[Key, Stored] = {}  # what the organisations had when the top was read
        self._looked_at = self._asked_at = float("-inf")  # when the top was read, or failed; when a list was asked for
        self._widths, self._title_cells = records.Widths(), 0

    def body(self) -> ComposeResult:
        with Vertical(id="tickets", classes="panel"):
            yield Grid(records.columns(98), ascii_only=self._voice.ascii_only)
            yield Note("", id="note")
        yield Lines(self._said, id="said")
        yield Field(search.PLACEHOLDER, id="search")

    def on_mount(self) -> None:
        self.query_one(Grid).focus()
        self._begin()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw_frame)  # other columns fit

    def needless_hints(self) -> Collection[str]:
        return () if self._narrow else {"tickets"}

    # --- which organisations --------------------------------------------------------------------------------------

    @property
    def _orgs(self) -> tuple[str, ...]:
        """Those that are shown; none: all."""
        return () if self._is_wide else self._narrow

    def _items(self) -> list[wire.SyncStatus]:
        """The integrations that fill the list."""
        return [item for key, item in self._fleet.items.items() if not self._orgs or key[0] in self._orgs]

    def _is_gone(self) -> bool:
        """Forget the organisations that were removed. -> whether none is left."""
        if not self._narrow or self._fleet.heard_at is None:
            return False
        there = {org for org, _ in self._fleet.items}
        left = tuple(org for org in self._narrow if org in there)
        if left and left != self._narrow:
            self._narrow = left
            self._begin()
        return not left and not self._is_wide

    # --- drawing --------------------------------------------------------------------------------------------------

    def headline(self, cells: int) -> list[Cell]:
        if not self._fleet.is_live:
            return super().headline(cells)
        app, ascii_only = self.dashboard, self._voice.ascii_only
        now, clock = app.now(), app.times.header(app.now())
        room = cells - present.width(clock) - 1
        said = records.heading(self._orgs, self._items(), ">" if ascii_only else "›", app.times, now, room)
        return [Cell(two_ends(said, clock, cells, ascii_only=ascii_only))]

    def draw(self) -> None:
        if self._is_gone():
            if self.is_current:
                self.dashboard.tell(f"{present.clean(', '.join(self._narrow[:3]))} is not there any more", "warning")
                self.app.pop_screen()
            return
        self._keep_up()
        pages, app, is_live = self._pages, self.dashboard, self._fleet.is_live
        panel, grid, note = self.query_one("#tickets"), self.query_one(Grid), self.query_one("#note", Note)
        items, pattern = ({}, None) if pages is None else (pages.items, finding.words(pages.search.words))
        self._widths.measure(items)
        chosen = self._widths.columns(panel.content_size.width, has_orgs=len(self._orgs) != 1)
        self._title_cells = chosen[-1].cells

        def row(key: int) -> GridRow:
            return records.row(items[key], chosen, app.times, app.now(), pattern=pattern, is_faded=not is_live)

        grid.show_keys(() if pages is None else pages.keys, row, chosen)
        said = records.note(pages, self._orgs, self.dashboard.address.zendeskctl, is_live=is_live and not self._trouble)
        note.show(said)
        note.display, grid.display = bool(said), not said
        is_slow = self._coming is not None and self._now_s() - self._asked_at > SLOW_S
        entitle(panel, records.title(pages, is_slow=is_slow, is_newer=self._is_newer))
        lines = self.query_one("#said", Lines)
        lines.display = bool(self._misread or self._trouble)
        lines.draw()

    def _said(self, cells: int) -> list[list[Cell]]:
        return [[Cell(line, "warn")] for line in wrapped(self._misread or self._trouble, max(10, cells))[:3]]

    # --- reading --------------------------------------------------------------------------------------------------

    def _begin(self, *, to_first: bool = True) -> None:
        """Ask for the list from its top; what is shown stays until the answer is there."""
        wanted = search.parse(self._typed)
        orgs: Sequence[str] = self._orgs
        self._misread, self._has_failed = wanted.trouble, False
        if wanted.org is not None:
            orgs = search.chosen(wanted.org, orgs or sorted({org for org, _ in self._fleet.items}))
            if not orgs:
                among = " among these; r shows all" if self._orgs else ""
                self._misread = f"there is no organisation with {present.clean(wanted.org)} in its name{among}"
        if self._misread:
            self._coming = self._followed = None
            self.workers.cancel_group(self, "pages")
            return

        async def ask(limit: int, after: str | None) -> wire.RecordList:
            return await self.dashboard.client.records(
                orgs, status=wanted.status, system=wanted.system, tag=wanted.tag, deleted=wanted.deleted,
                query=" ".join(wanted.words) or None, limit=limit, after=after,
            )  # fmt: skip

        self._coming, self._asked_at = Pages(ask, wanted, self._typed), self._now_s()
        self._follow(self._coming, to_first=to_first)

    def _follow(self, pages: Pages, *, to_first: bool = False) -> None:
        self._followed = pages
        self._read(pages, to_first=to_first)

    @work(exclusive=True, group="pages")
    async def _read(self, pages: Pages, *, to_first: bool = False) -> None:
        """Until there is enough below what is seen, or nothing more. A later one ends this one."""
        try:
            if pages is self._coming:
                self._remember()
                await pages.read()
                self._show(pages, to_first=to_first)
            while self._wants_more(pages) and not pages.is_reading:
                self.dashboard.changed()
                await pages.read()
                self._trouble = ""
        except ZendeskdError as error:
            self._has_failed = pages is self._coming
            self._coming = None
            self._fail(error)
        self._followed = None
        self.draw_frame()

    def _show(self, pages: Pages, *, to_first: bool) -> None:
        self._pages, self._coming, self._trouble, self._is_newer = pages, None, "", False
        self.draw_frame()
        if to_first:
            self._is_on_top = True
            self.query_one(Grid).action_edge(0)

    def _fail(self, error: ZendeskdError) -> None:
        """A connection that is gone is told by the first line."""
        self._looked_at = self._now_s()
        if not isinstance(error, DaemonUnreachable) or self._fleet.is_live:
            hint = f"; {error.hint}" if error.hint else ""
            self._trouble = present.clean(f"cannot be read: {error.detail}{hint}")

    def _cursor_place(self) -> int:
        return 0 if self._pages is None else self._pages.places.get(self.query_one(Grid).cursor_key, 0)

    def _wants_more(self, pages: Pages) -> bool:
        """A wheel scrolls without the cursor."""
        grid = self.query_one(Grid)
        seen = max(self._cursor_place(), int(grid.scroll_y)) + grid.size.height
        return not pages.is_over and len(pages) - seen <= AHEAD

    def _keep_up(self) -> None:
        """Ask for what is needed next, if it is not asked for already."""
        if not self._fleet.is_live or self._coming is not None:
            return
        pages = self._pages
        if self._has_failed:
            if self._is_due():
                self._begin(to_first=False)
        elif self._is_newer and self._is_on_top and self.query_one(Grid).scroll_y == 0:
            self._is_newer = False
            self._look_again(to_first=True)
        elif self._is_stale and self._is_due():
            self._look_again()
        elif pages is None or pages is self._followed or (self._trouble and not self._is_due()):
            return
        elif self._wants_more(pages):
            self._follow(pages)

    def on_grid_moved(self) -> None:
        self._is_on_top = self._cursor_place() == 0
        self._keep_up()

    # --- what was stored meanwhile --------------------------------------------------------------------------------

    def happened(self, event: wire.Event) -> None:
        item = event.item
        if item is not None and (not self._orgs or item.organization_id in self._orgs):
            self._is_stale |= self._stored.get(key_of(item)) != _stored(item)
        elif event.event == "links" and (not self._orgs or event.organization_id in self._orgs):
            self._is_stale = True  # their number is in the list

    def reconnected(self) -> None:
        """From the top again where somebody is on top; else what is read stays."""
        self._trouble, self._looked_at, self._is_stale = "", float("-inf"), True
        if self._pages is None or self._has_failed or self._is_on_top:
            self._begin(to_first=False)

    def _remember(self) -> None:
        self._stored = {key_of(item): _stored(item) for item in self._items()}
        self._is_stale, self._looked_at = False, self._now_s()

    def _now_s(self) -> float:
        return self.dashboard.now().timestamp()

    def _is_due(self) -> bool:
        return not 0 <= self._now_s() - self._looked_at < EVERY_S

    @work(exclusive=True, group="top")
    async def _look_again(self, *, to_first: bool = False) -> None:
        """Read the top again. It is shown to whoever is there; others are told that it is newer."""
        pages, grid = self._pages, self.query_one(Grid)
        self._remember()
        if pages is None:
            return
        try:
            anew = await pages.again()
        except ZendeskdError as error:
            self._is_stale = True
            self._fail(error)
            return
        if self._pages is not pages or self._coming is not None:
            return
        self._trouble = ""
        stays = grid.cursor_key is None or grid.cursor_key in anew.items
        if to_first or (self._is_on_top and grid.scroll_y == 0 and stays):
            self._show(anew, to_first=to_first)
        elif anew.newest != pages.newest:
            self._is_newer = True
            self.draw_frame()

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_tickets(self) -> None:
        if not self._narrow:
            self.dashboard.tell("these are all organisations")
            return
        self._is_wide = not self._is_wide
        self._begin()
        self.draw_frame()

    def action_search(self) -> None:
        self.query_one(Field).open()

    def on_input_changed(self) -> None:
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(DEBOUNCE_S, self._search)

    def _search(self) -> None:
        typed = " ".join(self.query_one(Field).value.split())
        if typed != self._typed:
            self._typed = typed
            self._begin()
            self.draw_frame()

    def on_input_submitted(self) -> None:
        self._search()
        self._close_search()

    def _close_search(self) -> None:
        self.query_one(Field).close(self.query_one(Grid))

    def action_back(self) -> None:
        """First out of the search."""
        field = self.query_one(Field)
        if not field.is_open and not self._typed:
            super().action_back()
            return
        field.value = ""
        self._close_search()
        self._search()

    def action_find(self, by: int) -> None:
        """To the next row in whose title a mark is seen; to the next one where nothing is looked for."""
        pages, grid = self._pages, self.query_one(Grid)
        if pages is None or not len(pages):
            return
        pattern, cells = finding.words(pages.search.words), self._title_cells
        for place in range(self._cursor_place() + by, len(pages) if by > 0 else -1, by):
            key = pages.keys[place]
            if pattern is None or finding.spans(present.cut(records.title_of(pages.items[key]), cells), pattern):
                grid.move_to(key)
                return
        more = "" if by < 0 or pages.is_over else " in what was read so far"
        self.dashboard.tell(f"no {'further' if by > 0 else 'earlier'} match{more}", "warning")

    def on_grid_opened(self, event: Grid.Opened) -> None:
        words = () if self._pages is None else self._pages.search.words
        self.app.push_screen(RecordScreen(self.dashboard, event.key, words))

    def action_copy(self) -> None:
        key = self.query_one(Grid).cursor_key
        if self._pages is None or (item := self._pages.items.get(key)) is None:
            return
        url, command = present.clean(item.url), record_text.command(self.dashboard.address.zendeskctl, item)
        copying.offer(self.dashboard, [("id", present.clean(item.external_id)), ("URL", url), ("command", command)])


def _stored(item: wire.SyncStatus) -> Stored:
    """What changes when a run stores something, or ends well."""
    return (item.total_records, item.watermark, item.last_success_at)
