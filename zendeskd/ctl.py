"""`zendeskctl`: a command line -> one call of the control socket -> text or JSON -> an exit code.

Starts in a quarter of a second, so a verb's module and the HTTP client are imported when they are needed.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TextIO

from zendeskd import __version__, verbs
from zendeskd.address import address_of
from zendeskd.errors import ConfigError, ZendeskdError
from zendeskd.models import utcnow
from zendeskd.present import clean, clean_block
from zendeskd.streams import open_missing_streams
from zendeskd.verbs.base import Call, Parser
from zendeskd.verbs.documents import ErrorDocument, error_body
from zendeskd.verbs.exits import Exit, UsageProblem, exit_of
from zendeskd.verbs.terminal import Terminal

_WITH_VALUE: Final = {"--socket", "--ssh", "--timeout"}
"""Common options whose value is the next word, so that it is not taken for the verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point. -> exit code, see `verbs.exits`."""
    open_missing_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    code = run(words, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr, environ=os.environ)
    try:
        sys.stdout.flush()
    except OSError:  # `run` has said so; without this Python would say it again on its way out
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def run(
    words: list[str],
    *,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    now: Callable[[], datetime] = utcnow,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] | None = None,
) -> int:
    """Carry out one command line on these streams. -> exit code. Raises nothing a command can run into."""
    given = _Given(stdin, stdout, stderr, environ, now, monotonic, pause or threading.Event().wait)
    try:
        code = _answer(words, given)
        stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `zendeskctl records | head`
        return Exit.CLOSED_PIPE
    except OSError as error:  # a full disk behind `> file`
        stderr.write(f"zendeskctl: cannot write: {error.strerror}\n")
        return Exit.FAILED
    return code


class _Given(NamedTuple):
    """What a command line is carried out with."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    pause: Callable[[float], object]

    def terminal(
        self, *, json: bool, ascii_only: bool = False, no_color: bool = False, quiet: bool = False
    ) -> Terminal:
        return Terminal(
            stdin=self.stdin,
            stdout=self.stdout,
            stderr=self.stderr,
            environ=self.environ,
            json=json,
            ascii_only=ascii_only,
            no_color=no_color,
            quiet=quiet,
        )


def _answer(words: list[str], given: _Given) -> int:
    name = ""
    try:
        name, rest = split(words)
        if not name:
            given.stdout.write(overview(rest))
            return Exit.OK
        return _carry_out(name, rest, given)
    except ZendeskdError as error:
        return _report(error, name, given.terminal(json="--json" in words))


# --- which verb -------------------------------------------------------------------------------------------------------


def split(words: list[str]) -> tuple[str, list[str]]:
    """-> the verb and the other words. The verb is "" where the overview is wanted: then the rest is a group's name.

    Options may stand before the verb. Raises UsageProblem for an unknown verb."""
    places = _places(words)
    if not places:
        if {"-h", "--help"} & set(words):
            return "", []
        return ("version", [w for w in words if w != "--version"]) if "--version" in words else (verbs.DEFAULT, words)
    first = words[places[0]]
    if first == "help":  # `help trigger` is `trigger --help`
        return split([word for place, word in enumerate(words) if place != places[0]] + ["--help"])
    rest = words[: places[0]] + words[places[0] + 1 :]
    if first in verbs.MODULES:
        return first, rest
    if first in verbs.groups():
        return _split_group(first, words, places)
    raise _unknown(first, [*(name for name in verbs.MODULES if " " not in name), *verbs.groups()])


def _split_group(group: str, words: list[str], places: list[int]) -> tuple[str, list[str]]:
    known = [name.split()[1] for name in verbs.MODULES if name.startswith(f"{group} ")]
    if len(places) < 2:
        if {"-h", "--help"} & set(words):
            return "", [group]
        raise UsageProblem(f"{group} what? It can be {', '.join(known)}.", hint=f"zendeskctl {group} --help")
    second = words[places[1]]
    if second not in known:
        raise _unknown(f"{group} {second}", [f"{group} {name}" for name in known])
    return f"{group} {second}", [word for place, word in enumerate(words) if place not in places[:2]]


