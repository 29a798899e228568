"""Screens as text. ZENDESKD_GOLDENS=write writes what is shown instead of comparing: then read the difference."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
WRITE = os.environ.get("ZENDESKD_GOLDENS") == "write"


def is_same(name: str, text: str) -> bool:
    """Spaces at the ends of lines aside."""
    return text.rstrip("\n") + "\n" == (HERE / f"{name}.txt").read_text(encoding="utf-8")


def check(name: str, text: str) -> None:
    """The screen is exactly as in NAME.txt, spaces at the ends of lines aside."""
    file = HERE / f"{name}.txt"
    if WRITE:
        file.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    assert text.rstrip("\n") + "\n" == file.read_text(encoding="utf-8")
