"""On a server with a real systemd: what it does with the daemon, and what becomes of the runs that are going on."""

from __future__ import annotations

import json

import pytest

from tests.systemd.server import SIMULATOR, SOCKET, Server
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

SLOW = {"kind": "slow", "on": "export", "times": None, "delay_s": 1, "chunk": 65536}
HANGS = {"kind": "hang", "on": "export", "times": None, "seconds": 600}
PAGE = 1000


@pytest.mark.timeout(900)  # the root file system may have to be fetched first; systemd waits a minute for the watchdog
def test_supervised(server: Server) -> None:
    server.paste("Install on a server", 1)
    server.simulate(tickets=6 * PAGE)
    the_first_organisation(server)
    what_goes_on_can_be_read(server)
    server.steer("account-2", "faults", **SLOW)
    server.add("globex", "account-2", "--interval", "0 0 1 1 *")
    stops_at_a_page(server)
    reloads_under_a_run(server)
    killed_it_goes_on(server)
    frozen_it_is_started_again(server)
    stops_though_the_account_hangs(server)


def the_first_organisation(server: Server) -> None:
    account = f"--base-url {SIMULATOR}/accounts/account-1 --lookback all"
    given = '{"kind": "oauth_client_credentials", "clientId": "zendeskd", "clientSecret": "..."}'
    said = server.paste(
        "The first organisation",
        instead={
            "--subdomain acme": account,
            given: server.credentials["account-1"],
            "zendeskctl watch acme": "zendeskctl wait acme",
        },
    ).out
    assert "acme       zendesk  ✓ ok" in said
    run = server.ended(server.newest("acme")["id"])
    assert (run["status"], run["recordsCreated"], run["endReason"]) == ("success", 6 * PAGE, "end_of_stream")
    assert server.stored("acme") == server.truth("account-1")


def what_goes_on_can_be_read(server: Server) -> None:
    """By the group, and by nobody else."""
    server.steer("account-1", "faults", kind="forbidden", on="export")
    server.sh("zendeskctl trigger acme --wait", user="ana", codes=(1,))
    failed = server.paste("Where things are", 1).out
    assert json.loads(failed.splitlines()[-1])["org"] == "acme"
    server.sh("zendeskctl start acme", user="ana")
    count = "sqlite3 -readonly /var/lib/zendeskd/zendeskd.db 'SELECT count(*) FROM flow_records'"
    assert int(server.sh(count, user="ana").out) == 6 * PAGE
    assert "unable to open database" in server.sh(count, user="bob", codes=(1,)).err
    for secret in ("/var/lib/zendeskd/master.key", SOCKET + ".lock"):
        assert "Permission denied" in server.sh(f"cat {secret}", user="ana", codes=(1,)).err
    assert "Permission denied" in server.sh("cat /var/log/zendeskd/sync-service.log", user="bob", codes=(1,)).err


def stops_at_a_page(server: Server) -> None:
    run, pid = under_way(server), server.pid()
    server.journal()
    server.paste("Stop, reload, start again", only="systemctl stop")
    it_ended_well(server)
    server.sh("systemctl start zendeskd")
    cut = server.ctl("run", str(run))
    assert (cut["status"], cut["endReason"]) == ("interrupted", "shutdown")
    assert server.newest("globex")["trigger"] == "catchup"
    assert server.pid() != pid


def reloads_under_a_run(server: Server) -> None:
    run, pid = under_way(server), server.pid()
    server.configure('default_interval = "*/20 * * * *"')
    server.paste("Stop, reload, start again", only="systemctl reload")
    server.journal_says("setting changed setting=default_interval")
    server.configure("workers = 0")
    server.paste("Stop, reload, start again", only="systemctl reload")
    server.journal_says("reload refused, the old settings stay")
    assert "workers: 0 must be a whole number" in server.sh("zendeskctl reload", user="ana", codes=(2,)).err
    assert (server.show("ActiveState"), server.pid()) == ("active", pid)
    assert server.add("initech", "account-1", "--inactive")["integrations"][0]["interval"] == "*/20 * * * *"
    server.configure("")
    assert server.newest("globex")["id"] == run
    whole_at_the_end_of(server, run)


def killed_it_goes_on(server: Server) -> None:
    run, pid = read_again(server), server.pid()
    server.journal()
    server.sh(f"kill -KILL {pid}")
    server.journal_says("Main process exited, code=killed, status=9/KILL")
    assert "there is no socket" in server.sh("zendeskctl", user="ana", codes=(3,)).err
    assert server.came_back(pid) == 1
    gone_on(server, run)


def frozen_it_is_started_again(server: Server) -> None:
    run, pid = read_again(server), server.pid()
    server.journal()
    server.sh(f"kill -STOP {pid}")
    said = server.sh("zendeskctl --timeout 2s", user="ana", codes=(3,)).err
    assert said.startswith(f"zendeskctl: the daemon (pid {pid}) is there but does not answer on {SOCKET}")
    server.journal_says("Watchdog timeout (limit 1min)!", timeout_s=90)
    assert server.came_back(pid, timeout_s=60) == 2
    gone_on(server, run)


def stops_though_the_account_hangs(server: Server) -> None:
    server.steer("account-2", "clear-faults")
    server.steer("account-2", "faults", **HANGS)
    run = server.ctl("trigger", "globex")["runId"]
    wait_for(lambda: server.ctl("run", str(run))["status"] == "running", "the run to begin")
    server.journal()
    server.paste("Stop, reload, start again", only="systemctl restart", timeout_s=70)
    it_ended_well(server)
    server.steer("account-2", "clear-faults")
    gone_on(server, run)


def under_way(server: Server) -> int:
    """The run of globex that is going on and has stored something. Wait for it."""

    def found() -> int | None:
        run = server.newest("globex")
        return run["id"] if run["status"] == "running" and run["pages"] else None

    return wait_for(found, "a page of globex") or 0


def read_again(server: Server) -> int:
    server.ctl("resync", "globex", "--full", "--yes")
    return under_way(server)


def it_ended_well(server: Server) -> None:
    """The last stop, which has to be the last thing in the journal: drained, nobody killed."""
    said = server.journal()
    assert "stopped drained=true" in said
    assert "zendeskd.service: Deactivated successfully." in said
    for word in ("SIGKILL", "SIGABRT", "timed out", "Failed with result"):
        assert word not in said


def gone_on(server: Server, run: int) -> None:
    """The run shows that it was cut off, and the next one read the rest."""
    assert server.ctl("run", str(run))["status"] == "interrupted"
    whole_at_the_end_of(server, server.newest("globex")["id"])


def whole_at_the_end_of(server: Server, run: int) -> None:
    ended = server.ended(run)
    assert (ended["status"], ended["trigger"]) == ("success", "catchup")
    assert server.stored("globex") == server.truth("account-2")
