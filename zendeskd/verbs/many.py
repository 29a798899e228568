"""One command for one organisation or for many.

Many organisations are many calls: what is refused for one does not keep the others from it. Text has a line for each;
JSON is the API's own document where one organisation was named, else a `CommandList`. The exit code is that of the
organisations that failed if they agree, else `FAILED`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.verbs.base import Call, add_system
from zendeskd.verbs.documents import CommandItem, CommandList, error_body
from zendeskd.verbs.exits import Exit, UsageProblem, exit_of

_FAILED_LAST: Final = frozenset({"failed", "interrupted"})


@dataclass(slots=True)
class Asked:
    """What one organisation was asked, and what came of it: a reply or an error; later how the run ended."""

    org: str
    system: str
    action: str
    reply: wire.Accepted | wire.Changed | None = None
    run: wire.RunDocument | None = None
    error: ZendeskdError | None = None

    @property
    def accepted(self) -> wire.Accepted:
        assert isinstance(self.reply, wire.Accepted)
        return self.reply

    @property
    def changed(self) -> wire.Changed:
        assert isinstance(self.reply, wire.Changed)
        return self.reply

    def item(self) -> CommandItem:
        names = ("run_id", "state", "joined", "changed", "interval", "next_run_at")
        return CommandItem(
            organization_id=self.org,
            system_type=self.system,
            action=self.action,
            run_status=None if self.run is None else self.run.status,
            error=None if self.error is None else error_body(self.error),
            **{name: getattr(self.reply, name, None) for name in names},
        )


def add_organizations(parser: argparse.ArgumentParser, *, failed_too: bool = False) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="organisations")
    parser.add_argument("--all", action="store_true", help="every organisation")
    if failed_too:
        parser.add_argument("--failed", action="store_true", help="every organisation whose last run failed")
    add_system(parser)


def chosen(call: Call) -> list[str]:
    """The organisations that the command line means. Raises UsageProblem unless it says so in exactly one way."""
    options = call.options
    sets = [flag for flag in ("all", "failed") if getattr(options, flag, False)]
    if len(sets) + bool(options.orgs) != 1:
        known = " or ".join(f"--{flag}" for flag in ("all", "failed") if hasattr(options, flag))
        raise UsageProblem(f"name organisations or give {known}, one of them")
    if options.orgs:
        return list(dict.fromkeys(options.orgs))
    items = call.daemon.sync_status(options.system).items
    if sets == ["failed"]:
        items = [item for item in items if item.last_status in _FAILED_LAST and item.is_active]
        blocked = [item.organization_id for item in items if item.state == "blocked"]
        if blocked:
            call.terminal.say(f"Left out, as they are blocked: {present.clean(', '.join(blocked))}")
        items = [item for item in items if item.state != "blocked"]
    if not items:
        call.terminal.say("No organisation to ask.")
    return [item.organization_id for item in items]


def ask_each(
    call: Call, orgs: Sequence[str], action: str, ask: Callable[[str], wire.Accepted | wire.Changed]
) -> list[Asked]:
    """Ask for each in turn. Raises what went wrong if there is but one; otherwise that is in its `error`. Once the
    daemon is gone, it is not asked again."""
    done: list[Asked] = []
    gone: ZendeskdError | None = None
    for org in orgs:
        one = Asked(org, call.options.system, action)
        try:
            if gone is None:
                one.reply = ask(org)
            else:
                one.error = gone
        except ZendeskdError as error:
            if len(orgs) == 1:
                raise
            one.error = error
            if exit_of(error) in {Exit.UNREACHABLE, Exit.INCOMPATIBLE}:
                gone = error
        done.append(one)
    return done


def tell(call: Call, done: Sequence[Asked], words: Callable[[Asked], str], *also: Exit) -> Exit:
    """Show what came of it. -> the exit code of all; `also`: codes of what went wrong after the asking."""
    terminal = call.terminal
    if terminal.json:
        single = len(done) == 1 and bool(call.options.orgs)
        terminal.document((done[0].run or done[0].reply) if single else CommandList(items=[one.item() for one in done]))
    else:
        for one in done:
            name = present.clean(one.org)
            if one.error is None:
                terminal.line(f"{name}: {present.clean(words(one))}")
            else:
                terminal.complain(f"{name}: {present.clean(one.error.detail)}")
                if one.error.hint:
                    terminal.complain(f"  {present.clean(one.error.hint)}")
    codes = {exit_of(one.error) for one in done if one.error is not None} | set(also)
    return Exit.OK if not codes else codes.pop() if len(codes) == 1 else Exit.FAILED
