"""What the user's own ssh says when it fails, in our words. Pure.

OpenSSH tells by a line on its standard errors and always ends with 255. The lines are English whatever the locale.
"""

from __future__ import annotations

import re
import shlex
from typing import Final, NamedTuple

from zendeskd.address import Address
from zendeskd.present import clean, cut
from zendeskd.unreachable import Reason

QUOTED_CELLS: Final = 160


class Fault(NamedTuple):
    """`is_final`: to try again by itself would do no good, and may lock the account."""

    reason: Reason
    detail: str
    hint: str
    is_final: bool = False


class _Known(NamedTuple):
    pattern: re.Pattern[str]
    reason: Reason
    detail: str  # {host}: as it was given
    hint: str  # {ssh}: the command that a person tries; {unasked}: of where ssh may not ask
    is_final: bool = False


def _known(pattern: str, reason: Reason, detail: str, hint: str, *, is_final: bool = False) -> _Known:
    return _Known(re.compile(pattern, re.IGNORECASE), reason, detail, hint, is_final)


_WHILE_CONNECTING: Final = (
    _known(
        r"identification has changed|host key for \S+ has changed",
        "refused",
        "the host key of {host} is not the one that ssh knows: another machine answers, or it was set up anew",
        "ask who runs it; {ssh} names the line of known_hosts that is in the way",
        is_final=True,
    ),
    _known(
        r"host key verification failed|host key is known for",
        "refused",
        "the host key of {host} is not known to ssh",
        "once by hand: {ssh}; compare the key and say yes",
        is_final=True,
    ),
    _known(
        r"permission denied \(|too many authentication failures|no more authentication methods",
        "permission",
        "the host {host} does not let you in",
        "{unasked}is it the right user, with the right key? try: {ssh}",
        is_final=True,
    ),
    _known(
        r"bad owner or permissions|bad configuration option|bad configuration options|unsupported option",
        "refused",
        "the settings of ssh cannot be used",
        "see ~/.ssh/config; try: {ssh}",
        is_final=True,
    ),
    _known(
        r"could not resolve hostname|name or service not known",
        "missing",
        "there is no host {host} that ssh knows",
        "check the name, ~/.ssh/config and the network",
    ),
    _known(
        r"connection refused", "refused", "the host {host} refuses ssh", "does sshd run there, on that port? try: {ssh}"
    ),
    _known(
        r"no route to host|network is (?:unreachable|down)",
        "missing",
        "there is no way to {host} from here",
        "check the network or the VPN; try: {ssh}",
    ),
    _known(
        r"timed out|timeout, server",
        "timeout",
        "the host {host} does not answer",
        "is it up, and is this machine in its network or VPN? try: {ssh}",
    ),
    _known(
        r"could not request local forwarding|unix_listener|cannot bind to path",
        "refused",
        "no socket for ssh can be made on this machine",
        "is the disk full?",
    ),
    _known(
        r"connection (?:closed|reset)|broken pipe|disconnect",
        "lost",
        "the ssh connection to {host} broke",
        "try: {ssh}",
    ),
)

_NO_CAUSE: Final = re.compile(r"^(?:Warning: Permanently added .*|Permission denied, please try again\.)$")


def fault_of(address: Address, said: str, code: int | None, *, unasked: str) -> Fault:
    """Why ssh ended (`code`), or did not come up in time (None). `said`: all that it wrote to its standard errors;
    `unasked`: why it asked nobody, "" if it did."""
    ssh = f"ssh {shlex.quote(address.host)}"
    words = {"host": address.host, "ssh": ssh, "unasked": f"{unasked}; " if unasked else ""}
    lines = [line for line in talk(said) if not _NO_CAUSE.match(line)]
    for known in _WHILE_CONNECTING:
        if (told := next((line for line in lines if known.pattern.search(line)), None)) is not None:
            detail, hint = known.detail.format_map(words), known.hint.format_map(words)
            return Fault(known.reason, f"{detail} ({_quoted(told)})", hint, known.is_final)
    quoted = f" ({_quoted('; '.join(lines[-2:]))})" if lines else ""
    if code is None:
        return Fault("timeout", f"the ssh connection to {address.host} does not come up{quoted}", f"try: {ssh}")
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Fault("lost", f"the ssh connection to {address.host} ended{quoted or f' ({ended})'}", f"try: {ssh}")