def _places(words: list[str]) -> list[int]:
    """Where the words are that are neither options nor the values of common options."""
    found, skip = [], False
    for place, word in enumerate(words):
        if skip:
            skip = False
        elif word in _WITH_VALUE:
            skip = True
        elif not word.startswith("-"):
            found.append(place)
    return found


def _unknown(word: str, known: list[str]) -> UsageProblem:
    near = difflib.get_close_matches(word, known, n=3)
    if near:
        hint = "did you mean " + " or ".join(near) + "?"
    else:
        hint = "zendeskctl --help lists the verbs; an organisation's state is: zendeskctl status ORG"
    return UsageProblem(f"{clean(word)!r} is no verb of zendeskctl", hint=hint)


# --- doing it ---------------------------------------------------------------------------------------------------------


def _carry_out(name: str, rest: list[str], given: _Given) -> int:
    verb = verbs.load(name)
    parser = verb.parser()
    if {"-h", "--help"} & set(rest):
        given.stdout.write(parser.format_help())
        return Exit.OK
    options = parser.parse_args(rest)
    terminal = given.terminal(
        json=options.json, ascii_only=options.ascii, no_color=options.no_color, quiet=options.quiet
    )
    address = address_of(options.ssh, options.socket, given.environ)
    call = Call(options, terminal, address, now=given.now, monotonic=given.monotonic, pause=given.pause)
    with contextlib.closing(call), _ending_in_order() if address.host else contextlib.nullcontext():
        return int(verb.run(call))


def _ending_in_order() -> contextlib.AbstractContextManager[None]:
    from zendeskd.ssh import ending_in_order

    return ending_in_order()


def _report(error: ZendeskdError, verb: str, terminal: Terminal) -> int:
    """An error to the person (or to the script), and its exit code."""
    monitoring = verb == "health"  # its exit codes are those of monitoring plug-ins: 3 is "unknown"
    code = 3 if monitoring else int(exit_of(error))
    if terminal.json:
        terminal.document(ErrorDocument(error=error_body(error)))
        return code
    if monitoring:
        terminal.line(f"ZENDESKD UNKNOWN - {clean(error.detail).replace('|', '/')}")
        return code
    if isinstance(error, UsageProblem) and error.usage:
        terminal.complain(error.usage)
    for problem in _problems(error):
        terminal.complain(f"zendeskctl: {clean_block(problem)}")
    if error.hint:
        terminal.complain(f"  {clean_block(error.hint)}")
    return code


def _problems(error: ZendeskdError) -> tuple[str, ...]:
    """Everything that is wrong, a sentence each."""
    if isinstance(error, ConfigError):
        return error.problems
    told = error_body(error).problems  # by the daemon, with the place of each
    return tuple(": ".join(filter(None, (item.path, item.detail))) for item in told) or (error.detail,)


# --- help -------------------------------------------------------------------------------------------------------------


def overview(words: list[str]) -> str:
    """The help of `zendeskctl` itself, or of a group of verbs."""
    group = words[0] if words and words[0] in verbs.groups() else ""
    shown = [verb for verb in verbs.every() if not group or verb.name.startswith(f"{group} ")]
    examples = (
        (shown[0].examples[0], shown[-1].examples[0]) if group else ("zendeskctl", "zendeskctl trigger acme --wait")
    )
    parser = Parser(
        prog=f"zendeskctl {group}".rstrip(),
        usage="VERB ...",
        examples=examples,
        description=f"Control the running zendeskd over its socket. Version {__version__}.",
    )
    cells = max(len(verb.name) for verb in shown)
    table = "".join(f"  {verb.name:<{cells}}  {verb.summary}\n" for verb in shown)
    return f"{parser.format_help().split('options:')[0].rstrip()}\n\nverbs:\n{table}\n{_FOOT}"


_FOOT: Final = """zendeskctl VERB --help tells more. Without a verb: status.
The daemon itself is started and stopped by systemctl start|stop zendeskd.
"""


if __name__ == "__main__":
    sys.exit(main())
