"""Screens from which organisations are acted on. The keys are read when they are pressed; dialogs name them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType

from zendeskd import present
from zendeskd.tui.actions import Actions
from zendeskd.tui.bindings import ACTING
from zendeskd.tui.screens.confirm import CancelRun, StopSchedule
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.screens.interval import Interval
from zendeskd.tui.screens.resync import Resync
from zendeskd.tui.state import Key


class Acting(Framed):
    """`targets` are what an action takes: the marked integrations, else the one that is looked at."""

    BINDINGS: ClassVar[list[BindingType]] = [*ACTING]

    def targets(self) -> list[Key]:
        raise NotImplementedError

    def _targets(self) -> list[Key]:
        """Those that are still there; says so if there is none."""
        keys = [key for key in self.targets() if key in self.dashboard.fleet.items]
        if not keys:
            self.dashboard.tell("there is no organisation here to act on", "warning")
        return keys

    @property
    def _actions(self) -> Actions:
        return self.dashboard.actions

    def _carry_out(self, doing: Coroutine[Any, Any, None]) -> None:
        self.dashboard.run_worker(doing, group="actions")

    def action_trigger(self) -> None:
        if keys := self._targets():
            self._carry_out(self._actions.trigger(keys))

    def action_start(self) -> None:
        if keys := self._targets():
            self._carry_out(self._actions.start(keys))

    def action_stop(self) -> None:
        """Asks only where that ends a run, or touches several."""
        if not (keys := self._targets()):
            return
        fleet = self.dashboard.fleet
        if len(keys) == 1 and fleet.items[keys[0]].run is None:
            self._carry_out(self._actions.stop(keys))
            return
        self.app.push_screen(StopSchedule(fleet, keys), self._when(lambda reason: self._actions.stop(keys, reason)))

    def action_interval(self) -> None:
        if keys := self._targets():
            dialog = Interval(self.dashboard.fleet, keys)
            self.app.push_screen(dialog, self._when(lambda interval: self._actions.interval(keys, interval)))

    def action_cancel(self) -> None:
        if not (keys := self._targets()):
            return
        items = self.dashboard.fleet.items
        running = [key for key in keys if items[key].run is not None]
        if not running:
            self.dashboard.tell(f"{_named(keys)}: no run is going on", "warning")
            return
        self.app.push_screen(CancelRun(self.dashboard.fleet, running), self._when(self._actions.cancel))

    def action_resync(self) -> None:
        if not (keys := self._targets()):
            return
        if len(keys) > 1:
            self.dashboard.tell("resync is for one organisation at a time", "warning")
            return
        self.app.push_screen(Resync(keys[0]), self._when(lambda since: self._actions.resync(keys[0], since)))

    def action_reconcile(self) -> None:
        if keys := self._targets():
            self._carry_out(self._actions.reconcile(keys))

    def _when(self, act: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
        """What to do with a dialog's answer; None is "no"."""

        def answered(answer: Any) -> None:
            if answer is None:
                return
            if not self.dashboard.may_change:
                self.dashboard.tell("not done: the connection is gone", "error")
                return
            self._carry_out(act(answer))

        return answered


def _named(keys: Sequence[Key]) -> str:
    return present.clean(keys[0][0]) if len(keys) == 1 else present.plural(len(keys), "organisation")
