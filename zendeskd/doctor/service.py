"""Where the service keeps its key, and going on as its user: for what runs beside the daemon or without it."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from zendeskd import paths
from zendeskd.config import Config
from zendeskd.errors import ZendeskdError
from zendeskd.master_key import KEY_NAME
from zendeskd.secrets import Vault, open_vault


def become_owner(state_dir: Path) -> None:
    """As root: go on as the state folder's owner, so that what is found is what the daemon finds."""
    try:
        owner = state_dir.stat().st_uid
    except OSError:
        return
    if os.geteuid() != 0 or owner == 0:
        return
    try:
        user = pwd.getpwuid(owner)
    except KeyError:
        return
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(owner)


def unreadable(config: Config) -> str | None:
    """Why the daemon cannot read the settings that root has just read. To be asked after `become_owner`."""
    if config.file is None or os.access(config.file, os.R_OK):
        return None
    return f"{config.file}: cannot be read by {pwd.getpwuid(os.geteuid()).pw_name}, the daemon's user"


def credentials_dir(config: Config) -> Path | None:
    """systemd shows a unit's credentials to the unit's own user as long as it runs."""
    if config.credentials_dir is not None:
        return config.credentials_dir
    loaded = paths.SYSTEM_CREDENTIALS
    return loaded if config.state_dir == paths.SYSTEM_STATE and os.access(loaded / KEY_NAME, os.R_OK) else None


def key_file(config: Config) -> Path | None:
    for folder in (credentials_dir(config), config.state_dir):
        if folder is not None and (folder / KEY_NAME).exists():
            return folder / KEY_NAME
    return None


def unit_that_loads_it(config: Config) -> Path | None:
    """The unit file or drop-in whose LoadCredential= names the key."""
    if config.state_dir != paths.SYSTEM_STATE:
        return None
    drop_ins = (drop_in for unit in paths.UNIT_FILES for drop_in in sorted(Path(f"{unit}.d").glob("*.conf")))
    return next((file for file in (*paths.UNIT_FILES, *drop_ins) if _loads_key(file)), None)


def _loads_key(unit: Path) -> bool:
    try:
        lines = unit.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(re.match(rf"LoadCredential(Encrypted)?={re.escape(KEY_NAME)}\b", line) for line in lines)


def vault(config: Config) -> Vault | None:
    """None without a usable key: the finding about the key has said so."""
    if key_file(config) is None:
        return None
    try:
        return open_vault(config.state_dir, credentials_dir(config))
    except ZendeskdError:
        return None
