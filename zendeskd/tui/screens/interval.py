"""Another schedule: the cron expression in words, and its next three instants, while it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Label

from zendeskd import present, wire
from zendeskd.client import ApiError
from zendeskd.errors import ZendeskdError
from zendeskd.tui.rows import name_of
from zendeskd.tui.screens.dialog import Dialog, Said, field
from zendeskd.tui.state import Fleet, Key


class Interval(Dialog[str]):
    """-> an expression that the daemon understands; None: keep what there is. Enter changes, for it was typed."""

    FIRST = "#interval"

    def __init__(self, fleet: Fleet, keys: Sequence[Key]) -> None:
        first = fleet.items[keys[0]]
        name = name_of(first) if len(keys) == 1 else f"{len(keys)} organisations"
        self._zone, zones = first.timezone, {fleet.items[key].timezone for key in keys}
        zone = present.clean(self._zone) if len(zones) == 1 else f"each in its own zone, shown for {name_of(first)}"
        super().__init__(f"Interval · {name} · {zone}", keep="Keep (esc)", do="Change (enter)", about=keys)
        now = {present.clean(fleet.items[key].interval) for key in keys}
        self._now = now.pop() if len(now) == 1 else f"{len(now)} different ones"
        self._start = first.interval if not now else ""
        self._previewed: str | None = None  # what the daemon found right
        self._field = field("interval", value=present.clean(self._start), hint="minute hour day month weekday")
        self._preview_lines = Said("\n", id="preview")

    def body(self) -> ComposeResult:
        yield Said(f"Now  {self._now}")
        with Horizontal(classes="field"):
            yield Label("New  ")
            yield self._field
        yield self._preview_lines

    def on_mount(self) -> None:
        self.offer(False)

    @property
    def _typed(self) -> str:
        return self._field.value.strip()

    def on_input_changed(self) -> None:
        self._previewed = None
        self.offer(False)
        self._preview(self._typed)

    @work(exclusive=True, group="preview")
    async def _preview(self, typed: str, *, then_change: bool = False) -> None:
        lines = await self._asked(typed)
        if typed != self._typed or not self.is_open:
            return
        self._preview_lines.say(lines)
        self.offer(self._previewed is not None)
        if then_change and self._previewed is not None:
            self.dismiss(self._previewed)

    async def _asked(self, typed: str) -> list[str]:
        """What the daemon says about it, in two lines."""
        if not typed:
            return ["Type a cron expression, for example */15 * * * *", ""]
        try:
            reply = await self.dashboard.client.preview_schedule(typed, timezone=self._zone)
        except ApiError as error:
            named = f"{error.problem.field}: " if error.problem.field and error.status != 422 else ""
            return [present.clean(f"{named}{error.detail}"), present.clean(error.hint)]
        except ZendeskdError as error:
            return [present.clean(error.detail), ""]
        self._previewed = typed
        return [present.clean(reply.words), f"Next {next_times(reply, self.dashboard.now())}"]

    def on_input_submitted(self) -> None:
        self.action_do()

    def action_do(self) -> None:
        if self._previewed is not None and self._previewed == self._typed:
            self.dismiss(self._previewed)
        else:
            self._preview(self._typed, then_change=True)


def next_times(reply: wire.Preview, now: datetime) -> str:
    """`Mon 23 Nov 09:30 (in 5m) · 10:00 · 10:30`, in the organisation's zone."""
    told, before = [], None
    for index, time in enumerate(reply.times):
        local = datetime.fromisoformat(time.local)
        text = f"{local:%H:%M}" if local.date() == before else f"{present.day(local, now)} {local:%H:%M}"
        told.append(f"{text} (in {present.span(time.in_s)})" if index == 0 else text)
        before = local.date()
    return " · ".join(told) or "never"
