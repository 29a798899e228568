"""Where a control socket is: on this machine, or on another one that ssh reaches. Standard library only."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from zendeskd import paths
from zendeskd.errors import ConfigError

_UNFIT: Final = re.compile(r"""[\s\x00-\x1f\x7f'"`;&<>|(){}]""")
"""What neither a user nor a host has in its name. ssh hands both to the shell where a ProxyCommand names them, and
refuses them itself only since 9.6."""


class Address(NamedTuple):
    """`socket` as the machine names it that the daemon runs on; `host` as ssh takes it, "" for this machine.
    `is_named`: a program that is started here without options would take another socket."""

    socket: Path
    host: str = ""
    is_named: bool = False

    def __str__(self) -> str:
        return f"{self.host}:{self.socket}" if self.host else str(self.socket)

    @property
    def machine(self) -> str:
        """The host without the user and without `ssh://`."""
        return self.host.removeprefix("ssh://").rpartition("@")[2]

    @property
    def zendeskctl(self) -> str:
        """The begin of a command line that reaches this daemon when it is typed here: `zendeskctl --ssh db1`."""
        options = ["--ssh", self.host] if self.host else []
        if self.is_named:
            options += ["--socket", str(self.socket)]
        if not options:
            return "zendeskctl"
        import shlex  # noqa: PLC0415 - as below

        return shlex.join(["zendeskctl", *options])

    def command(self, text: str) -> str:
        """A command that has to be carried out on the daemon's machine, as it is typed here."""
        if not self.host:
            return text
        import shlex  # noqa: PLC0415 - only who names a daemon needs it

        return f"ssh {shlex.quote(self.host)} {text}"


def address_of(host: str | None, socket: Path | None, environ: Mapping[str, str]) -> Address:
    """From `--ssh` and `--socket`. `environ` is this machine's, so that with a host it says nothing about the socket.
    Raises ConfigError for a path that ssh would not take as it is."""
    if not host:
        # a variable may have been set for this one program, so that another would not know it
        bare = {name: value for name, value in environ.items() if not name.startswith("ZENDESKD_")}
        here = socket or paths.default_socket(environ)
        return Address(here, is_named=here != paths.default_socket(bare))
    usual = paths.SYSTEM_RUNTIME / paths.SOCKET_NAME
    there = socket or usual
    text = str(there)
    if not there.is_absolute():
        raise ConfigError(f"--socket {text} with --ssh: the path on {host} has to begin with /")
    if re.search(r"[%$\x00-\x1f\x7f]", text):
        raise ConfigError(f"--socket {text!r} with --ssh: ssh would put something else for % and $")
    if len(os.fsencode(there)) > paths.SOCKET_PATH_LIMIT:
        raise ConfigError(f"--socket {text}: longer than the {paths.SOCKET_PATH_LIMIT} bytes of a socket's path")
    return Address(there, host, is_named=there != usual)


def socket_argument(text: str) -> Path:
    """The value of `--socket`, for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def host_argument(text: str) -> str:
    """The value of `--ssh`, for argparse: an alias, HOST, USER@HOST or ssh://USER@HOST:PORT.

    One that begins with a dash would be an option of ssh, and options of ssh run commands."""
    user, _, host = text.removeprefix("ssh://").rpartition("@")
    if not host:
        raise argparse.ArgumentTypeError("the host is empty")
    if text.startswith("-") or user.startswith("-") or host.startswith("-"):
        raise argparse.ArgumentTypeError(f"{text!r} begins with a dash, which no host does")
    if _UNFIT.search(text) or re.search(r"[$\\]", host):
        raise argparse.ArgumentTypeError(f"{text!r} is no host that ssh could reach")
    return text
