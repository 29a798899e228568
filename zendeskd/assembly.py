"""The parts of a running daemon: put together, opened in order, closed in the reverse one."""

from __future__ import annotations

import grp
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Final

import structlog

from zendeskd import __version__, connectors, notify, wire
from zendeskd import config as settings
from zendeskd.api.app import build_app
from zendeskd.api.context import ConfigFacts, ControlContext, roles_by_group
from zendeskd.api.shapes import backup as backup_shape
from zendeskd.api.shapes import run_summary, sync_status
from zendeskd.backup import Backup, Backups, found, is_overdue
from zendeskd.config import Config
from zendeskd.control_socket import ControlServer, bind_control_socket
from zendeskd.cron import CronExpression
from zendeskd.db import Database
from zendeskd.errors import ConfigError, Conflict, NotFound, StorageError
from zendeskd.events import Broker
from zendeskd.fleet import Defaults
from zendeskd.housekeeping import Housekeeping
from zendeskd.jobs import Jobs
from zendeskd.models import IntegrationView, RunRow, State, utcnow
from zendeskd.secrets import StoredCredentials, open_vault
from zendeskd.store import Store

log = structlog.get_logger("zendeskd.assembly")

_MOVES_WITHIN_S: Final = 60.0
_WORKER_MOVES_WITHIN_S: Final = 300.0
"""A worker that reads or writes pages moves every few seconds; one call with all its retries may take minutes."""
_RENEWED_WITHIN_S: Final = 35.0
"""A token request takes 30 s at most; its answer must reach the database, for it ends what is stored there."""
_PRUNE_AT: Final = "40 4 * * *"
_CHORE_ENDS_WITHIN_S: Final = 5.0
_BACKUP_ENDS_WITHIN_S: Final = 10.0
"""It ends at its next step, unless the disk hangs."""


