"""What JSON allows and a parser or a database does not: escaped NULs, half surrogate pairs, bytes that are no UTF-8.

Seldom needed, so a regular expression does no harm here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<bad>u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def mask(data: bytes) -> bytes:
    """The same JSON, byte for byte as long, with U+FFFD for escaped NULs and half surrogate pairs."""
    return _ESCAPES.sub(lambda found: b"\\ufffd" if found["bad"] else found[0], data)


def decoded(body: bytes, type: type[T]) -> T:
    """What the JSON says, with U+FFFD for odd text that the parser refuses. Raises what msgspec raises."""
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.json.decode(mask(body), type=type)


def slices(body: bytes, masked: bytes, parts: Iterable[bytes]) -> list[bytes]:
    """The bytes of `body` where each part of its masked twin stands, in their order."""
    found, position = [], 0
    for part in parts:
        position = masked.index(part, position)
        found.append(body[position : position + len(part)])
        position += len(part)
    return found


def escaped(raw: bytes) -> bytes:
    """JSON that is UTF-8 but for surrogates, which become escapes. Raises UnicodeDecodeError otherwise."""
    return raw.decode(errors="surrogatepass").encode(errors="backslashreplace")


def text_of(raw: bytes) -> str:
    """Any bytes as text that a database can hold."""
    return raw.decode(errors="replace").replace("\0", "\ufffd")
