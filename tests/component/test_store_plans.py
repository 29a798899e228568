"""That what is asked often stays fast with ten million records: which index answers it, with and without statistics."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.fixtures.stores import NOW, add_organization, begin_run, record, table, write
from zendeskd.db import Database
from zendeskd.store import Store
from zendeskd.store import records as records_module

PUBLIC = {
    "SELECT * FROM sync_logs ORDER BY synced_at DESC LIMIT 10": ["SCAN sync_logs USING INDEX synclog_synced_at"],
    "SELECT source_system, COUNT(*) FROM flow_records GROUP BY source_system": [
        "SCAN flow_records USING COVERING INDEX flowrecord_source_system_updated_at"
    ],
    "SELECT * FROM flow_records ORDER BY updated_at DESC LIMIT 50": [
        "SCAN flow_records USING INDEX flowrecord_updated_at"
    ],
    "SELECT * FROM flow_records WHERE organization_id = 'acme' ORDER BY updated_at DESC LIMIT 50": [
        "SEARCH flow_records USING INDEX flowrecord_organization_id_updated_at (organization_id=?)"
    ],
    "SELECT * FROM flow_records WHERE source_system = 'jira' ORDER BY updated_at DESC LIMIT 50": [
        "SEARCH flow_records USING INDEX flowrecord_source_system_updated_at (source_system=?)"
    ],
}


@pytest.fixture(params=["without statistics", "with statistics"])
def filled(request: pytest.FixtureRequest, database: Database, store: Store) -> Store:
    for number in range(6):
        integration = add_organization(store, f"org{number}")
        for day in range(3):
            pages = begin_run(store, integration)
            write(pages, [record(n) for n in range(100 * day, 100 * day + 100)], NOW + timedelta(days=day))
    if request.param == "with statistics":
        with database.writing() as connection:
            connection.execute("ANALYZE")
    return store


def plan(db: Database, statement: str, values: Any = ()) -> list[str]:
    return [row[3] for row in table(db, f"EXPLAIN QUERY PLAN {statement}", *values)]


@pytest.mark.parametrize("statement", PUBLIC)
def test_the_public_queries_are_answered_by_an_index(filled: Store, database: Database, statement: str) -> None:
    assert plan(database, statement) == PUBLIC[statement]


def plans_of(database: Database, ask: Callable[[], object]) -> list[str]:
    """The plans of every statement that `ask` runs."""
    statements: list[str] = []
    ask()  # the connection is there
    with database.reading() as connection:
        connection.set_trace_callback(statements.append)
        try:
            ask()
        finally:
            connection.set_trace_callback(None)
    plans: list[str] = []
    for statement in statements:
        with contextlib.suppress(sqlite3.OperationalError):  # BEGIN and its kind
            plans += plan(database, statement)
    assert plans
    return plans


ASKED: dict[str, Callable[[Store], object]] = {
    "records": lambda s: s.records.list(),
    "records, next page": lambda s: s.records.list(after=s.records.list(limit=10)[1]),
    "records of one": lambda s: s.records.list(org="org1", after=s.records.list(org="org1", limit=10)[1]),
    "records of several": lambda s: s.records.list(org=["org1", "org2"], after=s.records.list(limit=10)[1]),
    "records of a system": lambda s: s.records.list(system="zendesk"),
    "records narrowed": lambda s: s.records.list(org="org1", status="open", deleted=False, tag="x"),
    "records searched": lambda s: s.records.list(org="org1", query="ticket 5"),
    "records searched, many hits": lambda s: s.records.list(query="ticket"),
    "a record": lambda s: s.records.get(5),
    "a record by its id": lambda s: s.records.find("org1", "zendesk", "5"),
    "links": lambda s: s.records.links(5),
    "how many links": lambda s: s.records.link_counts(range(1, 101)),
    "total": lambda s: s.records.total(),
    "count since": lambda s: s.records.count_since(2, NOW),
    "runs": lambda s: s.runs.list(),
    "runs of one": lambda s: s.runs.list(org="org1", before=10),
    "failed runs": lambda s: s.runs.list(failed=True),
    "queued runs": lambda s: s.runs.queued(),
    "recent runs": lambda s: s.runs.recent(),
    "today": lambda s: s.runs.today({1: "2026-11-23"}),
    "comparisons": lambda s: s.reconciliations.latest(),
    "audit": lambda s: s.audit.list(),
    "integrations": lambda s: s.fleet.integrations(),
}

SORTED = {"records narrowed", "records of several", "records searched", "records searched, many hits"}
"""What sorts a bounded number of rows that it picked by id."""

WALKED = {"runs", "audit", "total", "integrations"}
"""What reads the end of a table by id, or a table that is as small as the fleet."""


@pytest.mark.parametrize("name", ASKED)
def test_nothing_that_grows_is_scanned_or_sorted(
    filled: Store, database: Database, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "many hits" in name:
        monkeypatch.setattr(records_module, "MANY_HITS", 0)
    plans = plans_of(database, lambda: ASKED[name](filled))
    scans = [step for step in plans if re.fullmatch(r"SCAN t1", step)]
    sorts = [step for step in plans if "TEMP B-TREE" in step]
    assert scans == [] or name in WALKED, plans
    assert sorts == [] or name in SORTED, plans
    if name == "records searched":
        assert "SEARCH t1 USING INTEGER PRIMARY KEY (rowid=?)" in plans
