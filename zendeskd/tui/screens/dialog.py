"""What dialogs are made of: a box over the dimmed screen, its buttons, the harmless one in focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from zendeskd.tui.state import Key
from zendeskd.tui.widgets.lines import Note
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

Result = TypeVar("Result")


class Choice(Widget, can_focus=True):
    """A button that says what happens. Brackets show which one enter takes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", "Take it", show=False)]

    class Taken(Message):
        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, label: str, *, id: str) -> None:
        super().__init__(id=id)
        self._label = label

    def render(self) -> Content:
        return Content(f"[ {self._label} ]" if self.has_focus else f"  {self._label}  ")

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_press(self) -> None:
        self.post_message(self.Taken(self))

    def on_click(self) -> None:
        self.action_press()


class Dialog(ModalScreen[Result], Generic[Result]):
    """Escape leaves and changes nothing. `do` is called when the one that changes something was chosen. `about`: the
    integrations that it asks about; it closes itself when none of them is there any more.

    What is asked of the daemon may be answered while the dialog is being taken away: keep the widgets that such an
    answer changes, for queries do not find them then, and look at `is_open` before closing it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "keep", "Leave", show=False),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
        Binding("y", "do", "Do it", show=False),
    ]

    def __init__(self, heading: str, *, keep: str, do: str, about: Sequence[Key] = ()) -> None:
        super().__init__()
        self._heading, self._about = heading, about
        self._keep, self._do = Choice(keep, id="keep"), Choice(do, id="do")

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as box:
            entitle(box, self._heading)
            yield from self.body()
            with Horizontal(id="choices"):
                yield self._keep
                yield self._do

    FIRST: ClassVar[str] = "#keep"
    """What has the focus at first."""

    def on_mount(self) -> None:
        self.query_one(self.FIRST).focus()

    def body(self) -> ComposeResult:
        raise NotImplementedError

    def offer(self, is_offered: bool) -> None:
        """Whether the one that changes something can be chosen."""
        self._do.display = is_offered

    @property
    def is_open(self) -> bool:
        return self in self.app.screen_stack

    def draw(self) -> None:
        """Bring it up to date with the fleet; close it if its question is none any more."""
        items = self.dashboard.fleet.items
        if self._about and not any(key in items for key in self._about):
            self.leave("the organisation is not there any more" if len(self._about) == 1 else "they are all gone")

    def on_choice_taken(self, event: Choice.Taken) -> None:
        if event.choice.id == "do":
            self.action_do()
        else:
            self.action_keep()

    def action_keep(self) -> None:
        self.dismiss(None)

    def action_do(self) -> None:
        raise NotImplementedError

    def leave(self, why: str) -> None:
        """Close it, since what it asks about is over."""
        if self.is_current:
            self.dismiss(None)
            self.dashboard.tell(why, "warning")


class Said(Note):
    """Lines of a dialog, replaced as things change."""

    def say(self, lines: Sequence[str]) -> None:
        self.show("\n".join(lines))


def field(id: str, *, value: str = "", hint: str = "") -> Input:
    return Input(value=value, placeholder=hint, id=id, compact=True)
