"""On a server with a real systemd: the key, the backups and the upgrade of docs/operate.md."""

from __future__ import annotations

import re

import pytest

from tests.systemd.server import Server
from tests.waiting import wait_for
from zendeskd import __version__

pytestmark = pytest.mark.e2e

KEY = "/var/lib/zendeskd/master.key"
BACKUPS = "/var/lib/zendeskd/backups"
NEWER = "9.9.9"
MIGRATION = """
def up(_migrator, database):
    database.execute_sql("CREATE TABLE of_a_newer_version (id INTEGER PRIMARY KEY)")
"""


@pytest.mark.timeout(900)  # the root file system may have to be fetched first
def test_kept_as_the_document_says(server: Server) -> None:
    server.paste("Install on a server", 1)
    server.simulate(tickets=100)
    server.add("acme", "account-1", "--interval", "0 0 1 1 *")
    read_all(server)
    the_key_is_another_one(server)
    the_key_is_handed_over_by_systemd(server)
    a_key_that_is_handed_over_is_another_one(server)
    the_key_is_bound_to_the_machine(server)
    a_backup_is_put_back(server)
    a_deleted_database_is_saved(server)
    upgraded_with_a_copy_of_the_database(server)
    the_older_version_is_refused(server)


def the_key_is_another_one(server: Server) -> None:
    before = server.sh(f"sha256sum <{KEY}").out
    said = server.paste("A new master key").out
    assert "sealed   1 credential with the new key" in said
    assert server.sh(f"sha256sum <{KEY}").out != before
    assert server.sh(f"cat {KEY}.* | sha256sum").out == before
    read_all(server)


def the_key_is_handed_over_by_systemd(server: Server) -> None:
    server.paste("The key outside of the state folder")
    server.sh(f"test ! -e {KEY}; systemctl restart zendeskd")
    assert server.sh("zendeskctl credentials check acme", user="ana").out.count("ok") == 1
    loaded = "/run/credentials/zendeskd.service/master.key"
    assert server.sh(f"cmp /etc/zendeskd/master.key {loaded}; stat --format=%a /etc/zendeskd/master.key").out == "600\n"
    assert "Permission denied" in server.sh(f"cat {loaded}", user="ana", codes=(1,)).err
    assert "failed" not in server.sh("zendeskd doctor").out
    server.sh("mv /etc/zendeskd/master.key /srv/")
    server.journal()
    server.sh("systemctl restart zendeskd", codes=(1,))
    assert server.journal().count("status=243/CREDENTIALS") == 1
    assert (server.show("ActiveState"), server.show("NRestarts")) == ("failed", "0")
    server.sh("mv /srv/master.key /etc/zendeskd/; systemctl start zendeskd")
    read_all(server)


def a_key_that_is_handed_over_is_another_one(server: Server) -> None:
    before = server.sh("sha256sum </etc/zendeskd/master.key").out
    assert "sealed   1 credential with the new key" in server.paste("A new master key", 1).out
    assert server.sh("sha256sum </etc/zendeskd/master.key").out != before
    read_all(server)


def the_key_is_bound_to_the_machine(server: Server) -> None:
    server.sh("""
        cd /etc/zendeskd
        systemd-creds encrypt --with-key=host --name=master.key master.key master.cred
        rm master.key
        cd /etc/systemd/system/zendeskd.service.d
        sed --in-place 's,^LoadCredential=.*,LoadCredentialEncrypted=master.key:/etc/zendeskd/master.cred,' key.conf
        systemctl daemon-reload
        systemctl restart zendeskd
    """)
    assert "failed" not in server.sh("zendeskd doctor").out
    read_all(server)


def a_backup_is_put_back(server: Server) -> None:
    path = re.search(rf"{BACKUPS}/zendeskd-\w+\.db", server.paste("Backup and restore").out)
    assert path is not None
    kept = server.stored("acme")
    server.steer("account-1", "change", which=[3, 4])
    server.steer("account-1", "add", count=2)
    read_all(server)
    said = server.paste(
        "Backup and restore", 2, instead={f"{BACKUPS}/zendeskd-20261123T080000Z.db": f"{path[0]} --yes"}
    ).out
    assert "kept     the database before: /var/lib/zendeskd/zendeskd.db.before-restore-" in said
    assert server.stored("acme") == kept
    read_all(server)


def a_deleted_database_is_saved(server: Server) -> None:
    kept, known = server.stored("acme"), server.sh(f"ls {BACKUPS}").out.split()
    server.sh("rm /var/lib/zendeskd/zendeskd.db /var/lib/zendeskd/zendeskd.db-*")
    server.sh("zendeskctl trigger acme", user="ana", codes=(0, 1))

    def saved() -> list[str]:
        return [name for name in server.sh(f"ls {BACKUPS}").out.split() if name not in known]

    (name,) = wait_for(saved, "what the deleted file holds to be saved", 90)
    at_the_end = {f"{BACKUPS}/zendeskd-TIME.db": f"{BACKUPS}/{name} --yes"}
    server.paste("When something is wrong", instead=at_the_end)
    assert server.stored("acme") == kept
    read_all(server)


def upgraded_with_a_copy_of_the_database(server: Server) -> None:
    source = server.path("/srv/upstream/zendeskd/__init__.py")
    source.write_text(source.read_text().replace(f'"{__version__}"', f'"{NEWER}"'))
    server.path("/srv/upstream/zendeskd/migrations/0002_newer.py").write_text(MIGRATION)
    server.publish("a newer version")
    assert NEWER in server.paste("Upgrade").out
    assert server.ctl("version")["daemon"]["version"] == NEWER
    copy = server.sh(f"ls {BACKUPS}").out.split()
    assert "zendeskd-before-0002_newer.db" in copy
    read_all(server)


def the_older_version_is_refused(server: Server) -> None:
    server.sh("cd zendeskd; git checkout --quiet HEAD~1; /opt/zendeskd/bin/pip install --constraint constraints.txt .")
    server.journal()
    server.sh("systemctl restart zendeskd", codes=(1,))
    assert server.journal().count("was written by a newer zendeskd") == 1
    assert (server.show("ActiveState"), server.show("ExecMainStatus")) == ("failed", "2")
    copy = f"{BACKUPS}/zendeskd-before-0002_newer.db"
    server.paste("Backup and restore", 2, instead={f"{BACKUPS}/zendeskd-20261123T080000Z.db": f"{copy} --yes"})
    assert server.ctl("version")["daemon"]["version"] == __version__
    read_all(server)


def read_all(server: Server) -> None:
    """The copy is the account's, once it was read."""
    server.sh("zendeskctl trigger acme --wait", user="ana")
    assert server.stored("acme") == server.truth("account-1")
