"""Which integrations the list shows, and in what order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from zendeskd import present, wire
from zendeskd.models import FINISHED, RECORD_TYPES, State
from zendeskd.tui.state import key_of, utc

PROBLEMS: Final = frozenset({"blocked", "failing", "late", "failed", "retrying"})

_RANK: Final = {word: rank for rank, word in enumerate(present.HEALTH_ORDER)}


def _rank(item: wire.SyncStatus) -> int:
    return _RANK.get(item.health, len(_RANK))


ORDERS: Final[dict[str, Callable[[wire.SyncStatus], Any]]] = {
    "health": _rank,
    "name": lambda item: 0,
    "age": lambda item: utc(item.last_success_at or ""),  # the oldest first
    "next": lambda item: item.next_run_at or "~",
    "tickets": lambda item: -item.total_records,
}
"""Equal ones stand in the order of their names, so those that are fine do not move."""

BY_COLUMN: Final = {
    "org": "name",
    "now": "health",
    "last": "health",
    "age": "age",
    "next": "next",
    "tickets": "tickets",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """How the list is arranged."""

    order: str = "health"
    is_reversed: bool = False
    only_problems: bool = False
    filter: str = ""

    def arranged(self, items: Iterable[wire.SyncStatus]) -> list[wire.SyncStatus]:
        shown = [item for item in items if self.wants(item)]
        shown.sort(key=key_of)
        shown.sort(key=ORDERS[self.order])
        return shown[::-1] if self.is_reversed else shown

    def wants(self, item: wire.SyncStatus) -> bool:
        if self.only_problems and item.health not in PROBLEMS:
            return False
        return all(_matches(item, word) for word in self.filter.lower().split())

    def next_order(self) -> Listing:
        names = list(ORDERS)
        return replace(self, order=names[(names.index(self.order) + 1) % len(names)], is_reversed=False)

    def order_words(self) -> str:
        return f"order {self.order}{' reversed' if self.is_reversed else ''}"

    def filter_words(self) -> str:
        words = [*(["problems"] if self.only_problems else []), *self.filter.split()]
        return f"filter {' '.join(words) or 'none'}"

    def not_understood(self, items: Iterable[wire.SyncStatus]) -> str:
        """Which word of the filter can never match, and what could stand there; "" if each of them may."""
        for word in self.filter.lower().split():
            name, colon, value = word.lstrip("!").partition(":")
            if colon and name not in _FIELDS:
                return f"there is no {name}: but {', '.join(f'{field}:' for field in _FIELDS)}"
            known = _VOCABULARY.get(name)
            if not colon or known is None or any(value in each for each in known):
                continue
            if not any(value in text.lower() for item in items for text in _FIELDS[name](item)):
                return f"{name}: is never {value}, but {', '.join(known)}"
        return ""


def _matches(item: wire.SyncStatus, word: str) -> bool:
    """`failing`, `!acme`, `state:failing`, `system:zendesk`, `last:network`."""
    if word.startswith("!") and len(word) > 1:
        return not _matches(item, word[1:])
    name, colon, value = word.partition(":")
    if colon and name in _FIELDS:
        return any(value in text.lower() for text in _FIELDS[name](item))
    texts = (item.organization_id, item.organization_name, item.why, item.state, item.health)
    return any(word in text.lower() for text in texts)


def _last(item: wire.SyncStatus) -> tuple[str, ...]:
    """As the list shows it, and as the API says it."""
    code = present.last_error_code(item) if item.last_status == "failed" else None
    shown = "ok" if item.last_status == "success" else present.REASONS.get(code or "", "")
    return (item.last_status or "never", shown)


_FIELDS: Final[dict[str, Callable[[wire.SyncStatus], tuple[str, ...]]]] = {
    "state": lambda item: (item.state, item.health),
    "system": lambda item: (item.system_type,),
    "org": lambda item: (item.organization_id,),
    "last": _last,
}
_VOCABULARY: Final[dict[str, tuple[str, ...]]] = {
    "state": tuple(dict.fromkeys((*present.HEALTH_ORDER, *State))),
    "last": ("ok", *sorted(FINISHED), "never", *present.REASONS.values()),
    "system": tuple(RECORD_TYPES),
}
"""What can stand behind these, so that a word which never matches is told from one that matches none just now."""
