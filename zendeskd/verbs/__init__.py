"""The verbs of `zendeskctl`, by noun. A verb's module is imported when the verb is used."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zendeskd.verbs.base import Verb

MODULES: Final = {
    "status": "status",
    "explain": "status",
    "trigger": "commands",
    "start": "commands",
    "stop": "commands",
    "interval": "commands",
    "cancel": "commands",
    "resync": "repairs",
    "reconcile": "repairs",
    "runs": "runs",
    "run": "runs",
    "log": "log",
    "records": "records",
    "record": "records",
    "link": "records",
    "org add": "organizations",
    "org show": "organizations",
    "org set": "organizations",
    "org remove": "organizations",
    "org list": "organizations",
    "org import": "transfer",
    "org export": "transfer",
    "credentials set": "credentials",
    "credentials check": "credentials",
    "schedule": "schedule",
    "watch": "watch",
    "wait": "watch",
    "health": "health",
    "backup": "backup",
    "reload": "daemon",
    "version": "daemon",
    "completion": "shell",
}
"""Verb -> module of this package, in the order of the help. "org" and "credentials" are groups."""

DEFAULT: Final = "status"

WITHOUT_VERB: Final = {
    "tickets": "`records --system zendesk`: one verb reads the records of every system",
    "sync_config": "`org show` and `org list` print the same configuration",
    "openapi": "for programs that write or test clients, which fetch it from the socket themselves",
}
"""Operations of the API that have no verb of their own, and why."""


def groups() -> list[str]:
    return list(dict.fromkeys(name.split()[0] for name in MODULES if " " in name))


def load(name: str) -> Verb:
    """The verb of a name that is in MODULES."""
    module = import_module(f"zendeskd.verbs.{MODULES[name]}")
    verbs: tuple[Verb, ...] = module.VERBS
    return next(verb for verb in verbs if verb.name == name)


def every() -> Iterator[Verb]:
    """All verbs, in the order of the help. Imports all of them."""
    return (load(name) for name in MODULES)
