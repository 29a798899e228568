"""One record of the local copy, of any system: its fields, its body, its links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from zendeskd import present, wire
from zendeskd.client import ApiError
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell
from zendeskd.tui import finding, folding, link_text, record_text
from zendeskd.tui.bindings import COPY, PANEL
from zendeskd.tui.screens import copying
from zendeskd.tui.screens.link import LinkScreen
from zendeskd.tui.screens.searching import Searching
from zendeskd.tui.screens.source import SourceScreen
from zendeskd.tui.widgets.grid import Grid
from zendeskd.tui.widgets.lines import Note
from zendeskd.tui.widgets.painting import entitle, two_ends
from zendeskd.tui.widgets.reading import Lines, Reading

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

BARE: Final = (50, 12)
"""In fewer columns or lines than these there are only title, status and body, or the links."""

LOW: Final = 28
"""In fewer lines than this the most important fields stand before the body, the others after it."""

_OPEN: Final = Binding(
    "enter", "open", "Open link", key_display="⏎", id="open", tooltip="Open the link that the cursor is on"
)


class Text(Reading):
    """Title, fields and body. Enter is the links' own here too, so that it works wherever one reads."""

    BINDINGS: ClassVar[list[BindingType]] = [_OPEN]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "open" or self.screen.query_one(Links).cursor_key is not None

    def action_open(self) -> None:
        self.screen.query_one(Links).action_open()


class Links(Grid):
    BINDINGS: ClassVar[list[BindingType]] = [_OPEN]


