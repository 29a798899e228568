"""The two questions before something ends: a run, or a schedule."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Label

from zendeskd import present, wire
from zendeskd.tui.rows import name_of
from zendeskd.tui.screens.dialog import Dialog, Said, field
from zendeskd.tui.state import Fleet, Key


class CancelRun(Dialog[list[Key]]):
    """-> those whose runs should end; None: none. Closes itself when they have ended."""

    def __init__(self, fleet: Fleet, keys: Sequence[Key]) -> None:
        one = len(keys) == 1
        super().__init__(
            "Cancel run" if one else f"Cancel {len(keys)} runs",
            keep="Keep running",
            do="Cancel run (y)" if one else "Cancel runs (y)",
        )
        self._fleet = fleet
        self._runs = {key: run.id for key in keys if (run := fleet.items[key].run) is not None}

    def body(self) -> ComposeResult:
        yield Said("\n".join(self._lines()))

    def _going(self) -> list[tuple[wire.SyncStatus, wire.LiveRun]]:
        """Those of the runs that still go on."""
        items = [(self._fleet.items.get(key), run_id) for key, run_id in self._runs.items()]
        return [(item, item.run) for item, run_id in items if item and item.run and item.run.id == run_id]

    def _lines(self) -> list[str]:
        lines = [_running(item, run) for item, run in self._going()[:5]]
        if (more := len(self._going()) - 5) > 0:
            lines.append(f"and {more} more")
        due = self._going()[0][0].next_run_at if len(self._going()) == 1 else None
        if due is None:
            return [*lines, "Stored pages stay; the next run goes on from there."]
        when = present.clock(due, self.dashboard.now())
        return [*lines, f"Stored pages stay; the next run goes on from there and is due at {when}."]

    def draw(self) -> None:
        if not self._going():
            self.leave("the run ended meanwhile" if len(self._runs) == 1 else "the runs ended meanwhile")
            return
        self.query_one(Said).say(self._lines())

    def action_do(self) -> None:
        self.dismiss([(item.organization_id, item.system_type) for item, _ in self._going()])


def _running(item: wire.SyncStatus, run: wire.LiveRun) -> str:
    window = "" if run.progress is None else f", window {run.progress:.0%}"
    noun = "compared" if run.kind == "reconcile" else "read"
    return f"{name_of(item)}, run {run.id}: {present.plural(run.records, 'ticket')} {noun}{window}."


class StopSchedule(Dialog[str]):
    """-> the reason, which may be empty; None: do not stop."""

    def __init__(self, fleet: Fleet, keys: Sequence[Key]) -> None:
        name = name_of(fleet.items[keys[0]]) if len(keys) == 1 else f"{len(keys)} organisations"
        super().__init__(f"Stop · {name}", keep="Keep running", do="Stop (y)", about=keys)
        self._with_run = [name_of(item) for key in keys if (item := fleet.items[key]).run is not None]
        self._reason = field("reason", hint="if you like: others see it")

    def body(self) -> ComposeResult:
        running = self._with_run
        lines = ["No run starts until somebody starts the schedule again."]
        if running:
            names = ", ".join(running[:5])
            more = f" and {len(running) - 5} more" if len(running) > 5 else ""
            lines.append(f"A run going on ends after its page: {names}{more}.")
        yield Said("\n".join(lines))
        with Horizontal(classes="field"):
            yield Label("Reason ")
            yield self._reason

    def on_input_submitted(self) -> None:
        self._do.focus()

    def action_do(self) -> None:
        self.dismiss(self._reason.value.strip())
