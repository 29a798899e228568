"""What somebody types to search the copy: words, and what narrows the list. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zendeskd import present
from zendeskd.models import SYSTEMS

PREFIXES: Final = ("status", "org", "system", "tag", "deleted")
PLACEHOLDER: Final = "words, status:open, org:, system:, tag:, deleted:yes"

_PREFIXED: Final = re.compile(r"([a-z]+):(?!//)(.*)", re.IGNORECASE | re.DOTALL)
_FLAGS: Final = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Search:
    """`words` must all be in a record. `trouble` says in words what of it was not understood."""

    words: tuple[str, ...] = ()
    status: str | None = None
    org: str | None = None
    system: str | None = None
    tag: str | None = None
    deleted: bool | None = None
    trouble: str = ""


def parse(typed: str) -> Search:
    """`payment 500 status:open`. A prefix that nothing follows yet narrows nothing."""
    words: list[str] = []
    narrow: dict[str, Any] = {}
    for word in typed.split():
        found = _PREFIXED.fullmatch(word)
        if found is None:
            words.append(word)
            continue
        name, value = found[1].lower(), found[2]
        if name not in PREFIXES:
            known = ", ".join(f"{prefix}:" for prefix in PREFIXES)
            said = f'there is no {present.clean(name)}: but {known}; as a word it is written "{present.clean(word)}"'
            return Search(trouble=said)
        if name in narrow:
            return Search(trouble=f"{name}: can be there once")
        if not value:
            continue
        if trouble := _trouble(name, value.lower()):
            return Search(trouble=trouble)
        narrow[name] = _FLAGS[value.lower()] if name == "deleted" else value
    if "system" in narrow:
        narrow["system"] = narrow["system"].lower()
    return Search(words=tuple(words), **narrow)


def _trouble(name: str, value: str) -> str:
    allowed: Sequence[str] = {"deleted": tuple(_FLAGS), "system": SYSTEMS}.get(name, ())
    if not allowed or value in allowed:
        return ""
    return f"{name}: is {' or '.join(allowed)}, never {present.clean(value)}"


def chosen(name: str, orgs: Collection[str]) -> list[str]:
    """Which organisations `org:` means: the one of that name, else those that have it in theirs."""
    exact = [org for org in orgs if org.lower() == name.lower()]
    return exact or sorted(org for org in orgs if name.lower() in org.lower())
