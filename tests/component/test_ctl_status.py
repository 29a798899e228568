"""`status`, `explain`, `schedule`: what an operator reads first, letter by letter."""

from __future__ import annotations

from tests.fixtures import mockup
from tests.fixtures.commandline import Stream, Zendeskctl
from tests.fixtures.scripted import ScriptedDaemon
from zendeskd import wire

STATUS = """\
ORG        NOW           LAST            AGE     NEXT  TICKETS  WHY
globex     ! blocked     ✗ auth          20m        -   18,204  token rejected, 401
initech    ~ retry 1:52  ✗ network       24m     1:52    3,911  3x connect timeout
hooli      ~ limit 0:38  ✓ ok            14m     0:38  211,087  429, will go on
acme-us    » 8,400       ◌ never           -        -    8,400  first import, 96/s
acme-eu    » 62% 0:48    ✓ ok            16m        -   84,120  page 31, 40 rec/s
stark      ∙ queued      ✓ ok            15m      now   40,522  waits for a worker
tyrell     idle          ◕ partial        9m     5:14    7,418  2 tickets skipped
wayne      idle          ✓ ok             2m    12:14   12,003
umbrella   = stopped     ✓ ok         6h 01m  stopped    9,733  ana: change freeze
9 orgs: 1 blocked, 1 failing, 1 limited, 2 running, 1 queued, 2 ok, 1 stopped
"""

EXPLAIN = """\
globex is blocked since 14:24:02 UTC.
happened  Zendesk rejected the API token (HTTP 401, run 8817).
daemon    Syncs nothing, so that the account is not locked out; next probe 15:24 UTC.
you       zendeskctl credentials set globex      (at once: zendeskctl start globex)
data      18,204 tickets, up to date 20m ago.
"""

SCHEDULE = """\
Every 30th minute from 09:00 through 17:59 on Monday through Friday (America/New_York)
Mon 23 Nov 09:30   14:30 UTC   in 5m
Mon 23 Nov 10:00   15:00 UTC   in 35m
Mon 23 Nov 19:30   Tue 24 Nov 00:30 UTC   in 10h 05m
"""


def test_status_is_the_default_verb_and_looks_like_this(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing())
    done = zendeskctl()
    assert (done.code, done.err) == (0, "")
    assert done.out == STATUS


