"""Keeping secrets out of what is written: the log's own sieve. Pure.

Secrets are wrapped in `Secret` where they are read; this is the second fence, for what slips through as text: a key
with a telling name, an Authorization header inside an error message, a token in a URL.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, quote_plus

from zendeskd.models import Secret, stamp

HIDDEN: Final = "***"
SHORTEST: Final = 4
"""Characters of what is looked for in the words of others: fewer would be found in every sentence."""
LONGEST: Final = 16_000
"""Characters of one value. A log line is for people; a page of tickets in it would be a mistake."""

_KEYS: Final = re.compile(r"(?:^|_|-)(?:token|secret|password|passwd|passphrase|authorization|cookie|apikey|api_key)$")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PATTERNS: Final = (
    re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/-]{6,}=*"),
    re.compile(
        r"(?i)([\"']?\b\w*(?:token|secret|password|passwd|authorization|api_?key)[\"']?\s*[=:]\s*[\"']?)"
        r"(?!(?:bearer|basic)\s)[^\s\"',&;}*]{4,}"
    ),
    re.compile(r"(?i)(\bhttps?://)[^\s/@]+@"),
)
_REPLACEMENTS: Final = (rf"\1 {HIDDEN}", rf"\1{HIDDEN}", rf"\1{HIDDEN}@")


def clean(value: object, depth: int = 0) -> object:
    """The value as plain JSON data without secrets. Never raises."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return clean_text(value)
        case Secret():
            return HIDDEN
        case datetime():
            return stamp(value) if value.tzinfo else value.isoformat()
        case bytes():
            return clean_text(value.decode("utf-8", "backslashreplace"))
        case Mapping() if depth < 6:
            return {str(k): clean_item(str(k), v, depth + 1) for k, v in value.items()}
        case list() | tuple() | set() | frozenset() if depth < 6:
            return [clean(v, depth + 1) for v in value]
        case _:
            try:
                return clean_text(str(value))
            except Exception:  # noqa: BLE001 - a broken __str__ must not cost the log line
                return f"<{type(value).__name__}>"


def clean_item(key: str, value: object, depth: int = 0) -> object:
    """The value of a key: hidden when the key's name says that it is a secret."""
    if isinstance(value, str | bytes) and value and _is_telling(key):
        return HIDDEN
    return clean(value, depth)


def clean_text(text: str) -> str:
    """Text without what looks like a credential, and of bounded length."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + f" … ({len(text) - LONGEST} more characters)"
    for pattern, replacement in zip(_PATTERNS, _REPLACEMENTS, strict=True):
        text = pattern.sub(replacement, text)
    return text


def secrets_in(sent: Mapping[str, object]) -> tuple[Secret, ...]:
    """What goes out under a telling name: of an Authorization header without its scheme, of a Basic one also the
    password inside."""
    found = []
    for key, value in sent.items():
        if isinstance(value, str) and _is_telling(key):
            found.append(value.rpartition(" ")[2])
            try:
                found.append(base64.b64decode(found[-1], validate=True).decode().rpartition(":")[2])
            except ValueError:
                continue  # it is no Basic header
    return tuple(map(Secret, found))


def without(text: str, secrets: Iterable[Secret]) -> str:
    """Words of somebody who was sent these secrets and may repeat them: as they are, in a URL, in a host's name."""
    for secret in secrets:
        plain = secret.reveal()
        if len(plain) >= SHORTEST:
            for form in (plain, quote(plain, safe=""), quote_plus(plain)):
                text = re.sub(re.escape(form), HIDDEN, text, flags=re.IGNORECASE)
    return clean_text(text)


def _is_telling(key: str) -> bool:
    return _KEYS.search(_CAMEL.sub("_", key).lower()) is not None
