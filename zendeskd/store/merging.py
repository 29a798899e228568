"""Merging the pieces of the search index, in short transactions beside whoever writes.

Each page that is written leaves a piece of the index, and a search looks into all of them. Left to itself SQLite merges
them in the commits of pages, where a sync waits for it: a tenth of its time. Here a chore does it, and a commit only
where the chore is far behind (`crisismerge`, in the first migration).

SQLite 3.40.1 has a fault here, which 3.54.1 has not: at the one word where a step stops it can forget that a record had
that word before it was taken out by one piece and put back by another; taken out once more, it is still found. That is
so too where SQLite merges by itself, which stops after 64 pages already; the larger the steps, the fewer such words.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from zendeskd.db import Database
from zendeskd.errors import Damaged
from zendeskd.pace import Pace
from zendeskd.store import search

_STEP_PAGES: Final = 256
"""Of 16 KB: a step takes the writer's turn for 25 ms, half as long as a page of a thousand tickets. Each step begins by
reading into all the pieces anew, so with less of them a merge of many pieces gets nowhere."""

_WEIGHT: Final = 6
"""A record has 2.6 KB, a row of the index 16."""

_YIELDED: Final = 3.0
"""Times as long as a step took the turn is left to others."""

_AT_MOST_S: Final = 20.0
"""In one call, for other chores wait behind it. What is left is for the next."""

_LONGEST_LOG: Final = 64 * 2**20
"""Bytes of the write-ahead log from which on it waits: somebody reads for long, a backup perhaps, and nothing that is
written meanwhile can be moved out of the log."""


class Merging:
    """One thread."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen = -1  # of the database's changes, when all was merged
        self._is_damaged = False

    def go_on(self, ending: threading.Event) -> None:
        """Merge for a while, if anything was written since all was merged. Soon after `ending` was set it ends. Raises
        StorageError with the last step undone; nothing is lost by that, and the next call goes on. An index that was
        found damaged is left alone from then on."""
        pace, until = Pace(ending, _YIELDED), time.monotonic() + _AT_MOST_S
        while self._seen != self._db.changes and time.monotonic() < until and self._may_write():
            try:
                with self._db.writing(weight=_WEIGHT) as connection:
                    was_more = search.merge(connection, _STEP_PAGES)
            except Damaged:
                self._is_damaged = True
                raise
            if not was_more:
                self._seen = self._db.changes  # a page that slipped in between is merged with the next one
            elif pace.rest():
                return

    def _may_write(self) -> bool:
        """Whether the disk is well and has room: what there is is for the pages. A step that finds nothing to do would
        pass for a write that succeeded."""
        db = self._db
        return not self._is_damaged and db.trouble is None and db.has_room() and db.sizes()[1] <= _LONGEST_LOG
