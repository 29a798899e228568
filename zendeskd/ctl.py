"""`zendeskctl`: a command line -> one call of the control socket -> text or JSON -> an exit code.

Starts in a quarter of a second, so a verb's module and the HTTP client are imported when they are needed.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from zendeskd import __version__, verbs
from zendeskd.errors import ConfigError, ZendeskdError
from zendeskd.present import clean, clean_block
from zendeskd.verbs.base import Call, Parser
from zendeskd.verbs.documents import ErrorDocument, error_body
from zendeskd.verbs.exits import Exit, UsageProblem, exit_of
from zendeskd.verbs.terminal import Terminal

_WITH_VALUE: Final = {"--socket", "--timeout"}
"""Common options whose value is the next word, so that it is not taken for the verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point. -> exit code, see `verbs.exits`."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _answer(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `zendeskctl records | head`
        _discard_stdout()
        return Exit.CLOSED_PIPE
    except OSError as error:  # a full disk behind `> file`
        sys.stderr.write(f"zendeskctl: cannot write: {error.strerror}\n")
        _discard_stdout()
        return Exit.FAILED
    return code


def _answer(words: list[str]) -> int:
    name = ""
    try:
        name, rest = split(words)
        if not name:
            sys.stdout.write(overview(rest))
            return Exit.OK
        return _carry_out(name, rest)
    except ZendeskdError as error:
        return _report(error, name, words)


def split(words: list[str]) -> tuple[str, list[str]]:
    """-> the verb and the other words. The verb is "" where the overview is wanted: then the rest is a group's name.

    Options may stand before the verb. Raises UsageProblem for an unknown verb."""
    places = _places(words)
    if not places:
        if {"-h", "--help"} & set(words):
            return "", []
        return ("version", [w for w in words if w != "--version"]) if "--version" in words else (verbs.DEFAULT, words)
    first = words[places[0]]
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


def _carry_out(name: str, rest: list[str]) -> int:
    verb = verbs.load(name)
    try:
        options = verb.parser().parse_args(rest)
    except SystemExit:  # argparse printed the help
        return Exit.OK
    terminal = Terminal(
        stdin=sys.stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
        environ=os.environ,
        json=options.json,
        ascii_only=options.ascii,
        no_color=options.no_color,
        quiet=options.quiet,
    )
    call = Call(options, terminal, options.socket or default_socket())
    try:
        return int(verb.run(call))
    finally:
        call.close()


def default_socket() -> Path:
    from zendeskd import paths

    return paths.default_socket(os.environ)


def _report(error: ZendeskdError, verb: str, words: list[str]) -> int:
    """An error to the person (or to the script), and its exit code."""
    code = exit_of(error)
    if verb == "health":  # its exit codes are those of monitoring plug-ins: this is "unknown"
        sys.stdout.write(f"ZENDESKD UNKNOWN - {clean(error.detail)}\n")
        return 3
    terminal = Terminal(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr, environ=os.environ)
    if "--json" in words:
        terminal.document(ErrorDocument(error=error_body(error)))
        return code
    if isinstance(error, UsageProblem) and error.usage:
        terminal.complain(error.usage)
    details = error.problems if isinstance(error, ConfigError) else (error.detail,)
    for detail in details:
        terminal.complain(f"zendeskctl: {clean_block(detail)}")
    if error.hint:
        terminal.complain(f"  {clean_block(error.hint)}")
    return code


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


def _discard_stdout() -> None:
    """What is still buffered has nowhere to go: without this Python would complain about it on its way out."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    sys.exit(main())
