"""Users and groups by name. Asks the host's databases, which may ask the network: not for the event loop."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from typing import Final

_users: Final[dict[int, str]] = {}
_groups: Final[dict[int, str]] = {}


def user_name(uid: int) -> str:
    return _known(_users, uid, lambda: pwd.getpwuid(uid).pw_name)


def group_name(gid: int) -> str:
    return _known(_groups, gid, lambda: grp.getgrgid(gid).gr_name)


def _known(names: dict[int, str], number: int, look_up: Callable[[], str]) -> str:
    if number not in names:
        try:
            names[number] = look_up()
        except KeyError:  # nobody, or the network does not answer: ask again the next time
            return str(number)
    return names[number]
