"""Waiting for what the daemon does: its events, or looking again where there are none.

An event only says that it is worth looking; what counts is what the daemon answers when it is asked. So nothing is
missed when events are lost, the daemon restarts, or its event stream is not to be had.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Final

from zendeskd import present, wire
from zendeskd.models import FINISHED, RunStatus
from zendeskd.verbs.base import Call
from zendeskd.verbs.exits import TimedOut

WAIT_S: Final = 600.0
PATIENCE_S: Final = 30.0
"""How long a daemon may be away while something is waited for: systemd restarts it well within that."""
LOOK_EVERY: Final = 10
"""Quiet seconds after which a follower should look for itself, stream or not."""
_PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0)


class Deadline:
    """A point of the monotonic clock. `passed`: what is said when it comes, with the time where {} stands; after it
    comes `meanwhile`, what goes on then, as far as that is known."""

    def __init__(
        self, call: Call, seconds: float, passed: str = "not done after {}", meanwhile: str = "the work goes on"
    ) -> None:
        self._call, self._seconds, self._passed = call, seconds, passed
        self._at = call.monotonic() + seconds
        self.meanwhile = meanwhile
        self.is_away = False  # the daemon

    def check(self) -> None:
        """Raises TimedOut once it has passed."""
        if self._call.monotonic() >= self._at:
            meanwhile = "the daemon is away" if self.is_away else self.meanwhile
            said = self._passed.format(present.took(int(self._seconds * 1000)))
            raise TimedOut(
                f"{said}; {meanwhile}" if meanwhile else said,
                hint=f"{self._call.address.zendeskctl} status shows how things are",
            )

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the deadline, which raises TimedOut."""
        self.check()
        self._call.pause(max(0.0, min(seconds, self._at - self._call.monotonic())))


def looks(
    call: Call, deadline: Deadline, *, patience_s: float = PATIENCE_S
) -> Generator[wire.Event | None, None, None]:
    """Events as they come, and None whenever the caller should look for itself: first, after a lost connection, and
    every few seconds. Raises TimedOut at the deadline, DaemonUnreachable after `patience_s` without a daemon."""
    from zendeskd.client import ApiError, DaemonUnreachable

    gone_since: float | None = None
    attempt = 0
    while True:
        deadline.check()
        try:
            for event in _stream(call, deadline):
                if gone_since is not None:
                    call.terminal.say("The daemon is back.")
                gone_since, attempt, deadline.is_away = None, 0, False
                yield event
        except DaemonUnreachable as error:
            deadline.is_away = True
            if gone_since is None:
                gone_since = call.monotonic()
                call.terminal.say(f"{present.clean(error.detail)}; trying again")
            if error.reason == "permission" or call.monotonic() - gone_since > patience_s:
                raise
        except ApiError:  # no stream to be had: look now and then
            yield None
        deadline.pause(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
        attempt += 1


def _stream(call: Call, deadline: Deadline) -> Iterator[wire.Event | None]:
    quiet, last_seq = 0, None
    with closing(call.daemon.events(heartbeat_s=1, ticks=True)) as events:
        for event in events:
            deadline.check()
            if event is None:
                quiet += 1
                if quiet % LOOK_EVERY == 0:
                    yield None
                continue
            quiet = 0
            if event.event == "hello" or (last_seq is not None and event.seq != last_seq + 1):
                yield None
            last_seq = event.seq
            yield event


def ended(call: Call, run_ids: Sequence[int], deadline: Deadline) -> Iterator[wire.RunDocument]:
    """Each run once, as it ends. Raises as `looks` does, and ApiError for a run that is not there."""
    pending = dict.fromkeys(run_ids)
    if not pending:
        return
    with closing(looks(call, deadline)) as events:
        for event in events:
            if event is None:
                worth_a_look = list(pending)
            else:
                worth_a_look = [event.run.id] if event.run is not None and event.run.id in pending else []
            for run in (call.daemon.run(run_id) for run_id in worth_a_look):
                if run.status in FINISHED:
                    del pending[run.id]
                    yield run
            if not pending:
                return


def failed(run: wire.RunSummary, *, strict: bool) -> bool:
    """Whether a run that has ended did not do its work."""
    return run.status != RunStatus.SUCCESS and (strict or run.status != RunStatus.PARTIAL)
