"""`reload` and `version`: the daemon itself."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from zendeskd import __version__, present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.verbs.base import Call, Verb, nothing
from zendeskd.verbs.documents import VersionDocument, error_body
from zendeskd.verbs.exits import Exit, exit_of


def _reload(call: Call) -> Exit:
    reply = call.daemon.reload()
    if call.terminal.json:
        call.terminal.document(reply)
        return Exit.OK
    for change in reply.changes:
        text = f"{change.key}: {change.old} -> {change.new}"
        call.terminal.line(present.clean(text if change.applied else f"{text} (at the next start)"))
    if not reply.changes:
        call.terminal.line("reloaded, nothing changed")
    return Exit.OK


def _version(call: Call) -> Exit:
    try:
        daemon, trouble = call.daemon.status(), None
    except ZendeskdError as error:
        daemon, trouble = None, error
    if call.terminal.json:
        call.terminal.document(
            VersionDocument(
                client=__version__,
                api_version=wire.API_VERSION,
                daemon=daemon,
                error=None if trouble is None else error_body(trouble),
            )
        )
    else:
        call.terminal.line(f"zendeskctl {__version__} (API {wire.API_VERSION})")
        if daemon is not None:
            call.terminal.lines(described(daemon, call.now()))
    if trouble is None:
        return Exit.OK
    if not call.terminal.json:
        call.terminal.complain(f"no daemon: {present.clean(trouble.detail)}\n  {present.clean(trouble.hint)}".rstrip())
    code = exit_of(trouble)
    return Exit.OK if code is Exit.UNREACHABLE else code


def described(daemon: wire.DaemonStatus, now: datetime) -> list[str]:
    """The running daemon in a few lines."""
    clean, database = present.clean, daemon.database
    trouble = f", {clean(database.trouble)}" if database.trouble else ""
    return [
        f"zendeskd {clean(daemon.version)} (API {daemon.api_version}), pid {daemon.pid}, "
        f"up {present.span(daemon.uptime_s)}",
        f"  workers   {daemon.workers_busy} of {daemon.workers} busy, {daemon.queue_length} queued",
        f"  fleet     {present.plural(daemon.organizations, 'organisation')}, "
        f"{present.plural(database.records, 'record')}",
        f"  database  {clean(database.path)}, {present.size(database.bytes)}{trouble}",
        *([f"  backup    {present.backups(daemon.backup, now)}"] if daemon.backup is not None else []),
        f"  settings  {clean(daemon.config_file) or 'no file'}, read {present.clock(daemon.config_loaded_at, now)}",
        f"  socket    {clean(daemon.socket)}, you are {clean(daemon.role)}",
        *([f"  access    {present.access(daemon.access)}"] if daemon.access is not None else []),
        f"  log       {clean(daemon.log_file)}",
    ]


VERBS: Final = (
    Verb(
        name="reload",
        summary="read the daemon's settings again and list what changed",
        usage="[COMMON]",
        examples=("zendeskctl reload", "zendeskctl reload --json | jq '.changes[].key'"),
        prepare=nothing,
        run=_reload,
        operations=("reload",),
        documents=(wire.ReloadResult,),
        description="Check the daemon's settings, apply them, list what changed. A bad file is refused as a whole.",
    ),
    Verb(
        name="version",
        summary="of this program and of the daemon, and how the daemon is set up",
        usage="[COMMON]",
        examples=("zendeskctl version", "zendeskctl version --json | jq -r .daemon.bootId"),
        prepare=nothing,
        run=_version,
        operations=("status",),
        documents=(VersionDocument,),
        description="Version of this program and of the daemon, and how the daemon is set up. 0 without a daemon too.",
    ),
)
