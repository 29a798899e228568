"""Settings: which value counts, where it comes from, and what is said when it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from zendeskd.config import Config, changes, load
from zendeskd.errors import ConfigError
from zendeskd.sync import parse_lookback


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "zendeskd.toml"
    file.write_text(text)
    return file


def loaded(file: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: object) -> Config:
    return load({"config": file, **overrides}, environ or {}, files=())


def problems(file: Path | None = None, environ: Mapping[str, str] | None = None, **overrides: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(file, environ, **overrides)
    return list(caught.value.problems)


def source(config: Config, key: str) -> str:
    return next(source for name, _, source in config.show() if name == key)


def test_nothing_given_is_a_whole_configuration() -> None:
    config = loaded()
    assert (config.workers, config.timezone, config.default_interval) == (8, "America/New_York", "*/15 * * * *")
    assert (config.lookback, config.reconcile_schedule) == ("7d", "10 3 * * *")
    assert config.retention_sync_logs == timedelta(days=90)
    assert config.retention_audit_log == timedelta(days=365)
    assert config.file is None
    assert config.database == f"sqlite:///{config.state_dir}/zendeskd.db"
    assert config.database_path == config.state_dir / "zendeskd.db"
    assert config.control_socket == config.runtime_dir / "control.sock"
    assert config.log_file == config.log_dir / "sync-service.log"


def test_command_line_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'state_dir = "/file"\nruntime_dir = "/file"\nlog_dir = "/file"\n')
    config = loaded(file, {"ZENDESKD_STATE_DIR": "/env", "ZENDESKD_RUNTIME_DIR": "/env"}, state_dir="/line")
    assert (config.state_dir, config.runtime_dir, config.log_dir) == (Path("/line"), Path("/env"), Path("/file"))
    assert source(config, "state_dir") == "command line"
    assert source(config, "runtime_dir") == "environment (ZENDESKD_RUNTIME_DIR)"
    assert source(config, "log_dir") == f"{file} line 3"
    assert source(config, "workers") == "default"


def test_a_folder_of_the_command_line_takes_along_what_lies_in_it(tmp_path: Path) -> None:
    environ = {"ZENDESKD_SOCKET": "/env/s", "ZENDESKD_DATABASE": "sqlite:////env/db"}
    config = loaded(environ=environ, runtime_dir="/line/run", state_dir="/line/state")
    assert config.control_socket == Path("/line/run/control.sock")
    assert config.database_path == Path("/line/state/zendeskd.db")
    assert source(config, "control.socket") == "default, in runtime_dir"
    assert loaded(environ=environ, state_dir="/line/state").control_socket == Path("/env/s")
    assert loaded(environ=environ, runtime_dir="/line/run", database="sqlite:////line/db").database_path == Path(
        "/line/db"
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ZENDESKD_STATE_DIR", "state_dir"),
        ("ZENDESKD_RUNTIME_DIR", "runtime_dir"),
        ("ZENDESKD_LOG_DIR", "log_dir"),
        ("ZENDESKD_SOCKET", "control_socket"),
    ],
)
def test_each_folder_can_come_from_the_environment(name: str, key: str) -> None:
    assert getattr(loaded(environ={name: "/srv/somewhere"}), key) == Path("/srv/somewhere")


def test_the_database_can_come_from_the_environment() -> None:
    assert loaded(environ={"ZENDESKD_DATABASE": "sqlite:////srv/a%20b.db"}).database_path == Path("/srv/a b.db")


def test_an_empty_variable_is_not_a_value() -> None:
    assert loaded(environ={"ZENDESKD_STATE_DIR": ""}).state_dir == loaded().state_dir


def test_the_file_can_be_named_in_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path, "workers = 3")
    config = load({}, {"ZENDESKD_CONFIG": str(file)})
    assert (config.workers, config.file) == (3, file)


def test_systemd_directories_are_the_defaults() -> None:
    config = loaded(environ={"STATE_DIRECTORY": "/s:/other", "RUNTIME_DIRECTORY": "/r", "LOGS_DIRECTORY": "/l"})
    assert (config.state_dir, config.runtime_dir, config.log_dir) == (Path("/s"), Path("/r"), Path("/l"))
    assert source(config, "state_dir") == "systemd ($STATE_DIRECTORY)"


def test_what_depends_on_a_folder_moves_with_it() -> None:
    config = loaded(state_dir="/data", runtime_dir="/sock")
    assert config.database == "sqlite:////data/zendeskd.db"
    assert config.control_socket == Path("/sock/control.sock")


def test_a_callers_relative_path_is_relative_to_where_he_is(tmp_path: Path) -> None:
    file = written(tmp_path, "workers = 3")
    config = load({"config": file.name, "state_dir": "state"}, {"ZENDESKD_LOG_DIR": "log"}, cwd=tmp_path)
    assert (config.workers, config.state_dir, config.log_dir) == (3, tmp_path / "state", tmp_path / "log")


def test_the_first_file_that_is_there_counts(tmp_path: Path) -> None:
    file = written(tmp_path, "workers = 3")
    config = load({}, {}, files=(tmp_path / "missing.toml", file))
    assert (config.workers, config.file) == (3, file)


def test_tables(tmp_path: Path) -> None:
    config = loaded(
        written(
            tmp_path,
            """
            retention.sync_logs = "12h"
            [reconcile]
            schedule = "off"
            [logging]
            level = "DEBUG"
            max_bytes = "1 MB"
            keep = 3
            [control]
            operators = "root"
            """,
        )
    )
    assert config.retention_sync_logs == timedelta(hours=12)
    assert config.reconcile_schedule is None
    assert (config.logging_level, config.logging_max_bytes, config.logging_keep) == ("debug", 2**20, 3)
    assert (config.control_operators, config.control_viewers) == ("root", None)


def test_every_problem_at_once_with_file_line_and_key(tmp_path: Path) -> None:
    file = written(tmp_path, 'workers = 0\ntimezone = "Mars/Olympus"\n\n[logging]\nlevel = "loud"\n')
    found = problems(file, {"ZENDESKD_DATABASE": "postgresql://db/x"}, log_dir="")
    assert [problem.split(": ")[0] for problem in found] == [
        "command line",
        "environment",
        f"{file} line 1",
        f"{file} line 2",
        f"{file} line 5",
    ]
    text = "\n".join(found)
    assert "ZENDESKD_DATABASE" in text
    assert "workers: 0 must be a whole number from 1 to 64" in text
    assert "'Mars/Olympus' is not known" in text
    assert 'logging.level: "loud" must be one of debug, info, warning, error' in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('workers = "8"', "without quotation marks"),
        ("workers = true", "from 1 to 64"),
        ("workers = 65", "from 1 to 64"),
        ("workers = 8.5", "from 1 to 64"),
        ('state_dir = "relative"', "must be an absolute path"),
        ('state_dir = "a\\u0000"', "must be an absolute path"),
        ('state_dir = "/a\\u0000"', "NUL"),
        ("state_dir = 5", "must be text"),
        ('default_interval = "*/15 * * *"', "has 4"),
        ('default_interval = "99 * * * *"', "minute: 99 is not valid"),
        ('reconcile.schedule = "never"', "has 1"),
        ('lookback = "7"', '"7d"'),
        ('lookback = "0d"', '"7d"'),
        ('lookback = "30m"', '"7d"'),
        ('retention.sync_logs = "0d"', "must be a span"),
        ('retention.sync_logs = "all"', "must be a span"),
        ('database = "mysql://x"', "not mysql"),
        ('database = "sqlite:///zendeskd.db"', "four slashes"),
        ('database = "sqlite:////"', "four slashes"),
        ('database = "zendeskd.db"', "not no scheme"),
        ('control.operators = "no-such-group-here"', "groupadd --system no-such-group-here"),
        (f'control.socket = "/{"x" * 107}"', "107 bytes"),
        ('logging.max_bytes = "10"', '"20 MB"'),
        ("logging.max_bytes = 10", '"64 KB"'),
        ("logging.keep = 0", "from 1 to 100"),
        ("workers = [1]", "a list must be"),
        ("workers = {a = 1}", "a table must be"),
    ],
)
def test_a_wrong_value_is_told_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems(written(tmp_path, text))
    assert said in problem
    assert "line 1" in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker = 3", "did you mean workers?"),
        ("max_bytes = 3", "did you mean logging.max_bytes?"),
        ("[retentions]\nsync_logs = '1d'", "there is no such table, did you mean [retention]?"),
        ("[retention]\nsynclogs = '1d'", "there is no such setting in [retention], did you mean sync_logs?"),
        ("[alerts]\nfailures = 3", "there is no such table"),
        ("[backup]\nkept = 3", "there is no such setting in [backup], did you mean keep?"),
        ("[metrics]\ntextfile = 'x'", "there is no such table"),
        ("organizations = []", "(there are: state_dir, runtime_dir, log_dir, database, workers"),
    ],
)
def test_an_unknown_key_is_refused_with_its_nearest_neighbour(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems(written(tmp_path, text))
    assert said in problem


def test_a_scalar_where_a_table_belongs(tmp_path: Path) -> None:
    (problem,) = problems(written(tmp_path, "logging = 3"))
    assert "logging: is a table: write [logging] and its settings below" in problem


def test_what_is_not_toml_says_where(tmp_path: Path) -> None:
    (problem,) = problems(written(tmp_path, "workers = 3\nstate_dir = /var/lib\n"))
    assert "this is not TOML" in problem
    assert "line 2" in problem


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "missing.toml")
    assert problem == f"{tmp_path}/missing.toml: cannot be read: No such file or directory"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "zendeskd.toml"
    file.write_bytes(b"workers = 3 # \xff")
    (problem,) = problems(file)
    assert "is not UTF-8 text, byte 14 is wrong" in problem


def test_a_default_file_that_may_not_be_read_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    file = written(tmp_path, "workers = 3")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        load({}, {}, files=(file,))


def test_the_command_line_says_which_flag(tmp_path: Path) -> None:
    (problem,) = problems(None, None, workers=99)
    assert problem.startswith("command line: --workers: 99 must be")


def test_show_is_toml_that_loads_again(tmp_path: Path) -> None:
    config = loaded(None, None, state_dir='/odd"name\\here', workers=3)
    text = "\n".join(f"{key} = {value}" for key, value, _ in config.show())
    assert loaded(written(tmp_path, text)) == Config(**{**_fields(config), "file": tmp_path / "zendeskd.toml"})


def test_changes_say_what_waits_for_the_next_start(tmp_path: Path) -> None:
    old = loaded(written(tmp_path, "workers = 3"))
    new = loaded(written(tmp_path, 'workers = 4\ntimezone = "UTC"\n[logging]\nlevel = "debug"'))
    assert [(c.key, c.old, c.new, c.live) for c in changes(old, new)] == [
        ("workers", "3", "4", False),
        ("timezone", '"America/New_York"', '"UTC"', True),
        ("logging.level", '"info"', '"debug"', True),
    ]
    assert changes(new, new) == []


@pytest.mark.parametrize("text", ["7d", "12h", "2w", "all"])
def test_a_run_understands_every_lookback_that_is_accepted(tmp_path: Path, text: str) -> None:
    parse_lookback(loaded(written(tmp_path, f'lookback = "{text}"')).lookback)


def _fields(config: Config) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
