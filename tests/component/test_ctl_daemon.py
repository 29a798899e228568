"""`health` as monitoring reads it, `version` and `reload`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Zendeskctl, carry_out
from tests.fixtures.scripted import ScriptedDaemon
from zendeskd import __version__, wire

PERFDATA = (
    "blocked=1 failing=1 late=0 limited=1 retrying=0 failed=0 running=2 queued=1 ok=2 stopped=1 "
    "oldest_age=1440s records=395398 queue=1"
)


def told(scripted: ScriptedDaemon, items: list[wire.SyncStatus], **daemon: Any) -> None:
    scripted.answer("health", mockup.vital())
    scripted.answer("status", mockup.daemon(**daemon))
    scripted.answer("sync_status", lambda asked: mockup.one(items[0]) if asked.org else mockup.listing(items))


def test_a_fleet_with_trouble_on_one_line(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    told(scripted, mockup.fleet())
    done = zendeskctl("health")
    assert done.code == 2
    assert done.out == f"ZENDESKD CRITICAL - 1 blocked: globex; 1 failing: initech | {PERFDATA}\n"


def limited(**wait: float) -> wire.SyncStatus:
    return mockup.status("a", state="limited", health="limited", run=mockup.live(waiting_until=mockup.ahead(**wait)))


@pytest.mark.parametrize(
    ("items", "code", "said"),
    [
        ([mockup.status("a"), mockup.status("b")], 0, "OK - 2 orgs: 2 ok"),
        ([], 0, "OK - no organisations"),
        ([mockup.status("a", health="running"), mockup.status("b", health="failed")], 0, "OK - 2 orgs: 1 failed"),
        ([mockup.status("a", health="late"), mockup.status("b")], 1, "WARNING - 1 late: a"),
        ([mockup.status("a", health="failing"), mockup.status("b")], 1, "WARNING - 1 failing: a"),
        ([mockup.status("a", health="failing")], 2, "CRITICAL - 1 failing: a"),
        (
            [mockup.status("a", health="failing"), mockup.status("b", health="stopped", is_active=False)],
            2,
            "CRITICAL - 1 failing: a",
        ),
        ([mockup.status("a", health="blocked"), mockup.status("b")], 2, "CRITICAL - 1 blocked: a"),
        (
            [
                mockup.status(
                    "a", state="limited", health="limited", run=mockup.live(waiting_until=mockup.ahead(hours=1))
                )
            ],
            1,
            "WARNING - 1 limited long: a",
        ),
        (
            [
                mockup.status(
                    "a", state="limited", health="limited", run=mockup.live(waiting_until=mockup.ahead(minutes=1))
                )
            ],
            0,
            "OK - 1 org: 1 limited",
        ),
        ([mockup.status(str(each), health="late") for each in range(7)], 1, "7 late: 0, 1, 2, 3, 4 and 2 more"),
    ],
)
def test_what_monitoring_is_told(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, items: list[wire.SyncStatus], code: int, said: str
) -> None:
    told(scripted, items)
    done = zendeskctl("health")
    assert (done.code, done.out.count("\n"), done.out.count("|")) == (code, 1, 1)
    assert said in done.out


def test_a_daemon_that_stands_still_or_cannot_store_is_critical(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    database = wire.DatabaseStatus(path="/x", bytes=1, wal_bytes=0, records=0, trouble="disk full | really")
    told(scripted, [mockup.status()], database=database)
    scripted.answer("health", mockup.vital(ok=False, detail="standing still: scheduler"))
    done = zendeskctl("health", "--json")
    assert done.code == 2
    assert done.document()["problems"] == ["daemon: standing still: scheduler", "database: disk full | really"]
    assert zendeskctl("health").out.count("|") == 1


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # httpcore leaves it when it cannot connect
def test_what_cannot_be_known_is_unknown(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("health", 404, "not_found", "no organisation 'x'")
    for done in (
        carry_out("health", "--socket", "/nowhere"),
        zendeskctl("health", "x"),
        zendeskctl("health", "--nonsense"),
    ):
        assert done.code == 3
        assert done.out.startswith("ZENDESKD UNKNOWN - ")
        assert done.out.count("\n") == 1


def test_version_tells_of_both(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("status", mockup.daemon())
    out = zendeskctl("version").out
    assert out == zendeskctl("--version").out
    assert out.startswith(
        f"zendeskctl {__version__} (API 1)\nzendeskd 1.0.0 (API 1), pid 812, up 3d 04h\n"
        "  workers   3 of 3 busy, 1 queued\n"
    )
    assert "  database  /var/lib/zendeskd/zendeskd.db, 412 MB\n" in out


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # as above
def test_version_without_a_daemon_is_no_failure() -> None:
    done = carry_out("version", "--socket", "/nowhere")
    assert (done.code, done.out) == (0, f"zendeskctl {__version__} (API 1)\n")
    assert "no daemon: there is no socket /nowhere" in done.err


def test_reload_lists_what_changed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    changes = [
        wire.ReloadChange(key="workers", old="8", new="4", applied=False),
        wire.ReloadChange(key="lookback", old="7d", new="30d", applied=True),
    ]
    scripted.answer("reload", wire.ReloadResult(changes=changes), wire.ReloadResult(changes=[]))
    assert zendeskctl("reload").out == "workers: 8 -> 4 (at the next start)\nlookback: 7d -> 30d\n"
    assert zendeskctl("reload").out == "reloaded, nothing changed\n"


def test_a_bad_file_is_refused_with_every_problem(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    problems = [wire.ProblemItem(path="", detail="workers: 0 is too few"), wire.ProblemItem(path="", detail="b: what?")]
    scripted.refuse("reload", 422, "config_error", "2 problems", problems=problems)
    done = zendeskctl("reload")
    assert done.code == 2
    assert "workers: 0 is too few" in done.err
    assert "b: what?" in done.err
