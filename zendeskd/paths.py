"""Where things are: the one module that knows default folders. Standard library only, `zendeskctl` pays for it.

Three situations: under systemd the unit's directories, handed over in the environment; as root, or as the user who owns
the system's state folder, the system's directories; as anybody else, the user's own (XDG base directories).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

NAME: Final = "zendeskd"
CONFIG_NAME: Final = "zendeskd.toml"
SOCKET_NAME: Final = "control.sock"
SYSTEM_STATE: Final = Path("/var/lib/zendeskd")
SYSTEM_RUNTIME: Final = Path("/run/zendeskd")
SYSTEM_LOG: Final = Path("/var/log/zendeskd")
SYSTEM_CONFIG: Final = Path("/etc/zendeskd")
SYSTEM_CREDENTIALS: Final = Path("/run/credentials/zendeskd.service")
UNIT_FILES: Final = tuple(
    Path(folder, "zendeskd.service")
    for folder in ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system")
)
SOCKET_PATH_LIMIT: Final = 107
"""Bytes of a Unix socket's path: `sun_path` in unix(7), less the closing NUL."""


class Place(NamedTuple):
    """A default and why it is the default."""

    path: Path
    source: str


def state_dir(environ: Mapping[str, str]) -> Place:
    """Database and key."""
    if given := _from_systemd(environ, "STATE_DIRECTORY"):
        return given
    if is_system_wide():
        return Place(SYSTEM_STATE, "default")
    return Place(own_state_dir(environ), "default for a user")


def own_state_dir(environ: Mapping[str, str]) -> Path:
    """What programs of a person keep between two starts; never the daemon's."""
    return _xdg(environ, "XDG_STATE_HOME", ".local/state") / NAME


def runtime_dir(environ: Mapping[str, str], state: Path) -> Place:
    """Control socket and lock. Without a session's own folder they are in the state folder."""
    if given := _from_systemd(environ, "RUNTIME_DIRECTORY"):
        return given
    if is_system_wide():
        return Place(SYSTEM_RUNTIME, "default")
    own = _absolute(environ, "XDG_RUNTIME_DIR")
    return Place(own / NAME if own else state, "default for a user")


def log_dir(environ: Mapping[str, str], state: Path) -> Place:
    """`sync-service.log` and its older parts."""
    if given := _from_systemd(environ, "LOGS_DIRECTORY"):
        return given
    if is_system_wide():
        return Place(SYSTEM_LOG, "default")
    return Place(state / "log", "default for a user")


def config_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where a configuration file is looked for when none was named, in order; the first that is there counts."""
    given = _from_systemd(environ, "CONFIGURATION_DIRECTORY")
    return (
        *((given.path / CONFIG_NAME,) if given else ()),
        SYSTEM_CONFIG / CONFIG_NAME,
        _xdg(environ, "XDG_CONFIG_HOME", ".config") / NAME / CONFIG_NAME,
    )


def credentials_dir(environ: Mapping[str, str]) -> Path | None:
    """The folder of `LoadCredential=`, or None."""
    return _absolute(environ, "CREDENTIALS_DIRECTORY")


def default_socket(environ: Mapping[str, str]) -> Path:
    """The control socket a client should try: the caller's own daemon if it is there, else the system's."""
    if named := environ.get("ZENDESKD_SOCKET"):
        return Path(named)
    if folder := environ.get("ZENDESKD_RUNTIME_DIR"):
        return Path(folder) / SOCKET_NAME
    state = environ.get("ZENDESKD_STATE_DIR")
    own = runtime_dir(environ, Path(state) if state else state_dir(environ).path).path / SOCKET_NAME
    if _is_there(own):
        return own
    installed = _is_there(SYSTEM_RUNTIME) or _is_there(SYSTEM_STATE)
    return SYSTEM_RUNTIME / SOCKET_NAME if installed else own


def make_folder(folder: Path, mode: int) -> None:
    """Make it, and what is above it, unless it is there: all with that mode, whatever the umask. Raises OSError."""
    if not folder.is_dir():
        if not folder.parent.exists():
            make_folder(folder.parent, mode)
        folder.mkdir(mode=mode, exist_ok=True)
        folder.chmod(mode)


def is_system_wide() -> bool:
    """Whether this process acts for the system's daemon: root, or the owner of its state folder."""
    if os.geteuid() == 0:
        return True
    try:
        return SYSTEM_STATE.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _from_systemd(environ: Mapping[str, str], name: str) -> Place | None:
    """systemd separates several directories by colons (systemd.exec(5)); ours is the first."""
    first = environ.get(name, "").split(":")[0]
    return Place(Path(first), f"systemd (${name})") if first.startswith("/") else None


def _xdg(environ: Mapping[str, str], name: str, beneath_home: str) -> Path:
    return _absolute(environ, name) or Path(environ.get("HOME") or Path("~").expanduser()) / beneath_home


def _absolute(environ: Mapping[str, str], name: str) -> Path | None:
    """The XDG specification says that a relative path counts as unset."""
    value = environ.get(name, "")
    return Path(value) if value.startswith("/") else None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError:
        return False
    return True
