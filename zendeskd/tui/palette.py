"""Every action, screen and organisation by name: ctrl+p or a colon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape

from zendeskd import present
from zendeskd.tui.rows import name_of
from zendeskd.tui.screens.acting import Acting
from zendeskd.tui.screens.record import RecordScreen

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

ACTIONS: Final = {
    "trigger": "run a sync now",
    "start": "start the schedule, or unblock",
    "stop": "stop the schedule",
    "interval": "change the schedule",
    "cancel": "end the run going on",
    "resync": "read again from a date; says first what it costs",
    "reconcile": "compare with the source, mend, report",
}
"""Actions on the organisation that is looked at or those that are marked."""

SCREENS: Final = {
    "tickets": "those of the local copy, to read and search",
    "log": "what the daemon logs",
    "daemon": "the daemon itself",
    "help": "keys and signs",
}
SHELL: Final = {
    "org add": "org add NAME --subdomain NAME",
    "org show": "org show NAME",
    "org list": "org list",
    "org set": "org set NAME ...",
    "org remove": "org remove NAME",
    "org import": "org import FILE",
    "org export": "org export",
    "credentials set": "credentials set NAME",
    "credentials check": "credentials check NAME",
    "link": "link ID OTHER",
}
"""What the dashboard does not do on purpose, with the command of `zendeskctl` that does."""

REACHED_BY: Final = {
    "health": "daemon",
    "status": "daemon",
    "reconciliations": "daemon",
    "sync_config": "daemon",
    "sync_status": "open",
    "runs": "open",
    "run": "open",
    "logs": "log",
    "records": "tickets",
    "record": "tickets",
    "links": "tickets",
    "unlink": "link",
    "preview_schedule": "interval",
    "organizations": "org list",
    "organization": "org show",
    "add_organization": "org add",
    "set_organization": "org set",
    "remove_organization": "org remove",
    "import_organizations": "org import",
    "export_organizations": "org export",
    "set_credentials": "credentials set",
    "check_credentials": "credentials check",
}
"""Operation of the API -> the entry that leads to it, where they have not the same name ("open" is "open NAME")."""

WITHOUT_ENTRY: Final = {
    "events": "the stream that everything on the screen is drawn from",
    "tickets": "`records` reads those of every system",
    "openapi": "a description for programs, not for people",
}
"""Operations that nothing here leads to, and why."""


class Entry(NamedTuple):
    name: str
    help: str
    run: Callable[[], Any]


class Palette(Provider):
    """Made anew each time it is opened, for the screen below it."""

    def entries(self) -> Iterator[Entry]:
        app, screen = cast("Dashboard", self.app), self.screen
        if app.may_change:
            if isinstance(screen, Acting):
                names = present.clean(", ".join(org for org, _ in screen.targets()[:3])) or "none"
                for name, said in ACTIONS.items():
                    yield Entry(name, f"{said} ({names})", getattr(screen, f"action_{name}"))
            yield Entry("backup", "copy the daemon's database while it is in use", app.action_backup)
            yield Entry("reload", "read the daemon's settings again", app.action_reload)
        for name, said in SCREENS.items():
            yield Entry(name, said, getattr(app, f"action_{name}"))
        yield Entry("time style", "ages, your zone, UTC", app.action_time_style)
        for theme in app.theme_names:
            yield Entry(f"theme {theme}", "colours", partial(app.use_theme, theme))
        zendeskctl = app.address.zendeskctl
        shell = {name: f"{zendeskctl} {command}" for name, command in SHELL.items()}
        shell["restart the daemon"] = app.address.command("systemctl restart zendeskd")
        if isinstance(screen, RecordScreen) and screen.record is not None:
            yield Entry("source JSON", "what the source itself said of this record", screen.action_source)
            shell |= screen.commands()
        for name, command in shell.items():
            yield Entry(name, f"shows the command: {command}", partial(app.copy, command))
        for key, item in app.fleet.items.items():
            yield Entry(f"open {name_of(item)}", present.clean(item.organization_name), partial(app.open, key))
        yield Entry("quit", "close the dashboard; syncing goes on", app.action_quit)

    async def discover(self) -> Hits:
        for entry in self.entries():
            yield DiscoveryHit(Content(entry.name), entry.run, text=entry.name, help=escape(entry.help))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in self.entries():
            if (score := matcher.match(f"{entry.name} {entry.help}")) > 0:
                better = score + matcher.match(entry.name)
                yield Hit(better, Content(entry.name), entry.run, text=entry.name, help=escape(entry.help))