def no_ssh() -> Fault:
    return Fault("missing", "there is no ssh on this machine", "install it: apt-get install openssh-client")


def talk(said: str) -> list[str]:
    """The lines that mean something, harmless."""
    lines = (clean(line).strip() for line in re.split(r"[\r\n]+", said))
    return [line for line in lines if line.strip("@")]


def _quoted(text: str) -> str:
    return cut(text.strip("@ ."), QUOTED_CELLS)


# --- the other end ----------------------------------------------------------------------------------------------------

OPEN_FAILED: Final = "open failed: "
"""ssh is connected, and the host did not connect it to the daemon's socket."""

_MARK: Final = "zendeskd-socket"
_LOOK: Final = (
    f'm={_MARK}; if [ -S "$1" ]; then if [ -w "$1" ]; then if grep -qF " $1" /proc/net/unix; then echo $m alive; '
    'else echo $m dead; fi; else echo $m forbidden $(stat -c %G -- "$1"); fi; elif [ -e "$1" ]; then echo $m other; '
    'elif [ -d "$2" ]; then if [ -x "$2" ]; then echo $m missing; else echo $m forbidden $(stat -c %G -- "$2"); fi; '
    "else echo $m missing; fi"
)


def look_command(address: Address) -> str:
    """What to carry out on the host to learn how it is with the socket: sshd says "open failed" to everything.

    Any login shell can run it, csh and fish too; an account without one answers something else."""
    return shlex.join(["sh", "-c", _LOOK, "sh", str(address.socket), str(address.socket.parent)])


def open_fault(address: Address, line: str, seen: str = "") -> Fault | None:
    """Why the host did not connect ssh to the socket. `line`: what ssh said; `seen`: what `look_command` gave. None if
    neither tells."""
    found = re.search(rf"^{_MARK} (\w+) ?(\S*)", seen, re.MULTILINE)
    word, group = (found[1], clean(found[2])) if found else (_told(line), "")
    host, socket = address.host, address.socket
    match word:
        case "missing":
            status = address.command("systemctl status zendeskd")
            detail = f"there is no socket {socket} on {host}: the daemon is stopped, or listens elsewhere"
            return Fault("missing", detail, f"{status}, or name the socket there: --socket PATH")
        case "forbidden":
            who = f"the group {group}, which owns it" if group else "the group that owns it"
            return Fault("permission", f"you may not talk to {socket} on {host}", f"join {who}, on {host}")
        case "other":
            return Fault("refused", f"{socket} on {host} is not a socket", "name the daemon's there: --socket PATH")
        case "dead":
            detail = f"nothing listens on {socket} on {host}: the daemon died and left it"
            return Fault("refused", detail, address.command("systemctl restart zendeskd"))
        case "alive":
            detail = f"the sshd on {host} does not forward to sockets, it is not allowed to"
            hint = f"AllowStreamLocalForwarding in its sshd_config; or there: {address.command('zendeskctl')}"
            return Fault("permission", detail, hint)
    return None


def open_fault_unknown(address: Address) -> Fault:
    detail = f"the host {address.host} does not connect to {address.socket}: no daemon, no permission, or sshd may not"
    return Fault("missing", detail, f"{address.command('zendeskctl status')} tells which")


def _told(line: str) -> str:
    """Servers other than OpenSSH's say more."""
    for word, pattern in (
        ("alive", "prohibited|unknown channel type"),
        ("missing", "no such file"),
        ("forbidden", "permission denied"),
        ("dead", "connection refused"),
    ):
        if re.search(pattern, line, re.IGNORECASE):
            return word
    return ""
