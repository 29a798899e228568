"""One key at a time: each finds the screens and fields that the ones before it opened. Runs in the app's own task."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from textual import events
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump
from textual.timer import Timer

PATIENCE_S: Final = 1.0
"""A key that is not through after so long holds the next ones up no longer."""

ROUNDS: Final = 2

Typed = events.Key | events.Paste


class Through(Message, namespace="keyboard"):
    """Follows a key from widget to widget up to the app, behind it and what it made them say."""

    def __init__(self, count: int, rounds: int) -> None:
        super().__init__()
        self.count, self.rounds = count, rounds


class Keyboard:
    """Textual gives a key to the widget that has the focus when it is read, and looks what it means when it has come
    back from there. So it would give every key of a burst (a slow line, a paste) to what had the focus before the
    first of them. `hand_on` is what the app does with a key."""

    def __init__(self, app: App[Any], hand_on: Callable[[events.Event], Awaitable[None]]) -> None:
        self._app, self._hand_on = app, hand_on
        self._waiting: deque[Typed] = deque()
        self._count = 0
        self._target: MessagePump = app
        self._patience: Timer | None = None  # while a key is under way

    async def take(self, event: Typed) -> None:
        self._waiting.append(event)
        if self._patience is None:
            await self._next()

    async def _next(self) -> None:
        if not self._waiting:
            return
        self._count += 1
        self._patience = self._app.set_timer(PATIENCE_S, self._done)
        self._target = self._app.focused or self._app.screen
        await self._hand_on(self._waiting.popleft())
        self._follow(1)

    def _follow(self, rounds: int) -> None:
        if not self._target.post_message(Through(self._count, rounds)):
            self._app.call_later(self._done)  # it has gone, and what it was about to say with it

    def through(self, message: Through) -> None:
        """The first time it comes behind the key, then behind what that made a widget say, then when the screen that
        was opened is there; and at last behind a focus that was asked for."""
        if message.count != self._count or self._patience is None:
            return
        screen = self._app.screen
        if not screen.is_mounted:
            self._target = screen
            self._follow(message.rounds)
        elif message.rounds < ROUNDS:
            self._follow(message.rounds + 1)
        else:
            self._app.call_later(self._done)

    async def _done(self) -> None:
        if self._patience is not None:
            self._patience.stop()
            self._patience = None
            await self._next()
