"""What is looked for in a text, and where it is. Case and accents do not count, as in the search of the copy. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """`text[begin:end]`."""

    begin: int
    end: int


def phrase(typed: str) -> re.Pattern[str] | None:
    """What somebody types into a find field: anywhere, blanks standing for any space. None if nothing was typed."""
    words = [re.escape(folded(word)) for word in typed.split()]
    return re.compile(r"\s+".join(words)) if words else None


def words(searched: Sequence[str]) -> re.Pattern[str] | None:
    """What the copy was searched for: whole words, `pay*` the start of one, what is joined by punctuation together."""
    wanted = []
    for word in searched:
        parts = [re.escape(part) for part in re.findall(r"[^\W_]+", folded(word))]
        if parts:
            end = r"[^\W_]*" if word.endswith("*") else r"(?![^\W_])"
            wanted.append(r"(?<![^\W_])" + r"[\W_]+".join(parts) + end)
    return re.compile("|".join(sorted(wanted, key=len, reverse=True))) if wanted else None


def spans(text: str, pattern: re.Pattern[str] | None) -> list[Span]:
    """Where it is, in the order of the text; none overlaps another."""
    return [] if pattern is None else [Span(*found.span()) for found in pattern.finditer(folded(text)) if found.group()]


def folded(text: str) -> str:
    """As it is compared: in small letters without accents, every character at its place."""
    return text.lower() if text.isascii() else "".join(map(_plain, text))


def _plain(char: str) -> str:
    """One character for one."""
    if char < "\x80":
        return char.lower()
    lowered = unicodedata.normalize("NFD", char)[0].lower()
    return lowered if len(lowered) == 1 else char
