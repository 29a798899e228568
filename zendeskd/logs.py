"""Logs: structlog on top of the standard library, so that uvicorn, peewee and the rest come out the same way.

One event a fact, data as keys (`org`, `system`, `run`, `page`), instants in UTC. JSON lines go to `sync-service.log`,
the same facts to standard error (for a person, for the journal, or as JSON) and to a `sink`. A log that cannot be
written never ends the daemon.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog
from structlog.stdlib import ProcessorFormatter

from zendeskd.config import Config
from zendeskd.log_file import LogFile
from zendeskd.models import stamp, utcnow
from zendeskd.redact import clean_item

Sink = Callable[[Mapping[str, Any]], None]
_Event = MutableMapping[str, Any]

_FIRST: Final = ("at", "level", "event", "org", "system", "run", "page")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_CHATTY: Final = ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "asyncio", "peewee", "schedule", "urllib3")


class Logs:
    """The logging of this process, until `close`. A context manager. Any thread."""

    def __init__(self, handlers: Sequence[logging.Handler], file: LogFile, level: str) -> None:
        self._handlers = handlers
        self._file = file
        self._hooks = (sys.excepthook, threading.excepthook)
        root = logging.getLogger()
        self._before = (root.level, list(root.handlers))
        root.handlers[:] = handlers
        self.set_level(level)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        sys.excepthook = _log_crash
        threading.excepthook = _log_thread_crash

    @property
    def trouble(self) -> str | None:
        """Why the log file cannot be written at the moment, in words."""
        return self._file.trouble

    def set_level(self, level: str) -> None:
        """`debug`, `info`, `warning` or `error`, from now on."""
        logging.getLogger().setLevel(level.upper())

    def close(self) -> None:
        root = logging.getLogger()
        root.setLevel(self._before[0])
        root.handlers[:] = self._before[1]
        sys.excepthook, threading.excepthook = self._hooks
        for handler in self._handlers:
            handler.close()

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def setup(config: Config, *, foreground: bool, sink: Sink | None = None, stderr: TextIO | None = None) -> Logs:
    """Start logging as `config` says. Standard error gets it in the foreground only.

    `sink` is called with each event of level info and above as plain JSON data, from the thread that logged it, and
    must not block. Call after the process has its final form: the file is opened at the first line.
    """
    _configure_structlog()
    file = LogFile(config.log_file, max_bytes=config.logging_max_bytes, keep=config.logging_keep)
    file.setFormatter(_formatter(_as_json))
    handlers: list[logging.Handler] = [file]
    if foreground:
        handlers.append(_Stderr(stderr or sys.stderr))
    if sink is not None:
        handlers.append(_Sink(sink))
    return Logs(handlers, file, config.logging_level)


def quiet() -> None:
    """For short-lived commands, whose output is their own: nothing is logged anywhere."""
    _configure_structlog()
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


# --- from a call to an event ------------------------------------------------------------------------------------------


def _configure_structlog() -> None:
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_COMMON, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _add_instant(_: object, __: str, event: _Event) -> _Event:
    record = event.get("_record")
    created = None if record is None else datetime.fromtimestamp(record.created, UTC)
    event["at"] = stamp(created or utcnow())
    return event


def _make_plain(_: object, __: str, event: _Event) -> _Event:
    """Secrets out, values plain, the keys that all events share in front."""
    meta = {key: event[key] for key in ("_record", "_from_structlog") if key in event}
    plain = {key: clean_item(key, value) for key, value in event.items() if key not in meta}
    ordered: _Event = {key: plain[key] for key in _FIRST if key in plain}
    return {**meta, **ordered, **{key: value for key, value in plain.items() if key not in ordered}}


_COMMON: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.format_exc_info,  # the traceback as text: never with the values of local variables
    _add_instant,
    _make_plain,
]


def _formatter(render: Callable[[object, str, _Event], str]) -> ProcessorFormatter:
    return ProcessorFormatter(foreign_pre_chain=_COMMON, processors=[ProcessorFormatter.remove_processors_meta, render])


# --- from an event to text --------------------------------------------------------------------------------------------


def _as_json(_: object, __: str, event: _Event) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _as_journal(_: object, __: str, event: _Event) -> str:
    """`<6>page stored org=acme page=31`: the journal takes the priority off and keeps the instant itself."""
    priority = f"<{_PRIORITIES.get(str(event.get('level')), 6)}>"
    hidden = {"at", "level", "event", "exception", "logger"}
    pairs = (f"{key}={_word(value)}" for key, value in event.items() if key not in hidden)
    lines = [" ".join([_printable(str(event.get("event", ""))).replace("\n", " "), *pairs])]
    lines += _printable(str(event.get("exception", ""))).splitlines()
    return "\n".join(priority + line for line in lines)


def _as_console(*, colours: bool) -> Callable[[object, str, _Event], str]:
    console = structlog.dev.ConsoleRenderer(
        colors=colours, timestamp_key="at", sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: object, name: str, event: _Event) -> str:
        event.pop("logger", None)
        printable = {key: _printable(value) if isinstance(value, str) else value for key, value in event.items()}
        return str(console(logger, name, printable))

    return render


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _printable(text).replace("\n", " ")
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r'[\s"=]', text) else text


def _printable(text: str) -> str:
    """Text from outside may hold escape sequences: a terminal must not obey a ticket."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


# --- where it goes ----------------------------------------------------------------------------------------------------


class _Stderr(logging.StreamHandler[TextIO]):
    """For whoever reads standard error: a person at a terminal, the journal, or a collector of JSON lines."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        if stream.isatty():
            render = _as_console(colours="NO_COLOR" not in os.environ)
        elif _is_journal(stream):
            render = _as_journal
        else:
            render = _as_json
        self.setFormatter(_formatter(render))

    def handleError(self, record: logging.LogRecord) -> None:
        """Nobody reads it any more: the file has the line."""


class _Sink(logging.Handler):
    """Without a lock: the receiver has its own, and may itself be logging while another thread hands it a line."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(logging.INFO)
        self._busy = threading.local()

        def hand_over(_: object, __: str, event: _Event) -> str:
            sink(dict(event))
            return ""

        self.setFormatter(_formatter(hand_over))

    def handle(self, record: logging.LogRecord) -> bool:
        """As in the base class, but for its lock."""
        if passed := self.filter(record):
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(self._busy, "now", False):
            return  # the receiver logs about what it was handed: the file and the terminal have that
        self._busy.now = True
        try:
            self.format(record)
        except Exception:  # noqa: BLE001 - a receiver's bug must not reach whoever logged
            self.handleError(record)
        finally:
            self._busy.now = False

    def handleError(self, record: logging.LogRecord) -> None:
        """The other places have the line."""


def _is_journal(stream: TextIO) -> bool:
    """systemd tells in $JOURNAL_STREAM which file is the journal (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _log_crash(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("zendeskd").critical("crashed", exc_info=(kind, error, trace))


def _log_thread_crash(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else "?"
    info = (args.exc_type, args.exc_value, args.exc_traceback)
    structlog.get_logger("zendeskd").critical("a thread crashed", thread=name, exc_info=info)
