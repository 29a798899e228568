"""`credentials set|check`."""

from __future__ import annotations

import argparse
from typing import Final

from zendeskd import present, wire
from zendeskd.present import Cell, Column
from zendeskd.verbs.base import Call, Verb, add_system
from zendeskd.verbs.exits import Exit
from zendeskd.verbs.secret import FLAGS, KINDS, ask_for_credential, credential_of, read_source


def _prepare_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    parser.add_argument("--file", metavar="FILE", help="the JSON object or the bare secret; - is standard input")
    parser.add_argument("--kind", metavar="KIND", choices=tuple(KINDS), help=f"of a bare secret: {', '.join(KINDS)}")
    parser.add_argument("--email", metavar="EMAIL", help="with --kind api_token: whose token it is")
    parser.add_argument("--client-id", metavar="ID", help="with the OAuth kinds")
    add_system(parser)


def _set(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    public = {part: getattr(options, flag.strip("-").replace("-", "_")) for part, flag in FLAGS.items()}
    if options.file is None and terminal.interactive:
        call.daemon.sync_status_one(options.org, options.system)  # nobody types secrets for a name that is not there
        credential = ask_for_credential(terminal, kind=options.kind, public=public)
        assert credential is not None
    else:
        credential = credential_of(read_source(options.file or "-", terminal.stdin), kind=options.kind, public=public)
    reply = call.daemon.set_credentials(options.org, credential, options.system)
    if terminal.json:
        terminal.document(reply)
        return Exit.OK
    ends = "" if reply.expires_at is None else f", until {present.clock(reply.expires_at, call.now())}"
    name = present.clean(reply.organization_id)
    terminal.line(f"{name}: {present.clean(reply.kind)} stored{ends}, now {present.clean(reply.state)}")
    terminal.say(f"Whether they work: {call.address.zendeskctl} credentials check {name}")
    return Exit.OK


def _prepare_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    add_system(parser, default=None)


def _check(call: Call) -> Exit:
    reply = call.daemon.check_credentials(call.options.org, call.options.system)
    if call.terminal.json:
        call.terminal.document(reply)
        return Exit.OK if reply.ok else Exit.FAILED
    clean = present.clean
    rows = [
        [
            Cell(clean(item.organization_id)),
            Cell(clean(item.system_type)),
            call.terminal.voice.last("success" if item.ok else "failed", item.code),
            Cell(f"{clean(item.user)} ({clean(item.role)})" if item.user else "-"),
            Cell(clean(item.detail)),
        ]
        for item in reply.items
    ]
    columns = [Column("ORG", 9), Column("SYSTEM", 7), Column("RESULT", 11), Column("USER", 12), Column("DETAIL")]
    call.terminal.table(columns, rows)
    for hint in dict.fromkeys(clean(item.hint) for item in reply.items if not item.ok and item.hint):
        call.terminal.say(hint)
    return Exit.OK if reply.ok else Exit.FAILED


VERBS: Final = (
    Verb(
        name="credentials set",
        summary="store an organisation's credentials; a blocked one goes on at once",
        usage="ORG [--file FILE] [--kind KIND [--email EMAIL] [--client-id ID]] [--system SYSTEM] [COMMON]",
        examples=(
            "zendeskctl credentials set acme --file acme.json",
            "zendeskctl credentials set acme --kind api_token --email ana@example.com < token.txt",
        ),
        prepare=_prepare_set,
        run=_set,
        operations=("sync_status", "set_credentials"),
        documents=(wire.CredentialsSet,),
        description='Store credentials: the JSON object ({"kind": "api_token", "email": ..., "token": ...}), or with '
        "--kind and its public parts the bare secret, from a file or standard input. On a terminal they are asked for. "
        "A secret is never an argument.",
    ),
    Verb(
        name="credentials check",
        summary="ask the source who the credentials are, without syncing",
        usage="ORG [--system SYSTEM] [COMMON]",
        examples=("zendeskctl credentials check acme", "zendeskctl credentials check acme --json | jq .ok"),
        prepare=_prepare_check,
        run=_check,
        operations=("check_credentials",),
        documents=(wire.CheckResult,),
    ),
)
