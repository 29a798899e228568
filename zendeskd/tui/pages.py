"""A list of records that is read as one scrolls: what was read so far, in order. asyncio, no Textual."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from zendeskd import wire
from zendeskd.tui.search import Search

FIRST: Final = 100
LATER: Final = 200
"""Records of a page: the first one is there soon, the others keep up with a key held down."""

Ask = Callable[[int, str | None], Awaitable[wire.RecordList]]
"""(how many, after what) -> a page. Raises what the client raises."""


class Pages:
    """The answer to one `search`, which was typed so. Belongs to one event loop."""

    def __init__(self, ask: Ask, search: Search | None = None, typed: str = "") -> None:
        self._ask = ask
        self.search, self.typed = search or Search(), typed
        self.keys: list[int] = []
        self.items: dict[int, wire.RecordItem] = {}
        self.places: dict[int, int] = {}
        self.is_begun = self.is_over = self.is_reading = False
        self._next: str | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def newest(self) -> tuple[int, str | None] | None:
        """What is on top, and as of when."""
        return (self.keys[0], self.items[self.keys[0]].updated_at) if self.keys else None

    async def read(self) -> None:
        """The next page, which may be short, even empty. Nothing at the end, or while one is read. Raises what the
        client raises; then nothing has changed."""
        if self.is_over or self.is_reading:
            return
        self.is_reading = True
        try:
            self._take(await self._ask(LATER if self.is_begun else FIRST, self._next))
        finally:
            self.is_reading = False

    async def again(self) -> Pages:
        """The same from the top, with its first page. Raises what the client raises."""
        anew = Pages(self._ask, self.search, self.typed)
        await anew.read()
        return anew

    def _take(self, page: wire.RecordList) -> None:
        for item in page.items:
            if item.id not in self.items:  # one that went back in time between two pages
                self.items[item.id] = item
                self.places[item.id] = len(self.keys)
                self.keys.append(item.id)
        self.is_over = page.next is None or page.next == self._next  # a page that ends where it began leads nowhere
        self.is_begun, self._next = True, page.next
