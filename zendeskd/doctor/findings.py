"""What an examination says: one finding a thing looked at, in a word, a sentence and what to do. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Word(StrEnum):
    """From good to bad."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`topic` is what was looked at ("disk", "acme zendesk"); `hint` says what to do, "" if nothing."""

    topic: str
    word: Word
    detail: str
    hint: str = ""


_ORDER: Final = tuple(Word)


def ok(topic: str, detail: str) -> Finding:
    return Finding(topic, Word.OK, detail)


def warning(topic: str, detail: str, hint: str = "") -> Finding:
    return Finding(topic, Word.WARNING, detail, hint)


def failed(topic: str, detail: str, hint: str = "") -> Finding:
    return Finding(topic, Word.FAILED, detail, hint)


def worst(findings: Sequence[Finding]) -> Word:
    return max((finding.word for finding in findings), key=_ORDER.index, default=Word.OK)


def lines(findings: Sequence[Finding]) -> list[str]:
    """For a person: a line a finding, its hint below it, and a line that counts."""
    width = max((len(finding.topic) for finding in findings), default=0)
    text = []
    for finding in findings:
        text.append(f"{finding.word:<7}  {finding.topic:<{width}}  {finding.detail}")
        if finding.hint:
            text.append(f"{'':<7}  {'':<{width}}  → {finding.hint}")
    counts = Counter(finding.word for finding in findings)
    return [*text, ", ".join(f"{counts[word]} {word}" for word in reversed(_ORDER) if counts[word])]


def as_json(findings: Sequence[Finding]) -> str:
    """For a program: one document."""
    document = {
        "schema": 1,
        "worst": worst(findings),
        "findings": [
            {"topic": one.topic, "result": one.word, "detail": one.detail, "hint": one.hint} for one in findings
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1)
