"""Read again what is there already: heavy and rare, so it says what it costs and wants the name typed."""

from __future__ import annotations

from datetime import datetime

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.tui.screens.dialog import Dialog, Said, field
from zendeskd.tui.state import Key


class Resync(Dialog[str]):
    """-> since when, as the API takes it (30d, 2026-11-01, all); None: do not."""

    FIRST = "#since"

    def __init__(self, key: Key) -> None:
        super().__init__(f"Resync · {present.clean(key[0])}", keep="Keep (esc)", do="Read again", about=[key])
        self._org, self._system = key
        self._planned: str | None = None
        self._since_field = field("since", hint="30d, 2026-11-01, or all")
        self._name_field = field("name")
        self._plan_lines = Said("Say from when.\n", id="plan")

    def body(self) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Label("Since  ")
            yield self._since_field
        yield self._plan_lines
        with Horizontal(classes="field"):
            yield Label(Content(f"Type {present.clean(self._org)} to go on  "))
            yield self._name_field

    def on_mount(self) -> None:
        self.offer(False)

    @property
    def _typed(self) -> str:
        return self._since_field.value.strip()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input is self._since_field:
            self._planned = None
            self._plan(self._typed)
        self.offer(self._is_agreed)

    @property
    def _is_agreed(self) -> bool:
        is_planned = self._planned is not None and self._planned == self._typed
        return is_planned and self._name_field.value.strip() == present.clean(self._org)

    @work(exclusive=True, group="plan")
    async def _plan(self, since: str) -> None:
        lines = await self._asked(since)
        if since == self._typed and self.is_open:
            self._plan_lines.say(lines)
            self.offer(self._is_agreed)

    async def _asked(self, since: str) -> list[str]:
        if not since:
            return ["Say from when.", ""]
        try:
            plan = await self.dashboard.client.plan_resync(self._org, since, self._system)
        except ZendeskdError as error:
            return [present.clean(error.detail), present.clean(error.hint)]
        self._planned = since
        return planned(plan, self.dashboard.now())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        (self._name_field if event.input is self._since_field else self._keep).focus()

    def action_do(self) -> None:
        if self._is_agreed:
            self.dismiss(self._planned)


def planned(plan: wire.ResyncPlan, now: datetime) -> list[str]:
    """What it would read, and what that costs."""
    since = "from the very beginning" if plan.since is None else f"since {present.clock(plan.since, now)}"
    return [
        f"Reads again {since}:",
        f"{present.plural(plan.records_stored, 'record')} stored, "
        f"about {present.plural(plan.api_calls_expected, 'API call')}.",
    ]
