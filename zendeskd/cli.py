"""`zendeskd`: the daemon itself and what must run as its user. Parses, calls one function, prints, exits.

Each verb imports what it needs when it is called: `zendeskd check` must not pay for the web server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zendeskd import __version__
from zendeskd.errors import ConfigError, Conflict, ZendeskdError
from zendeskd.streams import open_missing_streams

if TYPE_CHECKING:
    from zendeskd.config import Config

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_EXAMPLES: Final = {
    "": "examples:\n  zendeskd demo --once\n  zendeskd run --config /etc/zendeskd/zendeskd.toml",
    "run": "examples:\n  zendeskd run\n  zendeskd run --state-dir ./state --workers 4",
    "start": "examples:\n  zendeskd start\n  zendeskd start --config /etc/zendeskd/zendeskd.toml",
    "stop": "examples:\n  zendeskd stop\n  zendeskd stop --timeout 10",
    "check": "examples:\n  zendeskd check\n  zendeskd check --show --online",
    "doctor": "examples:\n  zendeskd doctor\n  zendeskd doctor --json | jq .worst",
    "restore": "examples:\n  zendeskd restore /var/lib/zendeskd/backups/zendeskd-20261123T080000Z.db\n"
    "  zendeskd restore FILE --yes",
    "rotate-key": "examples:\n  zendeskd rotate-key\n"
    "  zendeskd rotate-key --old-key /etc/zendeskd/master.key --new-key /etc/zendeskd/master.key.new",
    "demo": "examples:\n  zendeskd demo\n  zendeskd demo --no-dashboard\n  zendeskd demo --once",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point. -> exit code: 0 did it, 1 it failed, 2 usage or configuration, 130 ctrl+c."""
    open_missing_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["simulator"]:  # a program of its own, with its own parser
        from zendeskd.simulator import main as simulate

        return _guarded(lambda: simulate(arguments[1:]))
    options = _parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = options.call
    return _guarded(lambda: call(options))


def _guarded(call: Callable[[], int]) -> int:
    try:
        with _nothing_for_others():
            return call()
    except ConfigError as error:
        _say(*(f"zendeskd: {problem}" for problem in error.problems), error.hint)
        return USAGE
    except ZendeskdError as error:
        _say(f"zendeskd: {error.detail}", error.hint)
        return FAILED
    except BrokenPipeError:  # `zendeskd doctor | head`: nobody listens any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


@contextlib.contextmanager
def _nothing_for_others() -> Iterator[None]:
    """What is made here holds tickets and keys: whoever started this, with whatever umask, the group may read it at
    most. (The daemon itself takes a stricter one.)"""
    before = os.umask(0o077)
    os.umask(before | 0o027)
    try:
        yield
    finally:
        os.umask(before)


# --- verbs ------------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    from zendeskd import daemon

    read = _reader(options)
    return daemon.run(read(), read)


def _start(options: argparse.Namespace) -> int:
    from zendeskd import daemon

    read = _reader(options)
    return daemon.start(read(), read)


def _stop(options: argparse.Namespace) -> int:
    from zendeskd import daemon

    return daemon.stop(_config(options), options.timeout)


def _check(options: argparse.Namespace) -> int:
    from zendeskd.doctor.service import become_owner, unreadable

    config = _config(options)
    become_owner(config.state_dir)
    if why := unreadable(config):
        raise ConfigError(why, hint=f"chmod 644 {config.file}")
    if options.show:
        width = max(len(f"{key} = {value}") for key, value, _ in config.show())
        for key, value, source in config.show():
            _print(f"{f'{key} = {value}':<{width}}  # {source}")
    else:
        _print(f"The configuration is right: {config.file or 'no file, environment and defaults'}.")
    if not options.online:
        return OK
    from zendeskd import logs
    from zendeskd.doctor.examination import accounts
    from zendeskd.doctor.findings import Word, lines, worst

    logs.quiet()
    findings = accounts(config)
    _print(*lines(findings))
    return FAILED if worst(findings) is Word.FAILED else OK


