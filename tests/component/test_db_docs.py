"""docs/database.md: every query of it runs, and every table and column is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fixtures import stores
from tests.fixtures.stores import begin_run, record, table, write
from zendeskd.db import Database
from zendeskd.models import Integration, Link
from zendeskd.store import Store
from zendeskd.store.tables import TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
SECTIONS = dict(re.findall(r"### `(\w+)`\n(.*?)(?=\n###)", PAGE, re.DOTALL))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:40])
def test_every_query_runs(database: Database, store: Store, acme: Integration, query: str) -> None:
    links = (Link("incident_of", "zendesk", "ticket", "2"),)
    raw = '{"id": 1, "via": {"channel": "email"}}'
    write(begin_run(store, acme), [record(1, body="refund at check-out", tags=("vip",), raw=raw, links=links)])
    with database.writing() as connection:
        connection.execute("UPDATE integrations SET consecutive_failures = 1")
    store.audit.write(
        now=stores.NOW, uid=0, user="root", pid=1, operation="stop", target="acme", detail="", outcome=200
    )
    rows = table(database, query)
    assert rows or "quarantined_records" in query


def test_every_column_is_described() -> None:
    described = {
        name: {
            column
            for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
            for column in re.findall(r"`(\w+)`", cell)
        }
        for name, text in SECTIONS.items()
    }
    assert described == {model._meta.table_name: set(model._meta.columns) for model in TABLES}
