"""What accounts have asked for and a daemon that ends must not forget: not to be called before an instant."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog

log = structlog.get_logger("zendeskd.connectors.holds")

LEAST_S: Final = 20.0
"""What is shorter is over before a daemon has started again."""

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_File = dict[str, dict[str, _Instant]]
"""Account -> budget -> until when."""


class Holds:
    """One small file, written when an account asks for more than a moment; `path` None: nothing outlives the process.
    Any thread. A file that cannot be read or written costs one refused call an account, so nothing is raised."""

    def __init__(self, path: Path | None, now: Callable[[], datetime]) -> None:
        self._path, self._now = path, now
        self._lock = threading.Lock()  # never held across I/O: whoever opens a source takes it
        self._writing = threading.Lock()
        self._until = self._read()

    def of(self, account: str) -> dict[str, float]:
        """Seconds that each of the account's budgets is still to be left alone."""
        now = self._now()
        with self._lock:
            known = self._until.get(account, {})
            return {budget: (until - now).total_seconds() for budget, until in known.items() if until > now}

    def keep(self, account: str, budget: str, until: datetime) -> None:
        now = self._now()
        with self._lock:
            self._until.setdefault(account, {})[budget] = until
            self._until = {
                name: left
                for name, known in self._until.items()
                if (left := {one: at for one, at in known.items() if at > now})
            }
        with self._writing:
            self._write()

    def _read(self) -> _File:
        if self._path is None:
            return {}
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # msgspec's are ValueErrors
            log.warning("what accounts asked for is not known any more", file=str(self._path), error=str(error))
            return {}

    def _write(self) -> None:
        if self._path is None:
            return
        with self._lock:  # what the last one to write finds is the newest
            content = msgspec.json.encode(self._until)
        draft = self._path.with_name(self._path.name + ".new")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            draft.replace(self._path)
        except OSError as error:
            log.warning("what accounts asked for is not kept", file=str(self._path), error=str(error))
            with contextlib.suppress(OSError):
                draft.unlink()
