"""One comparison of the copy with its source: what is missing here is fetched, what vanished there is marked.

Like `sync`: knows no thread, clock, socket or database. It walks everything the source still shows since the copy
began, writes through the same rules (older never overwrites newer), and asks the source by id about each record that
was not seen, because a record may have moved or been purged meanwhile. The run's own cursor is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec.structs import replace

from zendeskd.cancel import CancelToken
from zendeskd.errors import BadResponse, Cancelled, CursorStuck, RunError
from zendeskd.models import Identity, Integration, Page, PageCounts, Position, Reconciliation, Record
from zendeskd.runs.ledger import Census
from zendeskd.sync import Ahead, CursorGuard, Progress

_ASK_AT_ONCE: Final = 500
_BELIEVABLE: Final = 100
_BELIEVABLE_SHARE: Final = 0.05


class CensusSource(Protocol):
    def census(self, since: Position) -> Iterator[Page]: ...
    def confirm(self, external_ids: Sequence[str]) -> list[Record]: ...
    def check(self) -> Identity: ...


def compare(
    integration: Integration,
    begun: Reconciliation,
    source: CensusSource,
    census: Census,
    cancel: CancelToken,
    progress: Progress,
    *,
    ahead: Ahead,
    now: Callable[[], datetime],
) -> Reconciliation:
    """-> the finished comparison: `verified`, `failed` or `cancelled`, with its figures so far. A worker thread."""
    result = replace(begun, local_count=integration.total_records)
    try:
        guard, complete = CursorGuard(None), False
        pages = ahead(source.census(Position(strategy=integration.strategy, since=integration.copy_from)), cancel)
        for page in pages:
            counts = census.write_page(page, now())
            progress.page_stored(page, counts)
            live = sum(record.deleted_at is None for record in page.records)
            result = replace(_added(result, counts), source_count=result.source_count + live, pages=result.pages + 1)
            if page.end_of_stream:
                complete = True
                break
            cancel.check()
            guard.advance(page.cursor)
        if not complete:
            raise CursorStuck("The source stopped sending pages without saying that this was the end.")
        _refuse_the_unbelievable(result, source)
        while unseen := census.unseen(_ASK_AT_ONCE):
            cancel.check()
            still_there = [one for page in ahead(_confirmed(source, unseen), cancel) for one in page.records]
            if still_there:
                counts = census.write_page(Page(records=still_there, end_of_stream=True), now())
                result = replace(_added(result, counts), source_count=result.source_count + len(still_there))
            present = {record.external_id for record in still_there}
            gone = census.mark_gone([one for one in unseen if one not in present], now())
            result = replace(result, vanished=result.vanished + gone, repaired=result.repaired + gone)
    except Cancelled:
        return replace(result, status="interrupted" if cancel.reason == "shutdown" else "cancelled")
    except RunError as error:
        return replace(result, status="failed", error_code=error.code, error_message=error.detail)
    return replace(result, status="verified")


def _confirmed(source: CensusSource, external_ids: Sequence[str]) -> Iterator[Page]:
    """What the source still shows of these, as one page: fetched like any other, so that a wait is seen as one."""
    yield Page(records=source.confirm(external_ids), end_of_stream=True)


def _refuse_the_unbelievable(result: Reconciliation, source: CensusSource) -> None:
    """Before many records are marked as gone: a source that shows few of them may have been told to (a role that was
    narrowed answers 200 with less). Raises what the check of the credentials raises, BadResponse if nothing was shown.
    """
    gone = result.local_count + result.missing - result.source_count
    if gone <= max(_BELIEVABLE, result.local_count * _BELIEVABLE_SHARE):
        return
    source.check()
    if result.source_count == 0:
        raise BadResponse(
            f"The source showed none of {result.local_count:,} records, which is not believable; nothing was marked.",
            hint="Look at the account itself; if it really was emptied, remove the organisation and add it again.",
        )


def _added(result: Reconciliation, counts: PageCounts) -> Reconciliation:
    changed = counts.created + counts.updated + counts.deleted
    return replace(
        result,
        missing=result.missing + counts.created,
        stale=result.stale + counts.updated + counts.deleted,
        failed=result.failed + counts.failed,
        repaired=result.repaired + changed,
    )