class Assembly:
    """`open` and `close`: the main thread. `reload`: any. `publish_log`: any, and before `open` too."""

    def __init__(self, config: Config, read_config: Callable[[], Config]) -> None:
        self._config, self._read_config = config, read_config
        self.set_level: Callable[[str], None] = lambda _: None  # the logs are opened after this, and take its events
        self._open = ExitStack()
        self._reloading = threading.Lock()
        self.broker = Broker(boot_id=secrets.token_hex(8), version=__version__)
        self.jobs: Jobs | None = None
        self._control: ControlServer | None = None
        self._context: ControlContext | None = None
        self._backups: Backups | None = None
        self._housekeeping = Housekeeping()

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Everything up and running. Raises ConfigError or StorageError; `close` then tidies what was opened."""
        config = self._config
        # first of all: it refuses a second daemon, and sets the process's umask for a moment
        bound = self._open.enter_context(
            bind_control_socket(
                config.control_socket,
                # viewers are not in the operators' group: then roles alone decide, and refuse everybody else
                mode=0o660 if config.control_viewers is None else 0o666,
                gid=_gid(config.control_operators),
            )
        )
        _refuse_to_begin_anew(config)
        database = Database(config.database, backup_dir=config.backup_dir, on_lost=self._save_what_is_lost)
        self._open.callback(database.close)
        database.open()
        store = Store(database)
        sealed = store.fleet.ciphertexts()
        # a key that was lost must not be replaced in silence: what was sealed with it could never be opened again
        vault = open_vault(config.state_dir, config.credentials_dir, create=not sealed)
        if (problem := vault.problem_with(sealed)) is not None:  # new credentials can be entered, so it goes on
            log.error("stored credentials cannot be opened", error=problem.detail, hint=problem.hint)
        jobs = Jobs(
            store,
            connectors.build(config.state_dir),
            lambda integration: StoredCredentials(store, vault, integration),
            workers=config.workers,
            on_change=self._publish_change,
            on_run=self._publish_run,
            on_removed=self._publish_removed,
        )
        for row in jobs.load():
            log.warning("run was cut off", org=row.organization_id, system=row.system_type, run=row.id)
        self._backups = Backups(
            database, config.backup_dir, keep=lambda: self._config.backup_keep, on_change=self._publish_backup
        )
        self._context = ControlContext(
            jobs=jobs,
            store=store,
            database=database,
            vault=vault,
            broker=self.broker,
            backups=self._backups,
            defaults=_defaults(config),
            facts=_facts(config),
            reload=self.reload,
            roles=roles_by_group(_gid(config.control_operators, os.getegid()), _gid(config.control_viewers)),
        )
        self._control = ControlServer(build_app(self._context), bound.socket, self.broker)
        self._control.start()
        self.jobs = jobs
        self._plan_housekeeping(config)
        self._housekeeping.start()
        jobs.start_threads()

    def close(self, drain_s: float) -> bool:
        """End runs at their next page, then everything else. -> whether all ended in time. May be called twice."""
        drained = self.jobs is None or self.jobs.shut_down(drain_s)
        drained = self._housekeeping.stop(_CHORE_ENDS_WITHIN_S) and drained
        if self._backups is not None and self._context is not None:
            self._context.database.look()  # a file that was deleted can be saved now, and never again
            drained = self._backups.stop(_BACKUP_ENDS_WITHIN_S, _ask_for_time) and drained
        if self._control is not None:
            drained = self._control.stop() and drained
        if self._context is not None and not self._context.vault.await_renewals(_RENEWED_WITHIN_S):
            log.error("a renewed credential was not stored, it may have to be entered again")
            drained = False
        self._open.close()
        return drained

    def reload(self) -> wire.ReloadResult:
        """Read the settings again and apply those that can be applied live. Raises ConfigError: the old ones stay.

        The main thread (SIGHUP) and the control socket's threads; one at a time.
        """
        with self._reloading:
            return self._reload()

    def _reload(self) -> wire.ReloadResult:
        assert self._context is not None
        old, new = self._config, self._read_config()
        changes = settings.changes(old, new)
        new = settings.applied(old, new)
        self._config = new
        self._context.defaults, self._context.facts = _defaults(new), _facts(new)
        self.set_level(new.logging_level)
        self._plan_housekeeping(new)
        for one in changes:
            log.info("setting changed", setting=one.key, old=one.old, new=one.new, applied=one.live)
        log.info("reloaded", changes=len(changes))
        return wire.ReloadResult(
            changes=[wire.ReloadChange(key=c.key, old=c.old, new=c.new, applied=c.live) for c in changes]
        )

    # --- how it is ------------------------------------------------------------------------------------------------

    def stuck(self) -> list[str]:
        """Threads that should have moved and did not; while there are any, the watchdog is not fed."""
        assert self.jobs is not None
        assert self._control is not None
        still = {**self.jobs.pulses(), "control": self._control.pulse_s()}
        return [
            name
            for name, idle_s in still.items()
            if idle_s > (_WORKER_MOVES_WITHIN_S if name.startswith("worker") else _MOVES_WITHIN_S)
        ]

    def mend(self) -> None:
        """Start the threads that died anew. The main thread, every few seconds."""
        assert self.jobs is not None
        assert self._control is not None
        died: list[str] = []
        try:
            died += self.jobs.mend()
            if self._control.mend():
                died.append("control")
        except (ConfigError, RuntimeError) as error:  # it is tried again
            log.error("a thread that died was not started anew", error=str(error))
        if died:
            log.critical("a thread died and was started anew", threads=died)

    def summary(self) -> str:
        """One line for `systemctl status`."""
        assert self.jobs is not None
        return f"{self.jobs.busy()} running, {self.jobs.queue_length()} queued"

    # --- events ---------------------------------------------------------------------------------------------------

    def publish_log(self, line: Mapping[str, Any]) -> None:
        self.broker.publish("log", log=line)

    def _publish_change(self, view: IntegrationView) -> None:
        self.broker.publish("integration", item=sync_status(view))

    def _publish_run(self, row: RunRow) -> None:
        self.broker.publish("run", run=run_summary(row))

    def _publish_removed(self, org: str, system: str) -> None:
        self.broker.publish("removed", organization_id=org, system_type=system)

    def _publish_backup(self, one: Backup) -> None:
        what = "begun" if one.finished_at is None else "made" if one.trouble is None else "failed"
        why = f": {one.trouble}" if one.trouble else ""
        self.broker.publish("daemon", message=f"backup {one.path.name} {what}{why}", backup=backup_shape(one))

    # --- housekeeping ---------------------------------------------------------------------------------------------

    def _plan_housekeeping(self, config: Config) -> None:
        assert self.jobs is not None
        assert self._context is not None
        clock, put = self.jobs.clock, self._housekeeping.put
        clock.put("look", CronExpression("* * * * *", "UTC"), lambda: put("look", self._look))
        clock.put("merge", CronExpression("* * * * *", "UTC"), lambda: put("merge", self._merge_search_index))
        clock.put("prune", CronExpression(_PRUNE_AT, config.timezone), lambda: put("prune", self._prune))
        if config.reconcile_schedule is None:
            clock.remove("reconcile")
        else:
            clock.put("reconcile", CronExpression(config.reconcile_schedule, config.timezone), self._reconcile_all)
        if config.backup_schedule is None:
            clock.remove("backup")
        else:
            cron = CronExpression(config.backup_schedule, config.timezone)
            clock.put("backup", cron, self._back_up, next_run=self._overdue_backup(cron))

    def _overdue_backup(self, cron: CronExpression) -> datetime | None:
        """Now, if one is overdue, as on a host that is off at night; else None."""
        assert self._context is not None
        assert self._backups is not None
        since = self._backups.newest_at()
        if since is None:
            since = min((one.created_at for one in self._context.store.fleet.organizations()), default=None)
        now = utcnow()
        return now if is_overdue(cron, since, now) else None

    def _back_up(self) -> None:
        assert self._backups is not None
        self._backups.begin_or_tell("schedule")

    def _save_what_is_lost(self, error: StorageError) -> None:
        """The database has no name any more and ends with the process; until then it can be read."""
        log.critical("the database is lost", error=error.detail, hint=error.hint)
        if self._backups is not None:
            self._backups.rescue("zendeskd")

    def _look(self) -> None:
        assert self._context is not None
        self._context.database.look()
        self._context.database.look_through(self._housekeeping.ending)

    def _merge_search_index(self) -> None:
        assert self._context is not None
        try:
            self._context.store.merging.go_on(self._housekeeping.ending)
        except StorageError as error:
            log.error("search index not merged", error=error.detail)

    def _prune(self) -> None:
        assert self._context is not None
        now = utcnow()
        try:
            gone = self._context.store.runs.prune(
                now - self._config.retention_sync_logs, now - self._config.retention_audit_log
            )
        except StorageError as error:
            log.error("old rows not removed", error=error.detail)
        else:
            log.info("old rows removed", rows=gone)

    def _reconcile_all(self) -> None:
        assert self.jobs is not None
        for view in self.jobs.views():
            one = view.integration
            if one.copy_from is None or not one.is_active or view.state is State.BLOCKED:
                continue
            try:
                self.jobs.reconcile(one.organization_id, one.system_type, "schedule")
            except (Conflict, NotFound, StorageError) as error:
                log.warning("not compared", org=one.organization_id, system=one.system_type, error=error.detail)


def _refuse_to_begin_anew(config: Config) -> None:
    """Raises ConfigError if there is no database though there was one: an empty one would look as if all was well."""
    backups = found(config.backup_dir)
    path = config.database_path
    if backups and not (path.exists() and path.stat().st_size):
        raise ConfigError(
            f"There is no database {path}, and there are backups of one; none was made.",
            hint=f"Put one back: zendeskd restore {backups[0].path}. Or, to begin with nothing, move the backups away.",
        )


def _ask_for_time(seconds: float) -> None:
    """Of systemd, which would kill what still ends after its time-out: sd_notify(3)."""
    notify.notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", "STATUS=saving a database that was deleted")


def _defaults(config: Config) -> Defaults:
    return Defaults(timezone=config.timezone, interval=config.default_interval, lookback=config.lookback)


def _facts(config: Config) -> ConfigFacts:
    return ConfigFacts(
        workers=config.workers,
        socket=config.control_socket,
        operators=config.control_operators,
        viewers=config.control_viewers,
        log_file=config.log_file,
        config_file=config.file,
        config_loaded_at=utcnow(),
        backup_schedule=config.backup_schedule,
        backup_keep=config.backup_keep,
    )


def _gid(group: str | None, otherwise: int | None = None) -> int | None:
    return otherwise if group is None else grp.getgrnam(group).gr_gid
