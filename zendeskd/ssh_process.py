"""How the person's own ssh is started: with which settings, so that it ends with this program. No waiting here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from zendeskd.address import Address
from zendeskd.throwaway import Throwaway
from zendeskd.tied import tied

CONNECT_S: Final = 15
"""ssh's own time for one address of the host."""


class Places(NamedTuple):
    """What one tunnel has in its folder: the socket, that of the master, what ssh said."""

    socket: Path
    master: Path
    said: Path


def program() -> str | None:
    return shutil.which("ssh")


def start(ssh: str, address: Address, places: Places, *, may_ask: bool, connect_s: int) -> subprocess.Popen[bytes]:
    """ssh, on its way up. `may_ask`: it keeps the terminal, to ask on it. Raises OSError.

    It ends with the thread that calls this (see `tied`). To let it run a command that waits for the end of its input
    would need an account that may run commands; `-N` needs none."""
    quiet = {} if may_ask else {"SSH_ASKPASS_REQUIRE": "never"}
    _have_folder(places.socket.parent)
    with places.said.open("ab") as said:
        return subprocess.Popen(
            tied([ssh, *_options(address, places, may_ask, connect_s), "--", address.host]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **quiet},
            start_new_session=not may_ask,  # without a terminal nobody can draw on it
        )


def _options(address: Address, places: Places, may_ask: bool, connect_s: int) -> list[str]:
    """Settings of the person's own that would take the tunnel away from us are overruled, no others."""
    settings = {
        "BatchMode": "no" if may_ask else "yes",
        "ConnectTimeout": str(connect_s),
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
        "ExitOnForwardFailure": "no",  # the person's own forwards may be in use by another ssh
        "StreamLocalBindUnlink": "yes",
        "StreamLocalBindMask": "0177",
        "ControlMaster": "yes",  # a master of theirs would keep our socket for itself; ours answers `run`
        "ControlPath": str(places.master),
        "ControlPersist": "no",
        "LogLevel": "INFO",  # below, it does not say why it ends
        "PermitLocalCommand": "no",
        "RemoteCommand": "none",
        "UpdateHostKeys": "no",  # may ask, when the dashboard is there already
    }
    there = str(address.socket).replace("\\", "\\\\").replace(":", "\\:")
    return ["-N", "-T", "-a", "-x", *_words(settings), "-L", f"{places.socket}:{there}"]


def run(ssh: str, address: Address, places: Places, command: str) -> subprocess.Popen[bytes]:
    """A command on the host, over the connection that is there and no other. Raises OSError."""
    settings = {
        "ControlPath": str(places.master),
        "ControlMaster": "no",
        "BatchMode": "yes",
        "ProxyCommand": "false",  # where there is no master any more it would connect by itself
        "RemoteCommand": "none",
    }
    return subprocess.Popen(
        [ssh, "-T", "-a", "-x", *_words(settings), "--", address.host, command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _words(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


# --- the folder -------------------------------------------------------------------------------------------------------


def new_folder(environ: Mapping[str, str]) -> Throwaway:
    """A new folder that is the caller's alone. Raises OSError."""
    return Throwaway("zendeskd-ssh-", _short_folder(environ))


def _short_folder(environ: Mapping[str, str]) -> str:
    """One that leaves room in a socket's path, and in which there is nothing that ssh would replace."""
    for folder in (environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if re.fullmatch(r"/[a-zA-Z0-9_./+-]{,50}", folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "/tmp"  # noqa: S108 - mkdtemp makes a folder of our own in it


def _have_folder(folder: Path) -> None:
    """It may have been cleaned up with other old files; then nobody else may have made it since."""
    try:
        is_ours = folder.stat().st_uid == os.geteuid()
    except OSError:
        is_ours = False
    folder.mkdir(mode=0o700, exist_ok=is_ours)
