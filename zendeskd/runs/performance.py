"""What a worker does with one piece of work: a run, a comparison, a probe. A bug in one costs that one alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import structlog
from msgspec.structs import replace

from zendeskd import heap, sync
from zendeskd.cancel import CancelToken
from zendeskd.connectors.base import Connector, CredentialDoor, Source
from zendeskd.errors import Cancelled, CredentialError, NetworkError, PermissionDenied, RunError, ZendeskdError
from zendeskd.models import (
    EPOCH,
    Integration,
    Page,
    PageCounts,
    Position,
    Reconciliation,
    RunResult,
    RunRow,
    RunStatus,
    Waiting,
)
from zendeskd.redact import clean_text
from zendeskd.runs.ahead import FetchAhead
from zendeskd.runs.ledger import Ledger
from zendeskd.runs.live import LiveRun
from zendeskd.runs.outcome import after_run
from zendeskd.runs.reconcile import compare
from zendeskd.runs.roster import Ended
from zendeskd.runs.telling import Telling
from zendeskd.threads import alarms

log = structlog.get_logger("zendeskd.runs.performance")

ASIDE_S: Final = 60.0
_PROGRESS_EVERY_S: Final = 0.25
_FETCHER_ENDS_WITHIN_S: Final = 2.0

T = TypeVar("T")


class Asides:
    """Calls beside runs, each with a deadline; the end of the daemon ends them all. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._going: set[CancelToken] = set()
        self._over = False

    @contextlib.contextmanager
    def one(self) -> Iterator[CancelToken]:
        cancel = CancelToken()
        with self._lock:
            self._going.add(cancel)
            if self._over:
                cancel.set("shutdown")
        try:
            with alarms.after(ASIDE_S, lambda: cancel.set("deadline")):
                yield cancel
        finally:
            with self._lock:
                self._going.discard(cancel)

    def end(self) -> None:
        with self._lock:
            self._over = True
            going = list(self._going)
        for cancel in going:
            cancel.set("shutdown")


@dataclass(frozen=True)
class Bench:
    """What every piece of work needs. Shared by all workers."""

    ledger: Ledger
    connectors: Mapping[str, Connector]
    credentials: Callable[[Integration], CredentialDoor]
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    pulse: Callable[[], None]
    run_deadline_s: float
    asides: Asides

    def live_run(
        self,
        kind: str,
        run_id: int,
        trigger: str,
        by: str | None,
        *,
        changed: Callable[[], None],
        waits: Callable[[Waiting | None], None],
        quiet: Callable[[bool], None],
    ) -> LiveRun:
        return LiveRun(
            run_id,
            kind,
            trigger,
            by,
            now=self.now,
            deadline_s=self.run_deadline_s,
            on_progress=_at_most_every(_PROGRESS_EVERY_S, changed, self.monotonic),
            on_wait=waits,
            on_quiet=quiet,
            monotonic=self.monotonic,
        )

    @contextlib.contextmanager
    def source(
        self, integration: Integration, live: LiveRun, on_wait: Callable[[Waiting | None], None]
    ) -> Iterator[tuple[Source, sync.Ahead]]:
        """The integration's source for one piece of work, and fetching ahead from it. Whatever happens, every wait
        and every connection of it ends here."""
        opened = self.connectors[integration.system_type].open(
            integration, self.credentials(integration), live.cancel, on_wait
        )
        fetchers: list[FetchAhead[Any]] = []

        def ahead(pages: Iterator[T], cancel: CancelToken) -> Iterator[T]:
            fetcher = FetchAhead(
                pages,
                cancel,
                is_waiting=live.is_waiting,
                alive=lambda: self._alive(live),
                quiet=live.quiet,
                monotonic=self.monotonic,
            )
            fetchers.append(fetcher)
            return fetcher

        live.calls, live.budgets = opened.calls, opened.budgets
        try:
            yield opened, ahead
        finally:
            live.cancel.set("ended")
            opened.close()
            for fetcher in fetchers:
                fetcher.close()
                fetcher.join(_FETCHER_ENDS_WITHIN_S)
            if live.view().pages > 1:
                heap.give_back()

    @contextlib.contextmanager
    def aside(self, integration: Integration) -> Iterator[Source]:
        """The integration's source for a call beside runs: a probe, a check. Raises NetworkError when that takes too
        long, waits for rate limits included."""
        with self.asides.one() as cancel:
            source = self.connectors[integration.system_type].open(
                integration, self.credentials(integration), cancel, lambda _: None
            )
            try:
                yield source
            except Cancelled:
                raise NetworkError(
                    f"There was no answer within {ASIDE_S:.0f} s, waits for rate limits included.",
                    hint="Try again when less is going on.",
                ) from None
            finally:
                source.close()

    def record(self, ended: Ended) -> tuple[RunRow, Integration]:
        """Write down how a run ended, in one transaction. Raises StorageError, NotFound."""
        stored = self.ledger.fleet.integration_by_id(ended.row.integration_id)
        columns = after_run(stored, ended.result, ended.at)
        return self.ledger.runs.finish(ended.row.id, ended.result, ended.calls, ended.at, **columns)

    def _alive(self, live: LiveRun) -> None:
        self.pulse()
        live.alive()


