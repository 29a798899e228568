"""`health` as monitoring reads it, `version`, `reload` and `backup`."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Zendeskctl, carry_out
from tests.fixtures.scripted import ScriptedDaemon
from tests.waiting import wait_for
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
    assert "  backup    08:24:46 UTC, 412 MB; next " in out


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


# --- backup -----------------------------------------------------------------------------------------------------------

GOOD = mockup.backup(finished_at=mockup.ago(seconds=1), requested_by="ana (cli)")


def asked_for_a_backup(scripted: ScriptedDaemon, *known: wire.BackupStatus | None, joined: bool = False) -> None:
    accepted = wire.BackupAccepted(path=mockup.BACKUP, started_at=mockup.backup().started_at, joined=joined)
    scripted.answer("backup", accepted)
    scripted.answer("status", *(mockup.daemon(backup=each) for each in known))
    scripted.answer("events", mockup.hello())


def going_on() -> wire.BackupStatus:
    return mockup.backups(running=mockup.backup(finished_at=None, duration_ms=None, bytes=0))


def test_a_backup_is_waited_for(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    asked_for_a_backup(scripted, going_on(), going_on(), mockup.backups(GOOD), joined=True)
    threading.Timer(0.1, lambda: _tell(scripted, GOOD)).start()
    done = zendeskctl("backup")
    assert (done.code, done.out) == (0, f"{mockup.BACKUP}  412 MB  3s\n")
    assert done.err == f"asked: {mockup.BACKUP}, joined\n"


def _tell(scripted: ScriptedDaemon, one: wire.Backup) -> None:
    wait_for(lambda: scripted.streams, "the follower")
    event = wire.Event(seq=8, event="daemon", at=mockup.ago(), message="backup made", backup=one)
    scripted.publish(event, msgspec.structs.replace(event, seq=9))


def test_one_that_ended_in_the_same_second_is_not_taken_for_it(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    """Both have one path."""
    before = mockup.backup(started_at=mockup.ago(hours=6, milliseconds=300), trouble="It does not fit.")
    asked_for_a_backup(
        scripted,
        msgspec.structs.replace(going_on(), recent=[before]),
        msgspec.structs.replace(going_on(), recent=[before]),
        mockup.backups(GOOD, before),
    )
    threading.Timer(0.1, lambda: _tell(scripted, GOOD)).start()
    assert zendeskctl("backup").code == 0


def test_a_backup_as_a_document(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    asked_for_a_backup(scripted, mockup.backups(GOOD))
    document = zendeskctl("backup", "--json").document()
    assert (document["path"], document["trouble"], document["schema"]) == (mockup.BACKUP, None, 1)


def test_a_backup_that_failed_is_exit_code_1_with_the_reason(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    failed = mockup.backup(trouble="It does not\x1b[2J fit.", hint="Make room.", bytes=0)
    asked_for_a_backup(scripted, mockup.backups(failed))
    done = zendeskctl("backup")
    assert (done.code, done.out) == (1, "")
    assert "zendeskctl: It does not" in done.err
    assert "  Make room.\n" in done.err
    assert "\x1b" not in done.err
    done = zendeskctl("backup", "--json")
    assert (done.code, done.document()["hint"]) == (1, "Make room.")


def test_a_backup_that_takes_longer_goes_on(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    asked_for_a_backup(scripted, going_on())
    done = zendeskctl("backup", "--timeout", "1s")
    assert done.code == 8
    assert "the backup goes on" in done.err


@pytest.mark.parametrize("known", [None, mockup.backups(), mockup.backups(mockup.backup("/other.db"))])
def test_a_backup_cut_off_by_a_restart_has_failed(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, known: wire.BackupStatus | None
) -> None:
    asked_for_a_backup(scripted, known)
    done = zendeskctl("backup")
    assert done.code == 1
    assert "the daemon went away before it had ended" in done.err


def test_monitoring_and_version_tell_of_a_backup_that_failed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    failed = mockup.backup("/b/2.db", trouble="disk | full.", finished_at=mockup.ago(minutes=5))
    told(scripted, [mockup.status()], backup=mockup.backups(failed, mockup.backup()))
    done = zendeskctl("health")
    assert done.code == 1
    assert done.out.startswith("ZENDESKD WARNING - the last backup failed: disk / full. | ")
    out = zendeskctl("version").out
    assert "  backup    FAILED 14:19:46 UTC: disk | full. last good 08:24:46 UTC; next " in out
    told(scripted, [mockup.status()], backup=None)
    assert zendeskctl("health").code == 0
    assert "  backup " not in zendeskctl("version").out
