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
from zendeskd.errors import Cancelled, RunError
from zendeskd.models import Integration, Page, PageCounts, Position, Reconciliation, Record
from zendeskd.runs.ledger import Census
from zendeskd.sync import Ahead, Progress

_ASK_AT_ONCE: Final = 500


class CensusSource(Protocol):
    def census(self, since: Position) -> Iterator[Page]: ...
    def confirm(self, external_ids: Sequence[str]) -> list[Record]: ...


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
        pages = ahead(source.census(Position(strategy=integration.strategy, since=integration.copy_from)), cancel)
        for page in pages:
            counts = census.write_page(page, now())
            progress.page_stored(page, counts)
            live = sum(record.deleted_at is None for record in page.records)
            result = replace(_added(result, counts), source_count=result.source_count + live, pages=result.pages + 1)
            if page.end_of_stream:
                break
        while unseen := census.unseen(_ASK_AT_ONCE):
            cancel.check()
            still_there = source.confirm(unseen)
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


def _added(result: Reconciliation, counts: PageCounts) -> Reconciliation:
    changed = counts.created + counts.updated + counts.deleted
    return replace(
        result,
        missing=result.missing + counts.created,
        stale=result.stale + counts.updated + counts.deleted,
        failed=result.failed + counts.failed,
        repaired=result.repaired + changed,
    )