def _doctor(options: argparse.Namespace) -> int:
    from zendeskd import logs
    from zendeskd.doctor.examination import examine
    from zendeskd.doctor.findings import Word, as_json, lines, worst

    logs.quiet()
    findings = examine(_overrides(options), os.environ)
    _print(*([as_json(findings)] if options.json else lines(findings)))
    return FAILED if worst(findings) is Word.FAILED else OK


def _restore(options: argparse.Namespace) -> int:
    from zendeskd import backup_file, daemon, logs, present, restore
    from zendeskd.doctor.service import become_owner
    from zendeskd.models import utcnow

    config = _config(options)
    logs.quiet()
    file = Path(options.file).absolute()
    if not config.state_dir.is_dir():
        raise ConfigError(
            f"The state folder {config.state_dir} is not there.",
            hint=f"Make it, with the key: install -d -o zendeskd -g zendeskd -m 750 {config.state_dir}",
        )
    become_owner(config.state_dir)
    with daemon.locked(config):
        plan = backup_file.examine(config, file)
        _print(*map(present.clean, plan.lines(config.database_path)))
        if plan.unopened is not None and not options.force:
            hint = plan.unopened.hint or "Put the right master.key back first."
            raise Conflict(
                "Nothing was changed: the present key does not open the backup's credentials.",
                hint=f"{hint}\n--force puts it back all the same.",
            )
        if not options.yes and not _agreed(f"Put it in the place of {config.database_path}? [y/N] "):
            _say("zendeskd: nothing was changed")
            return FAILED
        done = restore.put_back(config, plan, utcnow())
    _print(present.clean(f"done     {config.database_path} is the backup now"))
    if done.aside is not None:
        _print(present.clean(f"kept     the database before: {done.aside}"))
    if unknown := plan.refresh_tokens - done.known_tokens:
        _print(
            f"tokens   {unknown} of {plan.refresh_tokens} OAuth refresh tokens may have been used up since the backup;"
        )
        _print("         where one was, its organisation is blocked until: zendeskctl credentials set ORG")
    _print("next     start the daemon; each organisation goes on from where the backup was, and misses nothing")
    return OK


def _rotate_key(options: argparse.Namespace) -> int:
    from zendeskd import daemon, logs, present, rotation
    from zendeskd.doctor.service import become_owner

    config = _config(options)
    logs.quiet()
    if (options.old_key is None) != (options.new_key is None):
        raise ConfigError(
            "--old-key and --new-key go together.", hint="Without both the key in the state folder is meant."
        )
    given = None
    if options.old_key is not None:  # before becoming the daemon's user, who may not read them
        given = rotation.given_keys(Path(options.old_key).absolute(), Path(options.new_key).absolute())
    if not config.state_dir.is_dir():
        raise ConfigError(f"The state folder {config.state_dir} is not there.", hint="zendeskd check --show")
    become_owner(config.state_dir)
    with daemon.locked(config):
        done = rotation.rotate(config, given)
    _print(f"sealed   {present.plural(done.sealed, 'credential')} with the new key {done.key_id}")
    _print(*(present.clean(f"left     {sentence}") for sentence in done.left))
    if done.kept is not None:
        _print(
            present.clean(f"old key  {done.kept}: the backups made until now are sealed with it"),
            "         remove it when the last of them is gone; if it was stolen, remove both now,",
            "         and renew the credentials at their source: zendeskctl credentials set ORG",
        )
    if given is not None:
        old, new = shlex.quote(str(given.old_file)), shlex.quote(str(given.new_file))
        _print("next     put the new key where the unit takes it from, and start the daemon:")
        _print(present.clean(f"         mv {old} {old}.old && mv {new} {old}"))
    else:
        _print("next     start the daemon; make a backup; keep a copy of the new master.key in another place")
    return FAILED if done.left else OK


def _agreed(question: str) -> bool:
    """Asks on a terminal. Raises ConfigError where there is none."""
    if not sys.stdin.isatty():
        raise ConfigError("There is no terminal to ask on, so nothing was changed.", hint="--yes goes without asking.")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _demo(options: argparse.Namespace) -> int:
    from zendeskd import demo

    return demo.main(once=options.once, with_dashboard=not options.no_dashboard)


