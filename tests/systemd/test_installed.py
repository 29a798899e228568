"""On a server with a real systemd, put there as docs/operate.md says: who gets in, and how far."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.systemd import break_in
from tests.systemd.server import COMMANDS, SOCKET, Server
from zendeskd import __version__

pytestmark = pytest.mark.e2e

NOT_PASTED = {
    ("Backup and restore", 1): "a line for cron, which copies to another host",
    ("Without systemd", 0): "tests/e2e/test_life.py",
}


@pytest.mark.timeout(900)  # the root file system may have to be fetched first
def test_installed_as_the_document_says(server: Server) -> None:
    ready_when_systemctl_returned(server)
    for_its_group_alone(server)
    files_closed_to_others(server)
    without_any_rights(server)
    the_journal_is_there(server)
    the_doctor_is_content(server)
    systemd_is_content_with_the_unit(server)
    who_breaks_in_gets_nowhere(server)
    another_group_for_the_operators(server)
    a_wrong_configuration_is_said_once(server)
    settings_that_the_daemon_cannot_read_are_named(server)
    a_folder_elsewhere_is_opened_to_the_unit(server)


def ready_when_systemctl_returned(server: Server) -> None:
    assert (server.show("ActiveState"), server.show("SubState")) == ("active", "running")
    assert server.show("StatusText") == "0 running, 0 queued"
    assert server.sh("zendeskctl health").out.startswith("ZENDESKD OK - no organisations")
    assert server.sh("systemctl is-enabled zendeskd").out == "enabled\n"


def for_its_group_alone(server: Server) -> None:
    refused = f"zendeskctl: you may not talk to {SOCKET}\n  join the group zendeskd, which owns it, and log in again\n"
    assert server.sh("zendeskctl", user="ana", codes=(4,)).err == refused
    server.paste("Install on a server", 1)
    assert server.sh("zendeskctl", user="ana").err.startswith("No organisations yet.")
    assert server.sh("zendeskctl", user="bob", codes=(4,)).err == refused


def files_closed_to_others(server: Server) -> None:
    found = server.sh("find /run/zendeskd /var/lib/zendeskd /var/log/zendeskd /etc/zendeskd -printf '%p %u:%g %m\\n'")
    assert dict(line.split(" ", 1) for line in found.out.splitlines()) == {
        "/run/zendeskd": "zendeskd:zendeskd 755",
        "/run/zendeskd/control.sock": "zendeskd:zendeskd 660",
        "/run/zendeskd/control.sock.lock": "zendeskd:zendeskd 600",
        "/var/lib/zendeskd": "zendeskd:zendeskd 750",
        "/var/lib/zendeskd/master.key": "zendeskd:zendeskd 600",
        "/var/lib/zendeskd/zendeskd.db": "zendeskd:zendeskd 640",
        "/var/lib/zendeskd/zendeskd.db-shm": "zendeskd:zendeskd 640",
        "/var/lib/zendeskd/zendeskd.db-wal": "zendeskd:zendeskd 640",
        "/var/lib/zendeskd/zendeskd.lock": "zendeskd:zendeskd 600",
        "/var/log/zendeskd": "zendeskd:zendeskd 750",
        "/var/log/zendeskd/sync-service.log": "zendeskd:zendeskd 640",
        "/etc/zendeskd": "root:root 755",
    }


def without_any_rights(server: Server) -> None:
    status = dict(re.findall(r"^(\w+):\s+(.*)$", server.sh(f"cat /proc/{server.pid()}/status").out, re.MULTILINE))
    user = server.sh("id --user zendeskd").out.strip()
    assert status["Uid"].split() == [user] * 4
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def the_journal_is_there(server: Server) -> None:
    said = server.journal()
    assert f"ready version={__version__} pid={server.pid()} socket={SOCKET}\n" in said
    assert "Started zendeskd.service - Zendesk ticket sync daemon." in said
    read = "journalctl --unit=zendeskd --quiet --output=cat --no-pager"
    assert "ready" not in server.sh(read, user="bob", codes=(0, 1)).out
    server.sh("usermod --append --groups systemd-journal bob")
    assert "ready" in server.sh(read, user="bob").out


def the_doctor_is_content(server: Server) -> None:
    *findings, summary = server.paste("Install on a server", 2).out.splitlines()
    assert [line for line in findings if not line.startswith("ok ")] == []
    assert summary == f"{len(findings)} ok"


def systemd_is_content_with_the_unit(server: Server) -> None:
    done = server.sh("systemd-analyze verify --man=no zendeskd.service")
    assert (done.out, done.err) == ("", "")
    judged = server.sh("systemd-analyze security --no-pager zendeskd").out
    exposure = re.search(r"exposure level for zendeskd.service: ([\d.]+)", judged)
    assert exposure is not None
    assert float(exposure[1]) <= 1.5, judged


def who_breaks_in_gets_nowhere(server: Server) -> None:
    """Each attempt succeeds outside of the unit, or it would prove nothing. Inside it is made by root too: then it is
    the unit that forbids it, and not who owns a file."""
    server.path("/srv/break_in.py").write_text(Path(break_in.__file__).read_text())
    server.sh("touch /tmp/of-somebody-else")
    outside = server.sh("python3 /srv/break_in.py").document()
    assert {what: how for what, how in outside.items() if how != "done"} == {}
    server.drop_in("ExecStartPre=/usr/bin/python3 /srv/break_in.py\nExecStartPre=!/usr/bin/python3 /srv/break_in.py")
    server.journal()
    server.sh("systemctl restart zendeskd")
    inside, by_root = (json.loads(line) for line in server.journal().splitlines() if line.startswith("{"))
    assert [what for what, how in inside.items() if how == "done"] == []
    assert [what for what, how in by_root.items() if how == "done"] == ["change the settings", "see other processes"]
    server.drop_in(None)


def another_group_for_the_operators(server: Server) -> None:
    server.sh("groupadd zendesk-ops; usermod --append --groups zendesk-ops bob")
    server.configure('[control]\noperators = "zendesk-ops"')
    server.paste("Who may do what")
    assert server.sh(f"stat --format='%G %a' {SOCKET}").out == "zendesk-ops 660\n"
    assert server.ctl("version", user="bob")["daemon"]["role"] == "operator"
    refused = server.sh("zendeskctl", user="ana", codes=(4,)).err
    assert "join the group zendesk-ops" in refused


def a_wrong_configuration_is_said_once(server: Server) -> None:
    wrong = "zendeskd: /etc/zendeskd/zendeskd.toml line 1: workers: 0 must be a whole number from 1 to 64"
    server.configure("workers = 0")
    assert refused(server).count(wrong + "\n") == 1
    assert server.sh("zendeskd check", codes=(2,)).err.startswith(wrong + "\n")
    server.configure('[control]\noperators = "root"')  # of which the daemon's user is no member
    said = [line for line in refused(server).splitlines() if "control socket" in line]
    assert len(said) == 1
    assert "Operation not permitted" in said[0]
    assert "SupplementaryGroups=" in said[0]


def settings_that_the_daemon_cannot_read_are_named(server: Server) -> None:
    """Root, who looks for the cause, can read them."""
    server.configure("workers = 4")
    server.sh("chmod 600 /etc/zendeskd/zendeskd.toml")
    assert "/etc/zendeskd/zendeskd.toml: cannot be read: Permission denied\n" in refused(server)
    why = "/etc/zendeskd/zendeskd.toml: cannot be read by zendeskd, the daemon's user"
    assert server.sh("zendeskd check", codes=(2,)).err.startswith(f"zendeskd: {why}\nchmod 644 ")
    assert f"failed   configuration  {why}\n" in server.sh("zendeskd doctor", codes=(1,)).out
    server.sh("chmod 644 /etc/zendeskd/zendeskd.toml; systemctl start zendeskd; zendeskd check")


def a_folder_elsewhere_is_opened_to_the_unit(server: Server) -> None:
    server.configure('state_dir = "/srv/zendeskd"')
    server.journal()
    server.sh("systemctl restart zendeskd", codes=(1,))
    said = server.journal()
    assert "cannot make /srv/zendeskd: Read-only file system\n" in said
    assert "[Service] ReadWritePaths=/srv/zendeskd\n" in said
    assert (
        server.show("SubState") == "auto-restart"
    )  # a disk that comes back, or a mount that comes late, looks the same
    server.paste("Where things are", 0)
    assert server.ctl("version")["daemon"]["database"]["path"] == "/srv/zendeskd/zendeskd.db"


def refused(server: Server) -> str:
    """Try to start it: it fails, and is not tried again. -> what the journal says."""
    server.sh("systemctl stop zendeskd")
    server.journal()
    server.sh("systemctl start zendeskd", codes=(1,))
    assert [server.show(name) for name in ("ActiveState", "Result", "ExecMainStatus", "NRestarts")] == [
        "failed", "exit-code", "2", "0",
    ]  # fmt: skip
    return server.journal()


def test_every_command_of_the_document_is_tried() -> None:
    tests = "".join(file.read_text() for file in sorted(Path(__file__).parent.glob("*.py")))
    pasted = {(title, int(number or 0)) for title, number in re.findall(r'\.paste\(\s*"(.*?)"(?:, (\d+))?', tests)}
    assert pasted | NOT_PASTED.keys() == COMMANDS.keys()
    assert not pasted & NOT_PASTED.keys()
