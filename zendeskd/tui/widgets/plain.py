"""For terminals and fonts that have only ASCII: every line, mark and block that is drawn, as one that they have."""

from __future__ import annotations

from typing import Final

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_BOX: Final = range(0x2500, 0x2580)
_BLOCKS: Final = range(0x2580, 0x25A0)
_SIGNS: Final = {
    "·": "-", "…": "~", "›": ">", "⏎": "<", "🔎": "/ ", "–": "-", "—": "-", "↑": "^", "↓": "v", "←": "<", "→": ">",
}  # fmt: skip


def _drawn(code: int) -> str:
    name = chr(code)
    if name in "─━┄┅┈┉╌╍═╴╶╸╺╼╾▁▔░":
        return "-"
    if name in "│┃┆┇┊┋╎╏║╵╷╹╻╽╿▌▐▎▊▏▕":
        return "|"
    return "+" if code in _BOX else "#"


_PLAIN: Final = str.maketrans({chr(code): _drawn(code) for code in (*_BOX, *_BLOCKS)} | _SIGNS)


class Plain(LineFilter):
    """What a person wrote, as a ticket's text, stays as it is but for these."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.control or segment.text.isascii() else segment._replace(text=plain(segment.text))
            for segment in segments
        ]


def plain(text: str) -> str:
    """In as many cells as before."""
    return text.translate(_PLAIN)