class RecordScreen(Searching):
    """`record`: its local id. `words`: what it was found by, marked in title, fields and body."""

    BINDINGS: ClassVar[list[BindingType]] = [COPY, PANEL]
    SHOWN: ClassVar[Sequence[str]] = ("open", "panel", "search", "next-found", "copy", "wrap", "back", "help")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("next-found", "panel", "wrap")

    def __init__(self, dashboard: Dashboard, record: int, words: Sequence[str] = ()) -> None:
        super().__init__(words)
        self.record_id = record
        self.record: wire.RecordDocument | None = None
        self._voice, self._fleet = dashboard.voice, dashboard.fleet
        self._trouble = ""
        self._is_at_links = False
        self._is_old = False  # something happened while another screen was in front

    def body(self) -> ComposeResult:
        text = Text(self._around, id="record")
        text.add_class("panel")
        yield text
        with Vertical(id="links", classes="panel"):
            yield Links(link_text.columns((), 98), ascii_only=self._voice.ascii_only)
            yield Note("", id="no-links")
        yield self.find_field()

    def on_mount(self) -> None:
        self.query_one("#links").display = False
        self.query_one(Text).focus()
        self._load()

    def on_resize(self) -> None:
        self.draw_frame()

    @property
    def _is_bare(self) -> bool:
        return self.size.width < BARE[0] or self.size.height < BARE[1]

    # --- drawing --------------------------------------------------------------------------------------------------

    def headline(self, cells: int) -> list[Cell]:
        if self.record is None or not self._fleet.is_live:
            return super().headline(cells)
        app = self.dashboard
        now = app.now()
        left = record_text.breadcrumb(self.record, ">" if self._voice.ascii_only else "›", app.times, now)
        return [Cell(two_ends(left, app.times.header(now), cells, ascii_only=self._voice.ascii_only))]

    def draw(self) -> None:
        self.query_one(Text).draw()
        self._entitle()
        panel, grid, note = self.query_one("#links"), self.query_one(Links), self.query_one("#no-links", Note)
        links = [] if self.record is None else self.record.links
        is_at_links = self.record is not None and bool(links) and self._is_at_links
        panel.display = is_at_links if self._is_bare else self.record is not None
        self.query_one(Text).display = not (is_at_links and self._is_bare)
        note.display, grid.display = not links, bool(links)
        if self.record is None:
            return
        link = record_text.command(self.dashboard.address.zendeskctl, self.record, "link")
        note.show(f"None. To add one: {link} OTHER")
        columns = link_text.columns(links, self.size.width - (0 if self._is_bare else 2))
        grid.show(link_text.rows(links, columns, is_faded=not self._fleet.is_live), columns)
        entitle(panel, f"Links {len(links)}")
        rows = min(len(links), max(2, (self.size.height - 2) // 4))
        panel.styles.height = "1fr" if self._is_bare else 2 + (1 + rows if links else 1)

    def _entitle(self) -> None:
        title = f"record {self.record_id}" if self.record is None else record_text.title_of(self.record)
        entitle(self.query_one(Text), title, finding.spans(title, self.pattern))

    def found(self) -> None:
        self._entitle()

    def _around(self, cells: int) -> tuple[Lines, Lines]:
        record, app = self.record, self.dashboard
        if record is None:
            return [[Cell(self._trouble or "reading ...", "bad" if self._trouble else "plain")]], ()
        head, tail = record_text.around(
            record, cells, app.times, app.now(),
            is_low=self.size.height < LOW, is_bare=self._is_bare, ascii_only=self._voice.ascii_only,
        )  # fmt: skip
        return ([[Cell(self._trouble, "bad")]] if self._trouble else []) + head, tail

    # --- what the daemon has of it --------------------------------------------------------------------------------

    def happened(self, event: wire.Event) -> None:
        """A run of its organisation ended, something of it was removed, or it was linked: it may be another one now."""
        if self.record is None:
            return
        run, org = event.run, self.record.organization_id
        has_ended = run is not None and run.organization_id == org and run.status not in {"queued", "running"}
        is_linked = self.record_id in (event.record_ids or ())
        if has_ended or is_linked or (event.event == "removed" and event.organization_id == org):
            self._reload()

    def reconnected(self) -> None:
        self._reload()

    def on_screen_resume(self) -> None:
        if self._is_old:
            self._reload()

    def _reload(self) -> None:
        """At once if it is looked at, else when somebody comes back to it."""
        self._is_old = self.app.screen is not self
        if not self._is_old:
            self._load()

    @work(exclusive=True, group="record")
    async def _load(self) -> None:
        try:
            record = await self.dashboard.client.record(self.record_id)
        except ApiError as error:
            if error.status == 404:
                self._gone()
            else:
                self._failed(error)
        except ZendeskdError as error:
            self._failed(error)
        else:
            self._arrived(record)
        self.draw_frame()

    def _arrived(self, record: wire.RecordDocument) -> None:
        before, self.record, self._trouble = self.record, record, ""
        if before is not None and before.deleted_at is None and record.deleted_at is not None:
            self.dashboard.tell(f"{record_text.name_of(record)} was deleted at its source", "warning")
        self.query_one(Text).show(folding.readable(record.body))
        self.refresh_bindings()

    def _gone(self) -> None:
        said = "There is no such record any more: it left the local copy" if self.record else "There is no such record"
        self.record, self._trouble = None, f"{said}. esc Back"
        self.query_one(Text).show("")
        self.query_one(Text).focus()
        self.refresh_bindings()

    def _failed(self, error: ZendeskdError) -> None:
        """What was read stays. While the connection is gone the banner says so."""
        if self.record is None:
            self._trouble = present.clean(f"record {self.record_id} cannot be read: {error.detail}")
        elif self._fleet.is_live:
            self._trouble = present.clean(f"as it was; cannot be read again: {error.detail}")

    # --- keys -----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "panel":
            return self.record is not None and bool(self.record.links)
        if action == "copy":
            return self.record is not None
        return super().check_action(action, parameters)

    def action_panel(self) -> None:
        """Where there is no room for both panels, the one that has the focus is shown."""
        self._is_at_links = not self.query_one(Links).has_focus
        self.draw()
        (self.query_one(Links) if self._is_at_links else self.query_one(Text)).focus()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        if self.record is None:
            return
        link = next((link for link in self.record.links if link.id == event.key), None)
        if link is not None and link.record_id is not None:
            self.app.push_screen(RecordScreen(self.dashboard, link.record_id))
        elif link is not None:
            self.app.push_screen(
                LinkScreen(self.dashboard, self.record, link, lambda found: RecordScreen(self.dashboard, found))
            )

    def action_copy(self) -> None:
        if self.record is not None:
            choices = [
                ("id", present.clean(self.record.external_id)),
                ("URL", present.clean(self.record.url)),
                ("body", self.query_one(Text).text),
                ("command", record_text.command(self.dashboard.address.zendeskctl, self.record)),
            ]
            copying.offer(self.dashboard, choices)

    # --- the palette ----------------------------------------------------------------------------------------------

    def action_source(self) -> None:
        if self.record is not None:
            self.app.push_screen(SourceScreen(self.record, self._words))

    def commands(self) -> Mapping[str, str]:
        """What is done to it by `zendeskctl`."""
        if self.record is None:
            return {}
        link = record_text.command(self.dashboard.address.zendeskctl, self.record, "link")
        return {
            "record": record_text.command(self.dashboard.address.zendeskctl, self.record),
            "link": f"{link} OTHER",
            "unlink": f"{link} OTHER --remove",
        }
