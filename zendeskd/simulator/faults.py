"""Troubles on request: what can go wrong, for which calls, and how often.

A fault answers instead of Zendesk (`INSTEAD`), spoils a page of tickets (`SPOILED`) or the way the bytes go out
(`DELIVERED`). The options of each kind and their defaults are in the tables.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

INSTEAD: Final[dict[str, dict[str, Any]]] = {
    # any status. retry_after: seconds as they shall be written (5, 2.5, "0", "soon"); retry_after_date_s: the same
    # as an HTTP date that many seconds ahead
    "status": {"status": 500, "retry_after": None, "retry_after_date_s": None, "body": None, "content_type": None},
    "rate_limited": {"retry_after": None, "retry_after_date_s": None, "is_text": False, "budget": "export"},
    "too_big": {"above": 250},  # 504 for a page size above this
    "html": {"status": 200},
    "not_json": {},
    "wrong_shape": {},
    "redirect": {"to": "https://elsewhere.example.com/", "status": 302},
    "unauthorized": {},
    "forbidden": {},
    "anonymous": {},
    "expired_cursor": {"status": 400},  # only calls that carry a cursor
    "too_recent": {"is_legacy": False},
}
SPOILED: Final[dict[str, dict[str, Any]]] = {
    "stuck_cursor": {},  # the cursor that was sent comes back
    "repeating_cursor": {},  # an older one comes back
    "null_cursor": {},
    "short_page": {"rows": 1},
    "duplicates": {"rows": 3, "is_stale": False},  # within the page; stale: older deliveries of the same tickets
    "duplicates_across": {"rows": 3},  # the last rows of the page before come again
    "malformed_ticket": {"variant": "no_id"},  # no_id, null_id, text_id, wrong_types, not_an_object
    "strange_text": {},  # NUL and a lone surrogate in the first ticket, from now on
}
DELIVERED: Final[dict[str, dict[str, Any]]] = {
    "reset": {"at": "before"},  # before the first byte, or "within" the body
    "truncated": {"part": 0.5},  # this part of the promised bytes, then the end
    "slow": {"delay_s": 0.0, "chunk": 1024, "every_s": 0.02},
    "hang": {"at": "before", "seconds": None},  # until released, cleared or hung up
    "huge_body": {"size": 80_000_000, "is_gzip": False},
    "bad_gzip": {},
}
KINDS: Final = INSTEAD | SPOILED | DELIVERED

ENDPOINTS: Final = ("export", "list", "deleted", "show_many", "count", "me", "current_token", "token")
_GROUPS: Final = {"tickets": ("export", "list"), "any": (*ENDPOINTS, "unknown")}


class Fault:
    """One trouble. `hits` counts how often it struck; `release()` lets those that hang go on. Any thread."""

    def __init__(self, kind: str, *, times: int | None, on: str, after: int, options: Mapping[str, Any]) -> None:
        """Raises ValueError that names what is wrong and what would be right."""
        if kind not in KINDS:
            raise ValueError(f"no kind of fault: {kind!r}; there are {', '.join(sorted(KINDS))}")
        if on not in ENDPOINTS and on not in _GROUPS:
            raise ValueError(f"no such endpoint: {on!r}; there are {', '.join((*ENDPOINTS, *_GROUPS))}")
        if wrong := set(options) - set(KINDS[kind]):
            known = ", ".join(KINDS[kind]) or "none"
            raise ValueError(f"{kind} has no option {', '.join(sorted(wrong))}; it has {known}")
        self.kind, self.on, self.times, self.after = kind, on, times, after
        self.options: dict[str, Any] = KINDS[kind] | dict(options)
        self.hits = 0
        self.released = threading.Event()
        self._passed = 0

    def release(self) -> None:
        self.released.set()

    def strikes(self, endpoint: str, page_size: int | None, has_cursor: bool) -> bool:
        """Whether it strikes this call; counts it. Under the account's lock."""
        if endpoint not in _GROUPS.get(self.on, (self.on,)) or self.is_over:
            return False
        if self.kind == "expired_cursor" and not has_cursor:
            return False
        if self.kind == "too_big" and (page_size is None or page_size <= self.options["above"]):
            return False
        self._passed += 1
        if self._passed <= self.after:
            return False
        self.hits += 1
        return True

    @property
    def is_over(self) -> bool:
        return self.times is not None and self.hits >= self.times
