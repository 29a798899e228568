"""What a person last chose in the dashboard, kept for the next start in a file of its own.

Losing it costs a key press, so nothing here is an error: what cannot be read was never chosen, what cannot be written
is forgotten. Several dashboards may share the file; each writes only what was changed in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from zendeskd.tui.listing import ORDERS
from zendeskd.tui.times import STYLES

FILE_NAME: Final = "tui.json"
FILTER_MOST: Final = 200

_FIT: Final[Mapping[str, Callable[[Any, Collection[str]], bool]]] = {
    "theme": lambda value, themes: isinstance(value, str) and value in themes,
    "order": lambda value, _: isinstance(value, str) and value in ORDERS,
    "is_reversed": lambda value, _: isinstance(value, bool),
    "only_problems": lambda value, _: isinstance(value, bool),
    "filter": lambda value, _: isinstance(value, str) and len(value) <= FILTER_MOST and value.isprintable(),
    "time_style": lambda value, _: isinstance(value, str) and value in STYLES,
}


class Choices:
    """`shown`: what the dashboard shows at first, which was not chosen in it. No thread but the event loop's."""

    def __init__(self, shown: Mapping[str, object]) -> None:
        self._now = dict(shown)
        self._unsaved: dict[str, object] = {}

    def keep(self, **chosen: object) -> bool:
        """Note how it is now. -> whether something is to be saved."""
        for name, value in chosen.items():
            if self._now.get(name) != value:
                self._now[name] = self._unsaved[name] = value
        return bool(self._unsaved)

    def take(self) -> dict[str, object]:
        """What is to be saved; it counts as saved from now on."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved


def read(file: Path, *, themes: Collection[str]) -> dict[str, Any]:
    """What was chosen, as far as this version can use it. `themes`: the names there are."""
    return {name: value for name, value in _kept(file).items() if name in _FIT and _FIT[name](value, themes)}


def write(file: Path, chosen: Mapping[str, object]) -> None:
    """Add it to what the file has; what this version does not know stays in it. Any thread."""
    if not chosen or not _is_ours(file):
        return
    with contextlib.suppress(OSError):
        _have(file.parent)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as new:
                new.write(json.dumps(_kept(file) | dict(chosen), indent=1) + "\n")
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _have(folder: Path) -> None:
    """Each folder that is missing is made for the user alone, as the XDG specification has it."""
    if not folder.is_dir():
        _have(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _kept(file: Path) -> dict[str, Any]:
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _is_ours(file: Path) -> bool:
    """Whether it would lie in a folder of the caller: root with somebody's HOME leaves nothing of its own there."""
    for folder in file.parents:
        try:
            return folder.stat().st_uid == os.geteuid()
        except FileNotFoundError:
            continue
        except OSError:
            break
    return False
