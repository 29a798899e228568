"""The last line: the keys that work here, as many as fit, the more important ones for longer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from textual.app import App
from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.screen import Screen
from textual.widget import Widget

from zendeskd import present
from zendeskd.tui.widgets.painting import content

GAP: Final = "  "


def key_shown(app: App[Any], binding: Binding, *, ascii_only: bool) -> str:
    shown = app.get_key_display(binding)
    return binding.key if ascii_only and not shown.isascii() else shown


class Keys(Widget):
    """`shown`: ids of bindings, in the order in which they stand; `first_to_go`: which of them yield to the width;
    `needless`: those that say nothing new just now."""

    def __init__(
        self,
        shown: Sequence[str],
        first_to_go: Sequence[str],
        *,
        needless: Callable[[], Collection[str]] = tuple,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self._needless = needless
        self._ids, self._first_to_go, self._ascii = tuple(shown), tuple(first_to_go), ascii_only
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_updated)

    def _bindings_updated(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.refresh()

    def render(self) -> Content:
        hints = self._fitting()
        self._spans, at, line = [], 1, [present.Cell(" ")]
        for key, shown, said in hints:
            cells = present.width(f"{shown} {said}")
            self._spans.append((at, at + cells, key))
            line += [present.Cell(shown, "busy"), present.Cell(f" {said}{GAP}")]
            at += cells + len(GAP)
        return content(line)

    def _fitting(self) -> list[tuple[str, str, str]]:
        hints = self._hints()
        for unwanted in (*self._first_to_go, *reversed(self._ids)):
            total = 1 + sum(present.width(f"{shown} {said}") + len(GAP) for _, shown, said in hints.values()) - len(GAP)
            if total <= self.size.width:
                break
            hints.pop(unwanted, None)
        return list(hints.values())

    def _hints(self) -> dict[str, tuple[str, str, str]]:
        """Id -> key, how it is shown, what it does; what `check_action` forbids is not there."""
        found: dict[str, tuple[str, str, str]] = {}
        for key, active in self.screen.active_bindings.items():
            binding = active.binding
            if binding.id in self._ids and binding.id not in found and active.enabled:
                found[binding.id] = (key, key_shown(self.app, binding, ascii_only=self._ascii), binding.description)
        needless = self._needless()
        return {each: found[each] for each in self._ids if each in found and each not in needless}

    async def on_click(self, event: Click) -> None:
        for begin, end, key in self._spans:
            if begin <= event.x < end:
                active = self.screen.active_bindings.get(key)
                if active is not None:
                    await self.app.run_action(active.binding.action, active.node)