def _version(_: argparse.Namespace) -> int:
    _print(f"zendeskd {__version__}")
    return OK


# --- command line -----------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zendeskd",
        description=f"{_EXAMPLES['']}\n\nKeeps a local copy of many organisations' Zendesk tickets.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="What acts on a running daemon is in zendeskctl.",
    )
    parser.add_argument("--version", action="version", version=f"zendeskd {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    _verb(verbs, "run", _run, "stay in the foreground and sync: what systemd starts")
    _verb(verbs, "start", _start, "the same, detached: for hosts without systemd")
    stop = _verb(verbs, "stop", _stop, "end the daemon that start (or run) left running")
    stop.add_argument(
        "--timeout", type=_seconds, default=90.0, metavar="S", help="seconds to wait for its end (default 90)"
    )
    check = _verb(verbs, "check", _check, "tell whether the configuration is right", aliases=["configtest"])
    check.add_argument("--show", action="store_true", help="every setting and where it comes from")
    check.add_argument("--online", action="store_true", help="also ask every account whether its credentials work")
    doctor = _verb(verbs, "doctor", _doctor, "examine everything the daemon depends on")
    doctor.add_argument("--json", action="store_true", help="one JSON document")
    put_back = _verb(verbs, "restore", _restore, "put a backup in the place of the database, while no daemon runs")
    put_back.add_argument("file", metavar="FILE", help="the backup; it stays as it is")
    put_back.add_argument("--yes", action="store_true", help="do not ask")
    put_back.add_argument("--force", action="store_true", help="also if the key does not open its credentials")
    rotate = _verb(verbs, "rotate-key", _rotate_key, "seal all stored credentials with a new key, while no daemon runs")
    rotate.add_argument("--old-key", metavar="FILE", help="the present key, where it is not in the state folder")
    rotate.add_argument("--new-key", metavar="FILE", help="the new one; made if it is not there")
    verbs.add_parser("simulator", help="a Zendesk on loopback, for try-outs and tests", add_help=False)
    demo = _verb(verbs, "demo", _demo, "the dashboard on a made-up fleet, in a throw-away folder", config=False)
    how = demo.add_mutually_exclusive_group()
    how.add_argument("--no-dashboard", action="store_true", help="only keep it running, and say how to look at it")
    how.add_argument("--once", action="store_true", help="sync another fleet once, compare every ticket, end")
    _verb(verbs, "version", _version, "print the version", config=False)
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    call: Callable[[argparse.Namespace], int],
    what: str,
    *,
    config: bool = True,
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    examples = _EXAMPLES.get(name, "")
    parser = verbs.add_parser(
        name,
        help=what,
        description=f"{examples}\n\n{what[0].upper()}{what[1:]}.".lstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        aliases=list(aliases),
    )
    parser.set_defaults(call=call)
    if config:
        parser.add_argument("--config", metavar="F", help="the TOML file (default /etc/zendeskd/zendeskd.toml)")
        parser.add_argument("--state-dir", metavar="D", help="database and key")
        parser.add_argument("--runtime-dir", metavar="D", help="control socket and lock")
        parser.add_argument("--log-dir", metavar="D", help="sync-service.log")
        parser.add_argument("--database", metavar="URL", help="sqlite:////absolute/path")
        parser.add_argument("--workers", type=int, metavar="N", help="runs at the same time, 1 to 64")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 86400")
    return value


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    names = ("config", "state_dir", "runtime_dir", "log_dir", "database", "workers")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _reader(options: argparse.Namespace) -> Callable[[], Config]:
    """Reads the settings, now and again at each reload: relative paths keep meaning what they mean now."""
    from zendeskd.config import load

    overrides, environ, here = _overrides(options), dict(os.environ), Path.cwd()
    return lambda: load(overrides, environ, cwd=here)


def _config(options: argparse.Namespace) -> Config:
    return _reader(options)()


def _print(*texts: str) -> None:
    sys.stdout.write("".join(f"{text}\n" for text in texts))
    sys.stdout.flush()


def _say(*texts: str) -> None:
    sys.stderr.write("".join(f"{text}\n" for text in texts if text))


if __name__ == "__main__":
    sys.exit(main())
