"""History and the local copy on the command line; what comes from tickets is taken to be hostile."""

from __future__ import annotations

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Stream, Zendeskctl
from tests.fixtures.scripted import ScriptedDaemon
from zendeskd import wire

RUNS = """\
   RUN  ORG        STARTED UTC    TOOK  RESULT          READ     NEW     UPD  SKIP  BY         WHY
  8815  acme-eu    14:23:00     1m 46s  » running      3,100      12   3,058     0  schedule
  8755  acme-eu    Sun 22 Nov 14:23  30s  ✗ network          0       0       0     0  ana (cli)  timeout x5
"""

RECORD = """\
Payment page answers 500 after log-in
record     acme-eu/zendesk/48213   (id 8123)
status     open
priority   urgent
requester  Dana Whitfield
assignee   Priya Nair
group      Payments
customer   Whitfield Ltd
tags       checkout vip
created    08:24:46 UTC
changed    14:17:46 UTC
copied     14:24:38 UTC
url        https://acme-eu.zendesk.com/agent/tickets/48213

Since this morning the payment page answers 500.

Logging out helps.

RELATION      SYSTEM    ID        STATUS        FROM         TITLE
escalated to  jira      PAY-2231  not here yet  manual, ana  -
"""


# --- runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_listed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    running = mockup.run(
        status="running",
        started_at=mockup.ago(seconds=106),
        synced_at=None,
        duration_ms=None,
        records_processed=3100,
        records_created=12,
        records_updated=3058,
    )
    failed = mockup.run(
        8755,
        status="failed",
        started_at=mockup.ago(days=1, minutes=1),
        requested_by="ana (cli)",
        duration_ms=30_000,
        records_processed=0,
        records_created=0,
        records_updated=0,
        error_code="network_error",
        error_message="timeout x5",
    )
    scripted.answer("runs", wire.RunList(items=[running, failed], next="8755"))
    done = zendeskctl("runs", "acme-eu", "-n", "2", "--failed")
    assert [line.split() for line in done.out.splitlines()] == [line.split() for line in RUNS.splitlines()]
    assert done.err == "More: --after 8755\n"
    assert scripted.asked[0].query == {"organizationId": "acme-eu", "failed": "true", "limit": "2"}