class _Progress:
    """Tells the live run of each page and wait, the worker's pulse, and the log."""

    def __init__(self, bench: Bench, live: LiveRun, bound: Any, event: str, *, is_quiet: bool = False) -> None:
        self._bench, self._live = bench, live
        self._telling = Telling(
            bound, event, calls=lambda: live.calls, now=bench.now, monotonic=bench.monotonic, is_quiet=is_quiet
        )

    def page_stored(self, page: Page, counts: PageCounts) -> None:
        self._bench.pulse()
        self._live.page_stored(page, counts)
        self._telling.page_stored(page, counts)

    def waits(self, waiting: Waiting | None) -> None:
        self._live.waits(waiting)
        self._telling.waits(waiting)


def run_once(bench: Bench, row: RunRow, live: LiveRun, on_begin: Callable[[RunRow], None]) -> RunResult:
    """One run, from its first line in the log to its result. Raises nothing."""
    bound = log.bind(org=row.organization_id, system=row.system_type, run=row.id)
    try:
        begun_at = bench.now()
        bench.ledger.runs.begin(row.id, begun_at)
        on_begin(replace(row, status=RunStatus.RUNNING, started_at=begun_at, synced_at=begun_at))
        one = bench.ledger.fleet.integration_by_id(row.integration_id)
        position = sync.starting_position(one, begun_at)
        begins = one.watermark if position.cursor is not None else position.since
        live.window_from = None if begins == EPOCH else begins  # "everything" does not begin in 1970
        live.base_total = one.total_records
        bound.info("run began", trigger=row.trigger.value, by=row.requested_by)
        pages = bench.ledger.pages.open(one, row.id, copy_from=_copy_from(one, position))
        progress = _Progress(bench, live, bound, "page stored")
        with bench.source(one, live, progress.waits) as (source, ahead):
            result = sync.run(one, source, pages, live.cancel, progress, ahead=ahead, now=bench.now)
    except Cancelled:
        result = sync.cancelled(live.cancel)
    except RunError as error:
        result = sync.failed(error)
    except ZendeskdError as error:  # the organisation is gone
        result = RunResult(status=RunStatus.CANCELLED, end_reason="removed", error_message=error.detail)
    except BaseException as bug:  # noqa: BLE001 - isolates its integration, whatever a library raises in a thread
        bound.exception("run failed by a bug")
        result = RunResult(
            status=RunStatus.FAILED,
            end_reason="error",
            error_code="internal_error",
            error_message=clean_text(f"A bug ended the run: {type(bug).__name__}: {bug}"),
        )
    view = live.view()
    tell = bound.error if result.status is RunStatus.FAILED else bound.info
    tell(
        "run ended",
        status=result.status.value,
        reason=result.end_reason,
        pages=view.pages,
        records=view.counts.read,
        new=view.counts.created,
        updated=view.counts.updated,
        skipped=view.counts.failed,
        retries=view.calls.retries,
        **({} if result.error_code is None else {"code": result.error_code, "error": result.error_message}),
        **({} if result.request_id is None else {"request_id": result.request_id}),
    )
    return result


def compare_once(bench: Bench, one: Integration, begun: Reconciliation, live: LiveRun) -> Reconciliation:
    """One comparison with the source. Raises nothing."""
    bound = log.bind(org=begun.organization_id, system=one.system_type, reconcile=begun.id)
    try:
        one = bench.ledger.fleet.integration_by_id(begun.integration_id)
        live.window_from = None if one.copy_from == EPOCH else one.copy_from
        live.base_total = one.total_records
        progress = _Progress(bench, live, bound, "page compared", is_quiet=True)
        with (
            bench.ledger.pages.census(one, begun.id) as census,
            bench.source(one, live, progress.waits) as (source, ahead),
        ):
            result = compare(one, begun, source, census, live.cancel, progress, ahead=ahead, now=bench.now)
    except Cancelled:
        result = replace(begun, status="cancelled")
    except ZendeskdError as error:
        result = replace(begun, status="failed", error_code=error.code, error_message=error.detail)
    except BaseException as bug:  # noqa: BLE001 - as above
        bound.exception("comparison failed by a bug")
        words = clean_text(f"{type(bug).__name__}: {bug}")
        result = replace(begun, status="failed", error_code="internal_error", error_message=words)
    result = replace(result, finished_at=bench.now())
    tell = bound.error if result.status == "failed" else bound.info
    tell(
        "compared with the source",
        status=result.status,
        missing=result.missing,
        stale=result.stale,
        vanished=result.vanished,
        repaired=result.repaired,
        error=result.error_message,
    )
    return result


def probe_once(bench: Bench, one: Integration) -> bool:
    """One cheap call of a blocked integration. -> whether its credentials work again. Raises nothing expected."""
    bound = log.bind(org=one.organization_id, system=one.system_type)
    try:
        with bench.aside(one) as source:
            source.probe()
    except (CredentialError, PermissionDenied) as error:
        bound.info("probe: still refused", code=error.code)
        return False
    except RunError as error:
        bound.info("probe: no answer", code=error.code, error=error.detail)
        return False
    bound.info("probe: accepted again")
    return True


def _copy_from(one: Integration, position: Position) -> datetime | None:
    """From when on the copy will be complete, if this run begins anew; None if it goes on from a cursor. A resync from
    a later instant takes nothing away."""
    if position.cursor is not None:
        return None
    since = position.since or EPOCH
    return since if one.copy_from is None else min(since, one.copy_from)


def _at_most_every(seconds: float, call: Callable[[], None], monotonic: Callable[[], float]) -> Callable[[], None]:
    last = [float("-inf")]

    def throttled() -> None:
        now = monotonic()
        if now - last[0] >= seconds:
            last[0] = now
            call()

    return throttled
