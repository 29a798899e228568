"""Where a control socket is, from what the command line says."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from zendeskd.address import Address, address_of, host_argument, socket_argument
from zendeskd.errors import ConfigError

SYSTEM = Path("/run/zendeskd/control.sock")


@pytest.mark.parametrize(
    ("host", "machine"),
    [
        ("db1", "db1"),
        ("ana@db1.example.org", "db1.example.org"),
        (r"CORP\ana@db1", "db1"),
        ("ssh://ana@db1:2222", "db1:2222"),
        ("ssh://[::1]:22", "[::1]:22"),
        ("2001:db8::1", "2001:db8::1"),
        ("höst", "höst"),
    ],
)
def test_hosts_as_ssh_takes_them(host: str, machine: str) -> None:
    assert Address(SYSTEM, host_argument(host)).machine == machine


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("", "empty"),
        ("ana@", "empty"),
        ("ssh://", "empty"),
        ("-oProxyCommand=touch x", "dash"),
        ("ssh://-oProxyCommand=x", "dash"),
        ("ana@-oProxyCommand=x", "dash"),
        ("-l@db1", "dash"),
        ("db1;id", "no host"),
        ("db1 id", "no host"),
        ("$(id)", "no host"),
        ("`id`@db1", "no host"),
        ("db$HOME", "no host"),
        ("db1\n", "no host"),
        ("db\x1b[2J", "no host"),
        ("a\\b", "no host"),
    ],
)
def test_what_is_no_host_is_refused(host: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        host_argument(host)


def test_an_empty_socket_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="the path is empty"):
        socket_argument("")
    assert socket_argument("x") == Path("x")


def test_the_environment_speaks_of_this_machine_alone() -> None:
    environ = {"ZENDESKD_SOCKET": "/here/s", "ZENDESKD_RUNTIME_DIR": "/here"}
    assert address_of(None, None, environ) == Address(Path("/here/s"), is_named=True)
    assert address_of("db1", None, environ) == Address(SYSTEM, "db1")
    assert address_of("db1", Path("/there/s"), environ) == Address(Path("/there/s"), "db1", is_named=True)
    assert address_of(None, Path("s"), environ) == Address(Path("s"), is_named=True)


@pytest.mark.parametrize("path", ["rel/s", "/run/%h/s", "/run/${HOME}/s", "/run/\ns", "/" + "x" * 107])
def test_paths_that_would_be_others_on_the_host(path: str) -> None:
    with pytest.raises(ConfigError):
        address_of("db1", Path(path), {})


def test_words() -> None:
    here, there = Address(SYSTEM), Address(SYSTEM, "ana@db1")
    assert (str(here), str(there)) == (str(SYSTEM), f"ana@db1:{SYSTEM}")
    assert here.command("systemctl status zendeskd") == "systemctl status zendeskd"
    assert there.command("systemctl status zendeskd") == "ssh ana@db1 systemctl status zendeskd"
    assert Address(SYSTEM, r"CORP\ana@db1").command("id") == r"ssh 'CORP\ana@db1' id"


@pytest.mark.parametrize(
    ("host", "socket", "environ", "begins"),
    [
        (None, None, {}, "zendeskctl"),
        ("ana@db1", None, {}, "zendeskctl --ssh ana@db1"),
        ("db1", SYSTEM, {}, "zendeskctl --ssh db1"),
        (r"CORP\ana@db1", Path("/srv/z/s"), {}, r"zendeskctl --ssh 'CORP\ana@db1' --socket /srv/z/s"),
        (None, Path("/srv/my z/s"), {}, "zendeskctl --socket '/srv/my z/s'"),
        (None, None, {"ZENDESKD_SOCKET": "/srv/s"}, "zendeskctl --socket /srv/s"),
        (None, None, {"ZENDESKD_RUNTIME_DIR": "/srv"}, "zendeskctl --socket /srv/control.sock"),
    ],
)
def test_how_a_command_for_the_same_daemon_begins(
    host: str | None, socket: Path | None, environ: dict[str, str], begins: str
) -> None:
    """Also where the variable was set for this one program."""
    assert address_of(host, socket, environ).zendeskctl == begins


def test_the_usual_socket_has_not_to_be_named(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    usual = address_of(None, None, environ)
    assert address_of(None, usual.socket, environ).zendeskctl == "zendeskctl"
