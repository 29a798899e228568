"""What a person set once for all: `tui.toml` in the user's configuration folder. Wrong settings are told, all of them.

theme = "light"
order = "name"
time_style = "utc"

[keys]
trigger = "f5"
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from zendeskd.errors import ConfigError
from zendeskd.tui.listing import ORDERS
from zendeskd.tui.times import STYLES

FILE_NAME: Final = "tui.toml"


def read(file: Path, *, themes: Collection[str], keys: Collection[str]) -> dict[str, object]:
    """The settings of that file, `keymap` among them; none if it is not there.

    `themes` and `keys`: the names there are. Raises ConfigError with all that is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}") from None
    wanted: Mapping[str, Callable[[object], str]] = {
        "theme": lambda value: _one_of(value, themes),
        "order": lambda value: _one_of(value, ORDERS),
        "time_style": lambda value: _one_of(value, STYLES),
    }
    found: dict[str, object] = {}
    problems: list[str] = []
    for name, value in given.items():
        if name == "keys":
            found["keymap"] = _keymap(value, keys, problems)
        elif name in wanted:
            if problem := wanted[name](value):
                problems.append(f"{name} {problem}")
            found[name] = value
        else:
            problems.append(f"{name} is no setting{_near(name, [*wanted, 'keys'])}")
    if problems:
        told = tuple(f"{file}: {problem}" for problem in problems)
        raise ConfigError(told[0], problems=told)
    return found


def _one_of(value: object, names: Collection[str]) -> str:
    """What is wrong with it; "" if nothing is."""
    return "" if value in names else f"is {value!r}, it can be {', '.join(names)}"


def _keymap(value: object, keys: Collection[str], problems: list[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        problems.append('keys must be a table, for example [keys] and trigger = "f5"')
        return {}
    for name, key in value.items():
        if name not in keys:
            problems.append(f"keys.{name} is nothing a key does{_near(name, keys)}")
        elif not isinstance(key, str) or not key:
            problems.append(f'keys.{name} must be a key, for example "f5" or "ctrl+t"')
    return {name: str(key) for name, key in value.items()}


def _near(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f", do you mean {near[0]}?" if near else ""
