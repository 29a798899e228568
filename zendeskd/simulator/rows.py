"""What is kept of each ticket: a few numbers, not its text. A million tickets take about 30 MB.

Not locked: the account that owns the rows is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final, NamedTuple

DAY_S: Final = 86_400

DELETED: Final = 1
SCRUBBED: Final = 2  # purged: the text is gone, the row is still in the export
ARCHIVED: Final = 4  # in the export, not in the lists
GONE: Final = 8  # in nothing any more
AI_AGENT: Final = 16  # exported only when all support types are asked for
STRANGE: Final = 32  # its text holds NUL and a lone surrogate

_SHIFT: Final = 32
_ID_MASK: Final = (1 << _SHIFT) - 1


class Ticket(NamedTuple):
    """One ticket's numbers. Instants are unix seconds; `revision` counts what a person would call a change."""

    id: int
    revision: int
    created: int
    updated: int
    generated: int
    flags: int


class Rows:
    """Tickets 1, 2, 3, … of one account and their order in the export: (generated_timestamp, id)."""

    def __init__(self) -> None:
        self.created = array("I")
        self.updated = array("I")
        self.generated = array("I")
        self.revision = array("I")
        self.flags = array("B")
        self.deleted_at: dict[int, int] = {}
        self.version = 0  # moves with every change
        self._order = array("q")
        self._listed: tuple[int, array[int], array[int]] | None = None

    def __len__(self) -> int:
        """How many ticket ids were ever given out."""
        return len(self.flags)

    def __getitem__(self, ticket_id: int) -> Ticket:
        """Raises KeyError for an id never given out."""
        if not 1 <= ticket_id <= len(self.flags):
            raise KeyError(ticket_id)
        at = ticket_id - 1
        return Ticket(
            ticket_id, self.revision[at], self.created[at], self.updated[at], self.generated[at], self.flags[at]
        )

    def found(self, count: int, random: Random, oldest: int, newest: int, ai_share: float) -> None:
        """Give an empty account its first `count` tickets, the last change of each between `oldest` and `newest`.

        Most were changed within days of their creation; most have a generated_timestamp that is later than
        updated_at, by seconds up to a month.
        """
        span = max(1, newest - oldest)
        draw = random.random
        for number in range(count):
            created = oldest + int(span * (number + draw()) / count)
            updated = min(newest, created + int(12 * DAY_S * draw() ** 4))
            late = draw()
            generated = updated if late < 0.13 else min(newest, updated + 1 + int(30 * DAY_S * (late - 0.13) ** 8))
            self.created.append(created)
            self.updated.append(updated)
            self.generated.append(generated)
            self.revision.append(0)
            self.flags.append(AI_AGENT if draw() < ai_share else 0)
        self._order = array("q", sorted((at << _SHIFT) | n for n, at in enumerate(self.generated, 1)))
        self.version += 1

    def add(self, count: int, when: int, flags: int = 0) -> list[int]:
        """New tickets, created at `when`. Returns their ids."""
        first = len(self) + 1
        for ticket_id in range(first, first + count):
            self.created.append(when)
            self.updated.append(when)
            self.generated.append(when)
            self.revision.append(0)
            self.flags.append(flags)
            self._place(ticket_id, when)
        self.version += 1
        return list(range(first, first + count))

    def change(self, ids: Iterable[int], when: int, *, set_flags: int = 0, clear_flags: int = 0) -> None:
        """What creates a ticket event: both instants move."""
        for ticket_id in ids:
            at = ticket_id - 1
            self.revision[at] += 1
            self.updated[at] = when
            self.flags[at] = (self.flags[at] | set_flags) & ~clear_flags
            self._move(ticket_id, when)
        self.version += 1

    def touch(self, ids: Iterable[int], when: int, *, set_flags: int = 0) -> None:
        """What the system does by itself: generated_timestamp moves alone."""
        for ticket_id in ids:
            self.flags[ticket_id - 1] |= set_flags
            self._move(ticket_id, when)
        self.version += 1

    def mark(self, ids: Iterable[int], flags: int) -> None:
        """Set flags where no timestamp moves. GONE takes the row out of everything."""
        for ticket_id in ids:
            self.flags[ticket_id - 1] |= flags
            if flags & GONE:
                self._take_out(ticket_id)
        self.version += 1

    # --- the export's order ---

    def start(self, generated: int, after_id: int | None = None) -> int:
        """The place of the first row at or after an instant, or strictly after (instant, id)."""
        key = max(0, generated) << _SHIFT
        if after_id is None:
            return bisect_left(self._order, key)
        return bisect_right(self._order, key | min(max(0, after_id), _ID_MASK))

    def end(self, horizon: int) -> int:
        """The place behind the last row with a generated_timestamp up to `horizon`."""
        return bisect_left(self._order, (horizon + 1) << _SHIFT)

    def id_at(self, place: int) -> int:
        return self._order[place] & _ID_MASK

    def exported(self) -> Iterator[int]:
        """All ids in the export, in its order."""
        return (key & _ID_MASK for key in self._order)

    # --- the list's order ---

    def listed(self) -> array[int]:
        """(updated_at << 32 | id), sorted, of what a list shows: nothing deleted, archived or gone."""
        return self._lists()[0]

    def listed_ids(self) -> array[int]:
        """The ids of the same, sorted."""
        return self._lists()[1]

    def _lists(self) -> tuple[array[int], array[int]]:
        if self._listed is None or self._listed[0] != self.version:
            hidden = DELETED | SCRUBBED | ARCHIVED | GONE
            shown = [number for number, flags in enumerate(self.flags, 1) if not flags & hidden]
            keys = sorted(list_key(self.updated[number - 1], number) for number in shown)
            self._listed = (self.version, array("q", keys), array("q", shown))
        return self._listed[1:]

    # --- keeping the order ---

    def _move(self, ticket_id: int, when: int) -> None:
        if not self.flags[ticket_id - 1] & GONE:
            self._take_out(ticket_id)
            self._place(ticket_id, when)
        self.generated[ticket_id - 1] = when

    def _take_out(self, ticket_id: int) -> None:
        key = (self.generated[ticket_id - 1] << _SHIFT) | ticket_id
        place = bisect_left(self._order, key)
        if place < len(self._order) and self._order[place] == key:
            del self._order[place]

    def _place(self, ticket_id: int, when: int) -> None:
        key = (when << _SHIFT) | ticket_id
        if not self._order or key > self._order[-1]:
            self._order.append(key)
        else:
            self._order.insert(bisect_left(self._order, key), key)


def key_parts(key: int) -> tuple[int, int]:
    """(instant, id) of a key of `Rows.listed`."""
    return key >> _SHIFT, key & _ID_MASK


def list_key(when: int, ticket_id: int) -> int:
    return (when << _SHIFT) | ticket_id
