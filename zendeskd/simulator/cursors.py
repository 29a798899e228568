"""The two kinds of cursor, as Zendesk encodes them.

Export: base64 of `{generated_timestamp}.0||{ticket_id}|` (recorded on 103 of 103 pages). List: base64 of JSON
`{"o":"updated_at,id","v":…}`, where v is base64 of `d` + the instant and `i` + the id, both int64 little-endian
(probed); the id in it is internal, not the ticket's number.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from typing import Final

_EXPORT: Final = re.compile(rb"(\d{1,10})\.0\|\|(\d{1,10})\|")
_INTERNAL_BASE: Final = 7_300_000_000_000
_INTERNAL_STEP: Final = 17
_TAGS: Final = {"updated_at": b"d", "deleted_at": b"d", "id": b"i", "nice_id": b"i"}


class BadCursor(ValueError):
    """Not a cursor of this kind."""


def export_cursor(generated: int, ticket_id: int) -> str:
    return base64.b64encode(b"%d.0||%d|" % (generated, ticket_id)).decode()


def read_export_cursor(text: str) -> tuple[int, int]:
    """(generated_timestamp, ticket id). Raises BadCursor."""
    try:
        match = _EXPORT.fullmatch(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadCursor(text) from error
    if match is None:
        raise BadCursor(text)
    return int(match[1]), int(match[2])


def internal_id(ticket_id: int) -> int:
    return _INTERNAL_BASE + ticket_id * _INTERNAL_STEP


def ticket_number(internal: int) -> int:
    """The number of the last ticket whose internal id is not greater; 0 for one before all tickets."""
    return max(0, (internal - _INTERNAL_BASE) // _INTERNAL_STEP)


def list_cursor(order: str, *values: int) -> str:
    """`order` is Zendesk's: `updated_at,id`, `-updated_at,id`, `nice_id`, …"""
    tags = [_TAGS[name.lstrip("-")] for name in order.split(",")]
    packed = b"".join(tag + struct.pack("<q", value) for tag, value in zip(tags, values, strict=True))
    inner = base64.b64encode(packed).decode()
    return base64.b64encode(json.dumps({"o": order, "v": inner}, separators=(",", ":")).encode()).decode()


def read_list_cursor(text: str, order: str) -> tuple[int, ...]:
    """The values in it. Raises BadCursor, also for a cursor of another order."""
    try:
        outer = json.loads(base64.b64decode(text, validate=True))
        packed = base64.b64decode(outer["v"], validate=True)
        names = [name.lstrip("-") for name in outer["o"].split(",")]
        expected = b"".join(_TAGS[name] + b"q" for name in names)
        if outer["o"] != order or len(packed) != 9 * len(names):
            raise BadCursor(text)
        parts = [struct.unpack_from("<cq", packed, 9 * n) for n in range(len(names))]
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadCursor(text) from error
    if b"".join(tag + b"q" for tag, _ in parts) != expected:
        raise BadCursor(text)
    return tuple(value for _, value in parts)