def test_a_run_in_a_dozen_lines(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    live = mockup.live(waiting_until=mockup.ahead(seconds=38), waiting_for="429, export budget")
    running = mockup.run(status="running", duration_ms=None, started_at=mockup.ago(seconds=106), end_reason=None)
    scripted.answer("run", mockup.document(running, live=live))
    out = zendeskctl("run", "8815").out
    assert "run       8815 of acme-eu, zendesk\nresult    » running\n" in out
    assert "started   14:23:00 UTC, took 1m 46s\n" in out
    assert (
        "now       page 31, 3,100 read, window 62%, 40/s, about 0:48 left, waits for 429, export budget, 0:38\n" in out
    )
    failed = mockup.run(status="failed", requested_by="ana (cli)", error_code="server_error", error_message="HTTP 500")
    scripted.answer("run", mockup.document(failed))
    out = zendeskctl("run", "8815", "--ascii").out
    assert "result    x server (end_of_stream)\n" in out
    assert "trigger   schedule by ana (cli)\n" in out
    assert "error     server_error: HTTP 500\n" in out


# --- records ----------------------------------------------------------------------------------------------------------


def test_every_filter_reaches_the_daemon(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    gone = mockup.record(deleted_at=mockup.ago(days=1), updated_at=mockup.ago(days=400), external_id="39002")
    scripted.answer("records", wire.RecordList(items=[mockup.record(), gone], next="next+page/="))
    words = ["-q", "payment 500", "--status", "open", "--tag", "vip", "--deleted", "no", "-n", "2", "--after", "x=="]
    done = zendeskctl("records", "acme-eu", "--system", "zendesk", *words)
    assert scripted.asked[0].query == {
        "organizationId": "acme-eu",
        "system": "zendesk",
        "q": "payment 500",
        "status": "open",
        "tag": "vip",
        "deleted": "false",
        "limit": "2",
        "after": "x==",
    }
    lines = done.out.splitlines()
    assert lines[1].split("  ")[-1] == "Payment page answers 500 after log-in"
    assert "acme-eu/zendesk/39002  deleted" in lines[2]
    assert "Sun 19 Oct 2025" in lines[2]
    assert done.err == "More: --after next+page/=\n"


def test_nothing_found_is_no_failure(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("records", wire.RecordList(items=[], next=None))
    scripted.answer("runs", wire.RunList(items=[], next=None))
    for verb in ("records", "runs"):
        done = zendeskctl(verb)
        assert (done.code, done.out, done.err) == (0, "", f"No {verb}.\n")


def test_a_record_with_its_body_and_links(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("record", mockup.record_document())
    assert zendeskctl("record", "acme-eu/zendesk/48213").out == RECORD
    assert scripted.asked[0].path == "/api/records/acme-eu/zendesk/48213"


def test_raw_is_the_source_s_own_bytes(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    raw = '{"id":1, "subject":"\x9b2J\x7f \u00e9"}'
    scripted.answer("record", mockup.record_document(raw=raw))
    assert zendeskctl("record", "8123", "--raw").out == raw + "\n"
    on_terminal = zendeskctl("record", "8123", "--raw", stdout=Stream(tty=True)).out
    assert on_terminal == '{"id":1, "subject":"\\u009b2J\\u007f \u00e9"}\n'


@pytest.mark.parametrize("words", [["records"], ["record", "8123"], ["link", "8123"], ["runs"], ["run", "8815"]])
def test_hostile_text_is_plain_text(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, words: list[str]) -> None:
    bad = mockup.HOSTILE
    record = mockup.record(
        title=bad,
        status=bad,
        priority=bad,
        requester=bad,
        assignee=bad,
        group_name=bad,
        customer=bad,
        url=bad,
        external_id=bad,
        tags=[bad],
    )
    link = mockup.link(relation=bad, external_id=bad, title=bad, status=bad, record_id=3, created_by=bad)
    run = mockup.run(error_message=bad, requested_by=bad, end_reason=bad, error_code=bad, status="failed")
    scripted.answer("records", wire.RecordList(items=[record], next=bad))
    scripted.answer("record", mockup.record_document(record, body=bad, links=[link]))
    scripted.answer("links", wire.LinkList(items=[link]))
    scripted.answer("runs", wire.RunList(items=[run], next=None))
    scripted.answer("run", mockup.document(run))
    done = zendeskctl(*words, terminal=True, environ={"NO_COLOR": "1", "COLUMNS": "400"})
    assert done.code == 0
    assert "[bold]x[/bold]" in done.out
    for text in (done.out, done.err):
        assert not set(text) & {chr(code) for code in (*range(10), *range(11, 32), *range(127, 160), 0x202E)}
    if words[0] in {"records", "runs"}:
        assert done.out.count("\n") == 2


def test_titles_that_are_wide_keep_the_columns(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    items = [mockup.record(requester="日本 太郎", title="支払い" * 40), mockup.record(requester="Zoë", title="x")]
    scripted.answer("records", wire.RecordList(items=items, next=None))
    first, second = zendeskctl("records").out.splitlines()[1:]
    assert first.index("支払い") + 4 == second.index("x", second.index("Zoë"))
    cut = zendeskctl("records", stdout=Stream(tty=True), environ={"COLUMNS": "100", "NO_COLOR": "1"}).out
    assert "…" in cut.splitlines()[1]


# --- links ------------------------------------------------------------------------------------------------------------


def test_links_are_listed_added_and_removed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("links", wire.LinkList(items=[mockup.link(), mockup.link(id=6, external_id="PAY-1")]))
    scripted.answer("link", wire.LinkList(items=[mockup.link(direction="in")]))
    scripted.answer("unlink", wire.LinkList(items=[]))
    assert "escalated to  jira      PAY-2231" in zendeskctl("link", "8123").out
    assert "escalated to (in)" in zendeskctl("link", "8123", "jira/PAY-2231", "--relation", "escalated_to").out
    assert scripted.asked[-1].body == {"other": "jira/PAY-2231", "relation": "escalated_to"}
    done = zendeskctl("link", "8123", "jira/PAY-1", "--remove")
    assert (done.code, done.err) == (0, "No links.\n")
    assert (scripted.asked[-1].method, scripted.asked[-1].path) == ("DELETE", "/api/records/8123/links/6")


def test_a_link_that_is_not_there_cannot_be_removed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("links", wire.LinkList(items=[mockup.link()]))
    for other in (["jira/PAY-9"], ["77"], ["jira/PAY-2231", "--relation", "incident_of"]):
        done = zendeskctl("link", "8123", *other, "--remove")
        assert done.code == 5
        assert "has no such link" in done.err
    assert not scripted.asked_for("unlink")