def test_ascii_has_the_same_columns_and_no_glyph(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    items = mockup.fleet()
    items[-1].why = "ana: change freeze …"
    scripted.answer("sync_status", mockup.listing(items))
    done = zendeskctl("status", "--ascii")
    assert done.out.isascii()
    assert "globex     ! blocked     x auth          20m        -   18,204  token rejected, 401\n" in done.out
    assert "acme-us    > 8,400       ? never           -        -    8,400  first import, 96/s\n" in done.out


def test_an_output_that_cannot_show_glyphs_gets_ascii(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing())
    out = zendeskctl("status", stdout=Stream(encoding="latin-1")).out
    assert "+ ok" in out
    assert "x auth" in out


def test_failing_shows_only_what_needs_somebody(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing())
    out = zendeskctl("--failing").out
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == ["globex", "initech"]


def test_named_organisations_are_asked_for_one_by_one(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", lambda asked: mockup.one(mockup.status(asked.org or "")))
    assert zendeskctl("status", "acme", "--json").document()["organizationId"] == "acme"
    done = zendeskctl("status", "acme", "globex", "acme", "--json")
    assert [item["organizationId"] for item in done.document()["items"]] == ["acme", "globex"]
    assert "schema" not in done.document()["items"][0]


def test_wide_adds_columns_and_cuts_nothing(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing())
    out = zendeskctl("status", "--wide", terminal=True, environ={"COLUMNS": "60", "NO_COLOR": "1"}).out
    assert "✓✓✓✓✓✗✗✗" in out
    assert "America/New_York" in out
    assert "3x connect timeout" in out


def test_a_terminal_gets_colour_and_lines_that_fit(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    item = mockup.status(health="blocked", state="blocked", why="a reason that is much too long for what is left")
    scripted.answer("sync_status", mockup.listing([item]))
    out = zendeskctl(terminal=True, environ={"COLUMNS": "80"}).out
    assert "\x1b[1;31m! blocked" in out
    row = out.splitlines()[1].replace("\x1b[1;31m", "").replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert len(row) <= 80
    assert row.endswith("…")
    for plain in (
        zendeskctl("--no-color", terminal=True),
        zendeskctl(terminal=True, environ={"NO_COLOR": "1"}),
        zendeskctl(terminal=True, environ={"TERM": "dumb"}),
        zendeskctl(),
    ):
        assert "\x1b" not in plain.out


def test_an_empty_fleet_says_how_to_begin(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    done = zendeskctl()
    assert (done.code, done.out) == (0, "")
    assert f"zendeskctl --socket {scripted.path} org add acme --subdomain acme" in done.err
    assert zendeskctl("-q").err == ""


def test_explain_looks_like_this(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.one(mockup.fleet()[0]))
    assert zendeskctl("explain", "globex").out == EXPLAIN


def test_explain_tells_of_an_import_that_has_not_ended(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    item = mockup.status(last_success_at=None, reconciled=mockup.reconciled(missing=2, vanished=1, repaired=3))
    scripted.answer("sync_status", mockup.one(item))
    out = zendeskctl("explain", "wayne").out
    assert "you       nothing to do\n" in out
    assert "data      12,003 tickets, not complete yet.\n" in out
    assert "verified  14:20:46 UTC, 3 differences: 2 missing here, 1 vanished there; 3 repaired\n" in out


def test_explain_tells_of_a_last_run_that_was_cut_short(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    item = mockup.status(last_status="cancelled", recent_runs=[mockup.run(8817, "wayne", status="cancelled")])
    scripted.answer("sync_status", mockup.one(item))
    said = "happened  The last run was fine. The last run was cancelled (run 8817).\n"
    assert said in zendeskctl("explain", "wayne").out
    item.explanation.happened = "The last run was cancelled at 14:00 UTC."
    assert "happened  The last run was cancelled at 14:00 UTC.\n" in zendeskctl("explain", "wayne").out
    item.run = mockup.live()
    item.explanation.happened = "Run 8818 reads."
    scripted.answer("sync_status", mockup.one(item))
    assert "happened  Run 8818 reads.\n" in zendeskctl("explain", "wayne").out


def test_schedule_looks_like_this(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    times = [
        wire.PreviewTime(local="2026-11-23T09:30:00-05:00", utc="2026-11-23T14:30:00.000Z", in_s=314),
        wire.PreviewTime(local="2026-11-23T10:00:00-05:00", utc="2026-11-23T15:00:00.000Z", in_s=2114),
        wire.PreviewTime(local="2026-11-23T19:30:00-05:00", utc="2026-11-24T00:30:00.000Z", in_s=36314),
    ]
    words = "Every 30th minute from 09:00 through 17:59 on Monday through Friday"
    scripted.answer(
        "preview_schedule",
        wire.Preview(interval="*/30 9-17 * * 1-5", timezone="America/New_York", words=words, times=times),
    )
    assert zendeskctl("schedule", "*/30 9-17 * * 1-5").out == SCHEDULE
    assert scripted.asked[-1].body == {"interval": "*/30 9-17 * * 1-5", "count": 3}


def test_an_unquoted_schedule_is_told_to_be_quoted(zendeskctl: Zendeskctl) -> None:
    done = zendeskctl("schedule", "*/30", "file1", "file2")
    assert done.code == 2
    assert "quote it" in done.err


# --- lines that fit a terminal ----------------------------------------------------------------------------------------

LONG = "Zendesk did not answer within thirty seconds, which it did not do four times in a row before that either."


def _tables(scripted: ScriptedDaemon) -> list[tuple[list[str], str, str]]:
    """Command line, what must be there at 80 columns, and what only where there is room."""
    run = mockup.run(8815, "acme-production-eu", status="failed", error_code="network_error", error_message=LONG)
    run.started_at, run.records_processed = mockup.ago(days=3), 1_211_087
    scripted.answer("runs", wire.RunList(items=[run], next=None))
    record = mockup.record(organization_id="acme-production-eu", requester="Dana Whitfield-Montgomery the Third")
    record.updated_at = mockup.ago(days=3)
    scripted.answer("records", wire.RecordList(items=[record], next=None))
    compared = mockup.reconciled("acme-production-eu", finished_at=mockup.ago(days=3), status="failed")
    compared.error_message = LONG
    scripted.answer("reconciliations", wire.ReconcileList(items=[compared]))
    organization = "acme-production-europe-and-the-rest"
    item = mockup.status(organization, why="not reachable, as was")
    scripted.answer("sync_status", mockup.listing([item]))
    return [
        (["runs"], "\u2717 network", "schedule"),
        (["records"], "Payment page answer", "urgent"),
        (["reconcile", "--last"], "\u2717 failed", "12,003"),
        (["status"], organization, "12,003"),
    ]


def test_at_80_columns_no_table_wraps(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    for words, kept, spared in _tables(scripted):
        narrow = zendeskctl(*words, terminal=True, environ={"COLUMNS": "80", "NO_COLOR": "1"})
        assert max(map(len, narrow.out.splitlines())) <= 80, narrow.out
        assert (kept in narrow.out, spared in narrow.out) == (True, False), narrow.out


def test_without_a_terminal_nothing_is_cut_or_left_out(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    for words, kept, spared in _tables(scripted):
        out = zendeskctl(*words, environ={"COLUMNS": "80"}).out
        assert (kept in out, spared in out, "\u2026" in out) == (True, True, False)
    assert LONG in zendeskctl("runs").out
    assert LONG in zendeskctl("reconcile", "--last").out


def test_sentences_and_hints_are_broken_at_words(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    said = wire.Explanation(happened=LONG, daemon="Tries again.", you="zendeskctl credentials check wayne")
    scripted.answer("sync_status", mockup.one(mockup.status(explanation=said)))
    out = zendeskctl("explain", "wayne", terminal=True, environ={"COLUMNS": "80"}).out
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2].startswith("          ")
    assert " ".join(f"{lines[1][10:]} {lines[2].strip()}".split()) == LONG
    assert f"happened  {LONG}\n" in zendeskctl("explain", "wayne").out
    scripted.refuse("sync_status", 404, "not_found", LONG, hint=LONG)
    err = zendeskctl("explain", "wayne", terminal=True, environ={"COLUMNS": "80"}).err
    assert max(map(len, err.splitlines())) <= 80
    assert err.splitlines()[-1].startswith("  ")
    assert " ".join(err.split()) == f"zendeskctl: {LONG} {LONG}"
    assert zendeskctl("explain", "wayne").err == f"zendeskctl: {LONG}\n  {LONG}\n"
