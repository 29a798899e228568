"""`backup`: a copy of the daemon's database, made while it is in use."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Final

from zendeskd import present, wire
from zendeskd.verbs.base import Call, Verb, duration
from zendeskd.verbs.documents import BackupDocument
from zendeskd.verbs.exits import Exit
from zendeskd.verbs.follow import WAIT_S, Deadline, looks


def _prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="how long to wait for its end (default 10m)")


def _backup(call: Call) -> Exit:
    terminal = call.terminal
    deadline = Deadline(call, call.options.timeout or WAIT_S, meanwhile="the backup goes on")
    accepted = call.daemon.backup()
    joined = ", joined" if accepted.joined else ""
    terminal.say(f"asked: {present.clean(accepted.path)}{joined}")
    one = _ended(call, accepted, deadline)
    if terminal.json:
        terminal.document(BackupDocument(**{name: getattr(one, name) for name in wire.Backup.__struct_fields__}))
    elif one.trouble is None:
        terminal.line(f"{present.clean(one.path)}  {present.size(one.bytes)}  {present.took(one.duration_ms)}")
    else:
        terminal.complain(f"zendeskctl: {present.clean(one.trouble)}\n  {present.clean(one.hint)}".rstrip())
    return Exit.OK if one.trouble is None else Exit.FAILED


def _ended(call: Call, accepted: wire.BackupAccepted, deadline: Deadline) -> wire.Backup:
    """Raises TimedOut and DaemonUnreachable."""
    with closing(looks(call, deadline)) as events:
        for event in events:
            if event is not None and event.backup is None:
                continue
            known = call.daemon.status().backup
            for one in known.recent if known is not None else ():
                if _is(one, accepted):
                    return one
            if known is None or known.running is None or not _is(known.running, accepted):
                break
    return wire.Backup(
        path=accepted.path,
        requested_by=None,
        started_at=accepted.started_at,
        finished_at=None,
        bytes=0,
        duration_ms=None,
        trouble="the daemon went away before it had ended",
        hint="zendeskctl backup makes another",
    )


def _is(one: wire.Backup, accepted: wire.BackupAccepted) -> bool:
    """Two of one second have one path."""
    return (one.path, one.started_at) == (accepted.path, accepted.started_at)


VERBS: Final = (
    Verb(
        name="backup",
        summary="copy the daemon's database while it is in use; waits for the end",
        usage="[--timeout TIME] [COMMON]",
        examples=("zendeskctl backup", "zendeskctl backup --timeout 1h --json | jq -r .path"),
        prepare=_prepare,
        run=_backup,
        operations=("backup", "status", "events"),
        documents=(BackupDocument,),
        description="Copy the daemon's database while it is in use, into backups in the state folder, and wait for the "
        "end: 1 if it failed, 8 if the time passed (it goes on). The newest few are kept. The master key is not in it.",
    ),
)
