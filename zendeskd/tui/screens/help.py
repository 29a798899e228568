"""The keys here and everywhere, what the signs mean, where the logs are. Made from the bindings themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen

from zendeskd import present
from zendeskd.present import Cell
from zendeskd.tui.bindings import EVERYWHERE
from zendeskd.tui.widgets.keys import key_shown
from zendeskd.tui.widgets.lines import Lines
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

_SHOWN_SIGNS = (
    "ok", "partial", "failed", "running", "queued", "limited", "stopped", "blocked", "never",
)  # fmt: skip
_MEANINGS = {
    "ok": "fine",
    "partial": "done, but records were set aside",
    "failed": "the last run failed; the word says of what",
    "running": "a run is going on",
    "queued": "waits for a worker",
    "limited": "told to wait, or tries again soon",
    "stopped": "by a person",
    "blocked": "needs a person; late and slow are marked so too",
    "never": "no run has ended yet",
}


class Help(ModalScreen[None]):
    """`about`: the screen whose keys are explained."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Back", show=False),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, about: Screen[object]) -> None:
        super().__init__()
        app = cast("Dashboard", about.app)
        everywhere = {binding.id for binding in EVERYWHERE}
        found: dict[str, tuple[list[str], Binding]] = {}
        for active in sorted(about.active_bindings.values(), key=lambda each: each.binding.priority):
            binding = active.binding
            if binding.id and binding.tooltip and active.enabled:
                shown = key_shown(app, binding, ascii_only=app.voice.ascii_only)
                found.setdefault(binding.id, ([], binding))[0].append(shown)
        self._here = {id: row for id, row in found.items() if id not in everywhere}
        self._everywhere = {id: row for id, row in found.items() if id in everywhere}

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help") as box:
            entitle(box, "Help")
            yield Lines(lambda cells: [[Cell(piece)] for line in self._lines() for piece in _broken(line, cells)])

    def on_mount(self) -> None:
        self.query_one(Lines).draw()
        self.query_one("#help").focus()

    def action_down(self) -> None:
        self.query_one("#help").scroll_down(animate=False)

    def action_up(self) -> None:
        self.query_one("#help").scroll_up(animate=False)

    def _lines(self) -> list[str]:
        app = cast("Dashboard", self.app)
        daemon = app.fleet.daemon
        signs = [f"  {app.voice.sign(word)}  {word:<9} {_MEANINGS[word]}" for word in _SHOWN_SIGNS]
        log = "journalctl -u zendeskd" if daemon is None else present.clean(daemon.log_file)
        return [
            "Keys here",
            *_keys(list(self._here.values())),
            "",
            "Keys everywhere",
            *_keys(list(self._everywhere.values())),
            "",
            "Signs: NOW is what it does, LAST how the last run ended, AGE how old the copy is",
            *signs,
            "",
            f"Logs: {log}",
            "Every key that changes something shows its zendeskctl command; zendeskctl --help has them all.",
            "",
            "esc Back",
        ]


def _broken(line: str, cells: int) -> list[str]:
    """In lines that fit; what goes on stands below what is said of the key, not below the key."""
    said = re.match(r"  \S+(?: \S+)* {2,}(?:\S  )?", line)
    return present.wrapped(line, cells, indent=0 if said is None else said.end())


def _keys(rows: Sequence[tuple[list[str], Binding]]) -> list[str]:
    texts = [(" ".join(dict.fromkeys(keys)), binding.tooltip) for keys, binding in rows]
    digits = [key for key, tooltip in texts if tooltip == "Only these"]
    texts = [row for row in texts if row[1] != "Only these"]
    if digits:
        texts.append((f"{digits[0]}-{digits[-1]}", "Only those of the first, second, ... count in the second line"))
    cells = max((present.width(key) for key, _ in texts), default=0)
    return [f"  {key}{' ' * (cells - present.width(key))}  {said}" for key, said in texts]
