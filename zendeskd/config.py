"""The daemon's settings: command line over environment over file over default, every problem reported at once.

The file is TOML and holds what the daemon needs to start, nothing about organisations. Pure but for reading that file
and asking the host for its groups.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from zendeskd import paths
from zendeskd.errors import ConfigError
from zendeskd.settings import SETTINGS, SQLITE, database_path

ENVIRONMENT: Final = {
    "state_dir": "ZENDESKD_STATE_DIR",
    "runtime_dir": "ZENDESKD_RUNTIME_DIR",
    "log_dir": "ZENDESKD_LOG_DIR",
    "database": "ZENDESKD_DATABASE",
    "control.socket": "ZENDESKD_SOCKET",
}
_FOLDER_OF: Final = {"database": "state_dir", "control.socket": "runtime_dir"}
"""What lies in a folder by default. A folder of the command line takes it along, whatever the environment says."""

CONFIG_VARIABLE: Final = "ZENDESKD_CONFIG"
_TABLES: Final = tuple(dict.fromkeys(key.split(".")[0] for key in SETTINGS if "." in key))


@dataclass(frozen=True, slots=True)
class Value:
    """A setting in the form people write, as the program uses it, and where it comes from."""

    written: object
    used: object
    source: str


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs. `live`: a reload applies it, else it waits for the next start."""

    key: str
    old: str
    new: str
    live: bool


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings, checked. Directories are absolute and need not exist yet. Any thread."""

    state_dir: Path
    runtime_dir: Path
    log_dir: Path
    database: str
    workers: int
    timezone: str
    default_interval: str
    lookback: str
    retention_sync_logs: timedelta
    retention_audit_log: timedelta
    reconcile_schedule: str | None  # None: off
    backup_schedule: str | None  # None: off
    backup_keep: int
    control_socket: Path
    control_operators: str | None  # a group's name; None: the group of the daemon
    control_viewers: str | None  # None: nobody may only look
    logging_level: str
    logging_max_bytes: int
    logging_keep: int
    file: Path | None = None
    credentials_dir: Path | None = None
    values: Mapping[str, Value] = field(default_factory=dict, repr=False, compare=False)

    @property
    def database_path(self) -> Path:
        return database_path(self.database)

    @property
    def backup_dir(self) -> Path:
        return self.state_dir / "backups"

    @property
    def log_file(self) -> Path:
        return self.log_dir / "sync-service.log"

    def show(self) -> list[tuple[str, str, str]]:
        """Every setting in order: key, value as TOML, where it comes from."""
        return [(key, _toml(value.written), value.source) for key, value in self.values.items()]


def load(
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    files: Sequence[Path] | None = None,
    cwd: Path | None = None,
) -> Config:
    """The settings in force. Raises ConfigError whose `problems` are all that is wrong, each with its place.

    `overrides` comes from the command line: keys of the file ("workers", "control.socket") and "config", the file to
    read; None means not given. `files` replaces the places where a file is looked for when none is named. `cwd` is what
    relative paths given by the caller are relative to (a daemon's own folder is "/").
    """
    problems: list[str] = []
    here = cwd or Path.cwd()
    file = _find_file(overrides, environ, paths.config_files(environ) if files is None else files, here, problems)
    text = _read(file, problems)
    line = _from_command_line(overrides, here)
    around = _from_environment(environ, here)
    layers = (
        line,
        {key: given for key, given in around.items() if _FOLDER_OF.get(key) not in line},
        _from_file(file, text, problems),
    )
    values = _resolve(layers, environ, problems)
    if problems:
        raise ConfigError(
            problems[0],
            hint="Mend the settings named above; zendeskd check tells whether all is right.",
            problems=tuple(problems),
        )
    used: dict[str, Any] = {key.replace(".", "_"): value.used for key, value in values.items()}
    return Config(**used, file=file, credentials_dir=paths.credentials_dir(environ), values=values)


def changes(old: Config, new: Config) -> list[Change]:
    """What a reload would change."""
    return [
        Change(key, _toml(old.values[key].written), _toml(value.written), SETTINGS[key].live)
        for key, value in new.values.items()
        if value.used != old.values[key].used
    ]


def applied(old: Config, new: Config) -> Config:
    """What is in force after a reload: the new settings, but the old ones where only a restart applies them; so the
    next reload still tells what waits."""
    kept = {key: old.values[key] for key in new.values if not SETTINGS[key].live}
    used: dict[str, Any] = {key.replace(".", "_"): value.used for key, value in kept.items()}
    return replace(new, **used, values={**new.values, **kept})


# --- the layers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    written: object
    source: str  # for `show`
    place: str  # for a problem: "/etc/zendeskd/zendeskd.toml line 3: workers"


_Layer = Mapping[str, _Given]


def _from_command_line(overrides: Mapping[str, object], here: Path) -> _Layer:
    given = {}
    for key, value in overrides.items():
        if value is not None and key != "config":
            flag = "--" + key.split(".")[-1].replace("_", "-")
            given[key] = _Given(_made_absolute(key, value, here), "command line", f"command line: {flag}")
    return given


def _from_environment(environ: Mapping[str, str], here: Path) -> _Layer:
    return {
        key: _Given(_made_absolute(key, environ[name], here), f"environment ({name})", f"environment: {name}")
        for key, name in ENVIRONMENT.items()
        if environ.get(name)
    }


def _from_file(file: Path | None, text: str, problems: list[str]) -> _Layer:
    if file is None:
        return {}
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{file}: this is not TOML: {error}")
        return {}
    given = {}
    for key, value in _flatten(document):
        line = _line_of(key, text)
        place = f"{file}{f' line {line}' if line else ''}: {key}"
        if key in SETTINGS:
            given[key] = _Given(value, f"{file}{f' line {line}' if line else ''}", place)
        else:
            problems.append(f"{place}: {_unknown(key, is_table=isinstance(value, dict))}")
    return given


def _resolve(layers: Sequence[_Layer], environ: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for key, setting in SETTINGS.items():
        given = next((layer[key] for layer in layers if key in layer), None) or _default(key, environ, values)
        try:
            used = setting.parse(given.written)
        except ValueError as error:
            problems.append(f"{given.place}: {_toml(given.written)} {error}")
            used = None
        values[key] = Value(given.written, used, given.source)
    return values


def _default(key: str, environ: Mapping[str, str], before: Mapping[str, Value]) -> _Given:
    """Defaults that depend on where the program runs; the state folder comes first in the table."""
    setting = SETTINGS[key]
    if setting.default is not None:
        return _Given(setting.default, "default", key)
    state = _folder_of(before, "state_dir") or paths.SYSTEM_STATE
    match key:
        case "state_dir":
            place = paths.state_dir(environ)
        case "runtime_dir":
            place = paths.runtime_dir(environ, state)
        case "log_dir":
            place = paths.log_dir(environ, state)
        case "database":
            return _Given(f"{SQLITE}{state / 'zendeskd.db'}", "default, in state_dir", key)
        case _:
            runtime = _folder_of(before, "runtime_dir") or paths.SYSTEM_RUNTIME
            return _Given(str(runtime / paths.SOCKET_NAME), "default, in runtime_dir", key)
    return _Given(str(place.path), place.source, key)


def _folder_of(values: Mapping[str, Value], key: str) -> Path | None:
    value = values.get(key)
    return value.used if value is not None and isinstance(value.used, Path) else None


# --- the file ---------------------------------------------------------------------------------------------------------


def _find_file(
    overrides: Mapping[str, object], environ: Mapping[str, str], places: Sequence[Path], here: Path, problems: list[str]
) -> Path | None:
    named = overrides.get("config") or environ.get(CONFIG_VARIABLE)
    if named:
        return here / str(named)
    for place in places:
        try:
            if place.is_file():
                return place
        except OSError as error:
            problems.append(f"{place}: cannot be looked at: {error.strerror}")
    return None


def _read(file: Path | None, problems: list[str]) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"{file}: is not UTF-8 text, byte {error.start} is wrong")
    return ""


def _flatten(document: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    for key, value in document.items():
        if isinstance(value, dict) and key in _TABLES:
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _line_of(key: str, text: str) -> int | None:
    """tomllib tells no lines: the first line in the right table that begins with the key (or opens that table)."""
    wanted = key.split(".")
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#")[0].strip()
        if bare.startswith("["):
            table = [part.strip(" \"'") for part in bare.strip("[] ").split(".")]
            if table == wanted:
                return number
        elif "=" in bare:
            name = [part.strip(" \"'") for part in bare.split("=")[0].split(".")]
            if [*table, *name] == wanted or (not table and name == wanted[:1]):
                return number
    return None


def _unknown(key: str, *, is_table: bool) -> str:
    if key in _TABLES:
        return f"is a table: write [{key}] and its settings below"
    table, _, name = key.rpartition(".")
    known = [k.rpartition(".")[2] for k in SETTINGS if k.rpartition(".")[0] == table]
    if not table:
        known = [f"[{t}]" for t in _TABLES] if is_table else [*known, *(k for k in SETTINGS if "." in k)]
    near = difflib.get_close_matches(f"[{name}]" if is_table else name, known, n=1, cutoff=0.6)
    where = f" in [{table}]" if table else ""
    return (
        f"there is no such {'table' if is_table else 'setting'}{where}"
        + (f", did you mean {near[0]}?" if near else "")
        + f" (there are: {', '.join(k for k in known if '.' not in k)})"
    )


def _made_absolute(key: str, value: object, here: Path) -> object:
    """Folders given on the command line or in the environment are relative to where the caller is."""
    if key in {"state_dir", "runtime_dir", "log_dir", "control.socket"} and isinstance(value, str | Path):
        return str(here / value) if str(value) else value
    return value


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
