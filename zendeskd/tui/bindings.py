"""Every key of the dashboard, once. Each has an id, so that the configuration can put another key in its place."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding

CHANGING: Final = frozenset(
    {"trigger", "start", "stop", "interval", "cancel", "resync", "reconcile", "backup", "reload"}
)
"""Actions that change something in the daemon: gone for viewers and while the connection is."""


def _key(id: str, keys: str, said: str, tooltip: str, *, action: str = "", shown: str | None = None) -> Binding:
    return Binding(keys, action or id.replace("-", "_"), said, key_display=shown, tooltip=tooltip, id=id)


EVERYWHERE: Final = [
    _key("help", "question_mark", "Help", "The keys here and everywhere, and what the signs mean", shown="?"),
    _key("log", "l", "Log", "The log, of all organisations or the marked ones"),
    _key("daemon", "d", "Daemon", "The daemon itself: version, threads, database"),
    _key("palette", "ctrl+p,colon", "Palette", "Every action by name", action="command_palette"),
    _key("time-style", "T", "Time style", "Times as ages, in your zone, or in UTC"),
    _key("reconnect", "R", "Reconnect", "Do not wait for the next try (while not connected)"),
    _key("quit", "q", "Quit", "Close the dashboard; syncing goes on"),
    _key("suspend", "ctrl+z", "Suspend", "Back to the shell; fg goes on here", action="suspend_process"),
    Binding("ctrl+c", "quit", "Quit", show=False, priority=True, id="quit-at-once", tooltip="Close the dashboard"),
]
ACTING: Final = [
    _key("trigger", "t", "Trigger", "Run a sync now; joins one that is running or queued"),
    _key("start", "s", "Start", "Start the schedule; also unblocks after a fix"),
    _key("stop", "x", "Stop", "Stop the schedule; a run going on ends at its next page"),
    _key("interval", "i", "Interval", "Change the schedule"),
    _key("cancel", "c", "Cancel run", "End the run going on; the schedule goes on"),
]
TICKETS: Final = _key(
    "tickets", "r", "Tickets", "The tickets of this organisation, or of the marked ones", action="app.tickets"
)
COPY: Final = _key("copy", "y", "Copy", "Copy what is looked at, or one part of it")
FOLLOW: Final = _key("follow", "f", "Follow", "Let the log follow, or hold it still")
WRAP: Final = _key("wrap", "w", "Wrap", "Break long lines, or move sideways with the arrow keys")
PANEL: Final = _key("panel", "tab,shift+tab", "Panel", "To the other panel: text or links, log or pages", shown="tab")
SEARCHING: Final = [
    _key("search", "slash", "Search", "Mark what you type", shown="/"),
    _key("next-found", "n", "Next", "To the next place that has it", action="find(1)"),
    _key("previous-found", "N", "Previous", "To the previous place that has it", action="find(-1)"),
]
READING: Final = [
    *SEARCHING,
    *(
        _key(f"level-{place}", str(place), "Level", f"Only {word} and above", action=f"level({place})")
        for place, word in enumerate(("debug", "info", "warn", "error"), 1)
    ),
]
TICKET_LIST: Final = [
    _key("search", "slash", "Search", "By words of title, body, requester or tags; status:, org:, tag:", shown="/"),
    _key("tickets", "r", "All organisations", "The tickets of all organisations, or of those before"),
    _key("next-found", "n", "Next", "To the next ticket with a match in its title", action="find(1)"),
    _key("previous-found", "N", "Previous", "To the previous ticket with a match in its title", action="find(-1)"),
]
LISTING: Final = [
    _key("filter", "slash", "Filter", "Narrow the list: words, !word, state:failing, system:, last:", shown="/"),
    _key("problems", "exclamation_mark", "Problems", "Only those that need somebody, or all", shown="!"),
    _key("order", "o", "Order", "Order by health, name, age, next, tickets"),
    _key("reverse", "O", "Reverse", "The other way round"),
    _key("mark", "space", "Mark", "Actions take the marked ones, else the one under the cursor"),
    _key("mark-all", "a", "Mark all", "Mark all that are shown, or none"),
    COPY,
    *(
        Binding(
            str(place), f"health({place})", f"Health {place}", show=False, id=f"health-{place}", tooltip="Only these"
        )
        for place in range(1, 10)
    ),
]
SCROLLING: Final = [
    _key("scroll-down", "j", "Down", "Scroll down; so do the arrows and page down", action="scroll(1)"),
    _key("scroll-up", "k", "Up", "Scroll up", action="scroll(-1)"),
    _key("scroll-first", "g", "First", "To the beginning", action="scroll(-9999)"),
    _key("scroll-last", "G", "Last", "To the end", action="scroll(9999)"),
]
BACK: Final = _key("back", "escape", "Back", "Close the filter, clear the marks, leave", shown="esc")


def names() -> list[str]:
    """Every id, for whoever puts keys elsewhere."""
    lists = (EVERYWHERE, ACTING, LISTING, TICKET_LIST, READING, SCROLLING, [FOLLOW, WRAP, PANEL, BACK])
    return sorted({binding.id for bindings in lists for binding in bindings if binding.id} | set(GRID))


GRID: Final = ("open", "up", "down", "page-up", "page-down", "first", "last")
"""The ids of the keys that every list has; they are bound in `widgets.grid`."""
