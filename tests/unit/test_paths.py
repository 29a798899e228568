"""Where things are, by who asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zendeskd import paths


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A plain user on a host where no daemon was installed."""
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(paths, "SYSTEM_STATE", tmp_path / "no-state")
    monkeypatch.setattr(paths, "SYSTEM_RUNTIME", tmp_path / "no-runtime")


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
def test_root_has_the_systems_folders() -> None:
    state = paths.state_dir({})
    assert state.path == Path("/var/lib/zendeskd")
    assert paths.runtime_dir({}, state.path).path == Path("/run/zendeskd")
    assert paths.log_dir({}, state.path).path == Path("/var/log/zendeskd")


@pytest.mark.usefixtures("as_user")
def test_a_user_has_his_own() -> None:
    environ = {"HOME": "/home/ana"}
    state = paths.state_dir(environ)
    assert state.path == Path("/home/ana/.local/state/zendeskd")
    assert paths.log_dir(environ, state.path).path == state.path / "log"
    assert paths.runtime_dir(environ, state.path).path == state.path
    assert paths.runtime_dir({"XDG_RUNTIME_DIR": "/run/user/7"}, state.path).path == Path("/run/user/7/zendeskd")
    assert paths.state_dir({"HOME": "/home/ana", "XDG_STATE_HOME": "/data"}).path == Path("/data/zendeskd")


@pytest.mark.usefixtures("as_user")
def test_a_relative_base_directory_counts_as_unset() -> None:
    assert paths.state_dir({"HOME": "/home/ana", "XDG_STATE_HOME": "data"}).path.is_relative_to("/home/ana")


@pytest.mark.usefixtures("as_user")
def test_the_owner_of_the_systems_state_acts_for_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 1234, -1)
    monkeypatch.setattr(paths, "SYSTEM_STATE", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid)
    assert paths.state_dir({"HOME": "/home/ana"}).path == tmp_path
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert paths.state_dir({"HOME": "/home/ana"}).path == Path("/home/ana/.local/state/zendeskd")


@pytest.mark.usefixtures("as_user")
def test_systemds_directories_come_first() -> None:
    environ = {"STATE_DIRECTORY": "/s", "RUNTIME_DIRECTORY": "/r", "LOGS_DIRECTORY": "/l", "HOME": "/h"}
    assert paths.state_dir(environ) == (Path("/s"), "systemd ($STATE_DIRECTORY)")
    assert paths.runtime_dir(environ, Path("/s")).path == Path("/r")
    assert paths.log_dir(environ, Path("/s")).path == Path("/l")


def test_configuration_files_in_order() -> None:
    environ = {"CONFIGURATION_DIRECTORY": "/etc/unit", "XDG_CONFIG_HOME": "/home/ana/conf"}
    assert paths.config_files(environ) == (
        Path("/etc/unit/zendeskd.toml"),
        Path("/etc/zendeskd/zendeskd.toml"),
        Path("/home/ana/conf/zendeskd/zendeskd.toml"),
    )


def test_credentials_folder() -> None:
    assert paths.credentials_dir({"CREDENTIALS_DIRECTORY": "/run/credentials/x"}) == Path("/run/credentials/x")
    assert paths.credentials_dir({}) is None


def test_a_folder_has_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        (tmp_path / "own").mkdir()
        paths.make_folder(tmp_path / "own" / "far" / "run", 0o755)
        paths.make_folder(tmp_path / "own", 0o755)  # it is there: whoever made it decides
    finally:
        os.umask(before)
    modes = [f"{(tmp_path / name).stat().st_mode & 0o777:o}" for name in ("own/far/run", "own/far", "own")]
    assert modes == ["755", "755", "700"]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        paths.make_folder(tmp_path / "file", 0o755)


@pytest.mark.usefixtures("as_user")
def test_a_client_tries_what_was_named() -> None:
    assert paths.default_socket({"ZENDESKD_SOCKET": "/a/b.sock"}) == Path("/a/b.sock")
    assert paths.default_socket({"ZENDESKD_RUNTIME_DIR": "/r"}) == Path("/r/control.sock")


@pytest.mark.usefixtures("as_user")
def test_a_client_prefers_its_users_own_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    monkeypatch.setattr(paths, "SYSTEM_RUNTIME", system)
    environ = {"HOME": "/home/ana", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert paths.default_socket(environ) == system / "control.sock"
    own = tmp_path / "zendeskd"
    own.mkdir()
    (own / "control.sock").touch()
    assert paths.default_socket(environ) == own / "control.sock"


@pytest.mark.usefixtures("as_user")
def test_a_client_where_nothing_is_installed_names_its_users_own() -> None:
    assert paths.default_socket({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7/zendeskd/control.sock")
    assert paths.default_socket({"ZENDESKD_STATE_DIR": "/mine"}) == Path("/mine/control.sock")


@pytest.mark.usefixtures("as_user")
def test_an_installed_daemon_that_is_stopped_is_still_the_one_to_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "SYSTEM_STATE", tmp_path)
    monkeypatch.setattr(paths, "is_system_wide", lambda: False)
    assert paths.default_socket({"XDG_RUNTIME_DIR": "/run/user/7"}) == paths.SYSTEM_RUNTIME / "control.sock"
