"""Reading records: lists that page without gaps, search that takes anything typed, links from both ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.stores import NOW, add_organization, begin_run, record, table, write
from zendeskd.db import Database
from zendeskd.errors import BadRequest, Conflict, NotFound, StorageError
from zendeskd.models import Integration, Link, stamp
from zendeskd.store import Store, search
from zendeskd.store import records as records_module
from zendeskd.store.pages import RunPages


def ids(rows: Any) -> list[str]:
    return [row.external_id for row in rows]


def every(store: Store, limit: int, **narrow: Any) -> list[str]:
    """All pages of a list, one after the other."""
    found: list[str] = []
    after = None
    for _ in range(1000):
        rows, after = store.records.list(limit=limit, after=after, **narrow)
        assert len(rows) <= limit
        found += ids(rows)
        if after is None:
            return found
    raise AssertionError("the list does not end")


@pytest.fixture
def many(store: Store, pages: RunPages) -> Store:
    """30 tickets of acme, two of each minute, and 5 of globex between them."""
    write(
        pages,
        [
            record(
                n,
                updated_at=stamp(NOW + timedelta(minutes=n // 2)),
                status=("open", "solved", "pending")[n % 3],
                tags=("even",) if n % 2 == 0 else ("odd", "vip"),
                title=f"Payment {n}",
                body="refund" if n % 10 == 0 else None,
                deleted_at=stamp(NOW) if n in (4, 5) else None,
            )
            for n in range(30)
        ],
    )
    other = begin_run(store, add_organization(store, "globex"))
    write(other, [record(100 + n, updated_at=stamp(NOW + timedelta(minutes=3 * n)), body="refund") for n in range(5)])
    return store


NEWEST = [str(n) for n in range(29, -1, -1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 30, 100])
def test_pages_follow_each_other_without_gap_or_repetition(many: Store, limit: int) -> None:
    assert every(many, limit, org="acme") == NEWEST
    assert len(every(many, limit)) == len(every(many, limit, system="zendesk")) == 35
    assert every(many, limit, org="acme", status="open") == [n for n in NEWEST if int(n) % 3 == 0]
    assert every(many, limit, query="refund", org="acme") == ["20", "10", "0"]


SORTED, WALKED, LOOKED_UP = {}, {"SOME_HITS": 0, "FEW_HITS": 0}, {"SOME_HITS": 0, "FEW_HITS": 0, "MANY_HITS": 0}
WALKED_THEN_SORTED = {"SOME_HITS": 0, "_STEP": 2, "WALK_MOST": 4}


@pytest.mark.parametrize("how", [SORTED, WALKED, WALKED_THEN_SORTED, LOOKED_UP])
def test_what_narrows_a_list(many: Store, monkeypatch: pytest.MonkeyPatch, how: dict[str, int]) -> None:
    """All ways of searching, for few hits and for many, find the same."""
    for name, value in how.items():
        monkeypatch.setattr(records_module, name, value)
    assert every(many, 50, org="acme", deleted=True) == ["5", "4"]
    assert len(every(many, 50, org="acme", deleted=False)) == 28
    assert every(many, 50, tag="vip") == [n for n in NEWEST if int(n) % 2]
    assert every(many, 50, tag="vi") == []
    assert every(many, 50, org="acme", system="zendesk", record_type="ticket") == NEWEST
    assert every(many, 50, org="acme", system="jira") == every(many, 50, record_type="issue") == []
    assert every(many, 50, org="globex", query="refund") == ["104", "103", "102", "101", "100"]
    assert every(many, 2, query="refund payment", tag="even") == ["20", "10", "0"]
    assert every(many, 3, query="payment", status="open", deleted=False) == [n for n in NEWEST if int(n) % 3 == 0]
    assert every(many, 50, org="nobody\0") == []


@pytest.mark.parametrize("step", [1, 3, 500])
@pytest.mark.parametrize("limit", [1, 4, 100])
def test_several_organisations_are_one_list(
    many: Store, monkeypatch: pytest.MonkeyPatch, limit: int, step: int
) -> None:
    monkeypatch.setattr(records_module, "_STEP", step)
    monkeypatch.setattr(records_module, "_LEAST", 1)
    write(begin_run(many, add_organization(many, "hooli")), [record(200 + n) for n in range(5)])
    together = [row.external_id for row in many.records.list(limit=100)[0] if row.organization_id in ("acme", "globex")]
    assert len(together) == 35
    assert every(many, limit, org=["acme", "globex"]) == together
    assert every(many, limit, org=["globex", "nobody", "globex"]) == ["104", "103", "102", "101", "100"]
    assert every(many, limit, org=["acme", "globex"], query="refund") == [
        name for name in together if int(name) >= 100 or int(name) % 10 == 0
    ]
    for name in ("SOME_HITS", "FEW_HITS", "MANY_HITS"):
        monkeypatch.setattr(records_module, name, 0)
        assert len(every(many, limit, org=["acme", "globex"], query="refund")) == 8
    assert len(every(many, limit, org=["acme", "globex"], query="refund", deleted=False)) == 8
    assert len(every(many, limit, org=["acme", "hooli"], system="zendesk")) == 35


@pytest.mark.parametrize("typed", ["refund", "ref*", "payment", "payment refund", "xyzzyplugh"])
@pytest.mark.parametrize("apart", [0, 1, 3, 1000])
def test_looking_hits_up_finds_what_counting_them_finds(
    many: Store, database: Database, monkeypatch: pytest.MonkeyPatch, typed: str, apart: int
) -> None:
    """Whatever lies between the records that are asked about, and however few queries that takes."""
    words = search.expression(typed)
    assert words is not None
    monkeypatch.setattr(search, "_WORTH_A_LOOK_UP", apart)
    with database.reading() as connection:
        hits = set(search.hits(connection, words, 100))
        for ids in ([], [1], [3, 1, 2], range(1, 36), range(35, 0, -5), [1, 2, 9, 10, 30, 31, 35, 1000]):
            assert search.hits_among(connection, words, ids, 1.0) == sorted(hits & set(ids))


@pytest.mark.parametrize(("typed", "looked_up"), [("payment", 3), ("pay*", 1)])
@pytest.mark.usefixtures("many")
def test_records_with_ids_near_each_other_are_looked_up_together(
    database: Database, typed: str, looked_up: int
) -> None:
    """By the beginning of a word all of them: each look-up would read all its hits."""
    words, asked = search.expression(typed), list[str]()
    assert words is not None
    with database.reading() as connection:
        connection.set_trace_callback(asked.append)
        search.hits_among(connection, words, [*range(1, 30), *range(5000, 5020), 9000], 0.5)
        connection.set_trace_callback(None)
    assert len([one for one in asked if "MATCH" in one]) == looked_up
    assert all("BETWEEN" in one and "+rowid IN" in one for one in asked if "MATCH" in one)


def test_a_search_fills_its_pages_where_the_hits_lie_far_back(many: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WALKED_THEN_SORTED.items():
        monkeypatch.setattr(records_module, name, value)
    rows, after = many.records.list(query="refund", org="acme", limit=2)
    assert [row.external_id for row in rows] == ["20", "10"]
    assert [row.external_id for row in many.records.list(query="refund", org="acme", after=after)[0]] == ["0"]


@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_search_while_an_organisation_is_removed(
    many: Store, database: Database, monkeypatch: pytest.MonkeyPatch, all_of_them: bool
) -> None:
    monkeypatch.setattr(records_module, "SOME_HITS", 0)
    find = search.hits

    def found_and_gone(connection: sqlite3.Connection, words: str, most: int) -> list[int]:
        found = find(connection, words, most)
        with database.writing() as writer:
            writer.execute("DELETE FROM flow_records WHERE id >= ?", (1 if all_of_them else max(found),))
        return found

    monkeypatch.setattr(search, "hits", found_and_gone)
    rows, after = many.records.list(query="refund", limit=100)
    assert (bool(rows), after) == (not all_of_them, None)


def test_one_call_looks_at_a_bounded_number_and_goes_on(many: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "WALK_MOST", 10)
    monkeypatch.setattr(records_module, "_STEP", 5)
    rows, after = many.records.list(org="acme", tag="no such")
    assert rows == []
    assert after is not None
    assert every(many, 50, org="acme", tag="no such") == []
    assert every(many, 4, org="acme", tag="vip") == [n for n in NEWEST if int(n) % 2]


@pytest.mark.parametrize("after", ["x", "====", "MQ", "ü", "\0", "bm8gbnVtYmVy", "LTEgMjAyNi0xMS0yMw"])
def test_an_end_of_page_that_is_not_ours(many: Store, after: str) -> None:
    with pytest.raises(BadRequest) as refused:
        many.records.list(after=after)
    assert refused.value.field == "after"


def test_words_are_joined_by_and_over_all_columns(store: Store, pages: RunPages) -> None:
    write(
        pages,
        [
            record(1, title="Payment failed", requester="Jane Döe <jane@example.com>", body="error 500 at check-out"),
            record(2, title="Payment received", assignee="Jane", tags=("vip_customer",)),
            record(3, title='A "quoted" title', body="naïve -dash OR NEAR AND NOT"),
        ],
    )

    def search(words: str) -> list[str]:
        return sorted(ids(store.records.list(query=words)[0]))

    assert search("payment jane") == ["1", "2"]
    assert search("PAYMENT 500") == ["1"]
    assert search("jane@example.com") == ["1"]
    assert search("doe") == ["1"]  # without its accent
    assert search("check-out") == ["1"]
    assert search("vip_customer") == search("customer") == ["2"]
    assert search("pay") == []
    assert search("pay* jane") == ["1", "2"]
    assert search('"quoted" OR') == ["3"]
    assert search("title:payment") == search("payment NOT jane") == []
    assert search("  ") == ["1", "2", "3"]
    assert search("!!! --") == []
    assert search("word " * 10_000) == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40) | st.text(alphabet='"*()^:{}+-,.ANDORT NEAR\0\ud800', max_size=30))
def test_nothing_that_is_typed_is_an_error(store: Store, acme: Integration, typed: str) -> None:
    rows, after = store.records.list(query=typed)
    assert (rows, after) == ([], None)


def test_single_records(store: Store, pages: RunPages) -> None:
    write(pages, [record(7, 5, body="the body", tags=("a", "b"))])
    one = store.records.find("acme", "zendesk", "7")
    assert (one.body, one.raw, one.source_version) == ("the body", '{"id":7,"generated_timestamp":5}', 5)
    assert (one.tags, one.first_synced_at, one.synced_at) == (("a", "b"), stamp(NOW), stamp(NOW))
    assert store.records.get(one.id) == one
    assert store.records.list()[0][0].body is None
    for ask in (lambda: store.records.get(99), lambda: store.records.find("acme", "zendesk", "8\0")):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(NotFound, match="no record 8 of acme in fax"):
        store.records.find("acme", "fax", "8")


def test_counts_that_do_not_scan(many: Store, acme: Integration, monkeypatch: pytest.MonkeyPatch) -> None:
    assert many.records.total() == 28 + 5
    assert many.records.count_since(acme.id, None) == 28
    assert many.records.count_since(acme.id, NOW + timedelta(minutes=10)) == 10
    monkeypatch.setattr(records_module, "COUNT_MOST", 4)
    assert many.records.count_since(acme.id, NOW) == 4
    with pytest.raises(NotFound):
        many.records.count_since(99, NOW)
    for name in ("acme", "globex"):
        many.fleet.remove_organization(name)
    assert many.records.total() == 0


def test_a_row_that_someone_broke_is_named(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(1)])
    with database.writing() as connection:
        connection.execute("UPDATE flow_records SET tags = 'vip'")
    with pytest.raises(StorageError, match=r"RecordRow \(1\)"):
        store.records.list()


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(store: Store, pages: RunPages) -> Iterator[Store]:
    incident = Link("incident_of", "zendesk", "ticket", "1")
    write(pages, [record(1, title="Problem"), record(2, links=(incident,)), record(3)])
    return store  # type: ignore[return-value]


def number(store: Store, external_id: str) -> int:
    return store.records.find("acme", "zendesk", external_id).id


def test_a_link_is_seen_from_both_ends(linked: Store) -> None:
    (out,) = linked.records.links(number(linked, "2"))
    assert (out.direction, out.relation, out.system, out.record_type) == ("out", "incident_of", "zendesk", "ticket")
    assert (out.external_id, out.origin, out.record_id, out.title) == ("1", "source", number(linked, "1"), "Problem")
    (into,) = linked.records.links(number(linked, "1"))
    assert (into.id, into.direction, into.external_id, into.title) == (out.id, "in", "2", "Ticket 2")
    assert linked.records.links(number(linked, "3")) == []
    with pytest.raises(NotFound):
        linked.records.links(99)


def test_links_are_counted_from_both_ends(linked: Store) -> None:
    one, two, three = (number(linked, name) for name in "123")
    linked.records.add_link(one, ("zendesk", "77"), "related_to", None, NOW)
    assert linked.records.link_counts([three, two, one, 99]) == {one: 2, two: 1, three: 0}
    assert linked.records.link_counts([]) == {}


def test_a_link_may_lead_to_what_is_not_here_yet(linked: Store, pages: RunPages) -> None:
    three = number(linked, "3")
    link = linked.records.add_link(three, ("zendesk", "77"), "related_to", "jane", NOW)
    assert (link.external_id, link.record_id, link.origin, link.created_by) == ("77", None, "manual", "jane")
    write(pages, [record(77, title="here now"), record(3, 2, title="synced again")])
    (link,) = linked.records.links(three)
    assert (link.record_id, link.title) == (number(linked, "77"), "here now")


def test_adding_a_link_twice_is_the_same_link(linked: Store) -> None:
    three, one = number(linked, "3"), number(linked, "1")
    first = linked.records.add_link(three, one, "related_to", "jane", NOW)
    assert linked.records.add_link(three, ("zendesk", "1"), "related_to", "joe", NOW) == first
    assert linked.records.add_link(three, one, "duplicate_of", "joe", NOW).id != first.id
    assert len(linked.records.links(one)) == 3


def test_links_that_cannot_be(linked: Store) -> None:
    write(begin_run(linked, add_organization(linked, "globex")), [record(9)])
    three, foreign = number(linked, "3"), linked.records.find("globex", "zendesk", "9").id
    for other, reason in (
        (three, "itself"),
        (("zendesk", "3"), "itself"),
        (foreign, "belongs to globex"),
        (("fax", "1"), "fax/1"),
        (("zendesk", ""), "no record zendesk/"),
    ):
        with pytest.raises(BadRequest, match=reason):
            linked.records.add_link(three, other, "related_to", None, NOW)
    with pytest.raises(NotFound):
        linked.records.add_link(three, 999, "related_to", None, NOW)
    assert linked.records.links(three) == []


def test_only_links_made_by_hand_are_removed(database: Database, linked: Store) -> None:
    two, one = number(linked, "2"), number(linked, "1")
    (source,) = linked.records.links(two)
    with pytest.raises(Conflict, match="made by the source"):
        linked.records.remove_link(two, source.id)
    manual = linked.records.add_link(two, one, "related_to", None, NOW)
    with pytest.raises(NotFound):
        linked.records.remove_link(number(linked, "3"), manual.id)
    linked.records.remove_link(one, manual.id)  # from the other end
    assert linked.records.links(two) == [source]
    assert table(database, "SELECT count(*) FROM record_links") == [(1,)]
