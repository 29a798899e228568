"""Credentials at rest: the master key, sealing, and the door through which a run gets at its credentials.

AES-256-GCM with the organisation and its system as associated data: a row copied to another organisation does not
open. A sealed text is `v1:KID:NONCE:CIPHERTEXT` (base64 without padding), where KID tells which key sealed it.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zendeskd import master_key
from zendeskd.errors import BadRequest, ConfigError, CredentialError, StorageError
from zendeskd.master_key import KEY_NAME, key_id
from zendeskd.models import (
    AnyCredential,
    ApiToken,
    Bearer,
    Integration,
    OAuthClientCredentials,
    OAuthRefreshToken,
    StoredCredential,
    dec_secret,
    enc_secret,
    utcnow,
)
from zendeskd.store import Store
from zendeskd.store.fleet import SealedCredential

_NONCE_BYTES: Final = 12
_VERSION: Final = "v1"
_ENTER_AGAIN: Final = "Enter them again: zendeskctl credentials set {org} --system {system}"


# --- the vault --------------------------------------------------------------------------------------------------------


class Vault:
    """Seals with `key`, opens what `key` or one of `older` sealed. Any thread."""

    def __init__(self, key: bytes, *, older: Sequence[bytes] = ()) -> None:
        """Raises ConfigError for a key that has not 32 bytes."""
        self.key_id: Final = key_id(key)
        self._keys: Mapping[str, AESGCM] = {key_id(one): AESGCM(one) for one in (*older, key)}
        self._doors = threading.Lock()
        self._renewals: dict[int, Renewal] = {}
        self._under_way = 0
        self._moved = threading.Condition()

    def __repr__(self) -> str:
        return f"Vault({self.key_id})"

    def seal(self, organization_id: str, system: str, stored: StoredCredential) -> SealedCredential:
        """What the database holds of it: the sealed text, and what may be known without opening it."""
        return SealedCredential(
            kind=kind_of(stored.credential),
            ciphertext=self._sealed(organization_id, system, msgspec.json.encode(stored, enc_hook=enc_secret)),
            expires_at=None if stored.access is None else stored.access.expires_at,
        )

    def unseal(self, organization_id: str, system: str, ciphertext: str) -> StoredCredential:
        """Raises CredentialError: sealed with another key, for another organisation, or damaged."""
        try:
            plain = self._opened(organization_id, system, ciphertext)
            return msgspec.json.decode(plain, type=StoredCredential, dec_hook=dec_secret)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _damaged(organization_id, system) from None

    def reseal(self, organization_id: str, system: str, ciphertext: str) -> str:
        """The same, sealed with the present key. Raises CredentialError as `unseal`."""
        return self._sealed(organization_id, system, self._opened(organization_id, system, ciphertext))

    def problem_with(self, ciphertexts: Sequence[str]) -> ConfigError | None:
        """What to tell if some of them were sealed with a key that is not here. (One that is damaged tells itself.)"""
        others = Counter(kid for kid in map(key_id_of, ciphertexts) if kid and kid not in self._keys)
        if not others:
            return None
        return ConfigError(
            f"{others.total()} of {len(ciphertexts)} stored credentials were sealed with another master key "
            f"({', '.join(sorted(others)[:3])}), not with the present one ({self.key_id}).",
            hint=f"Put that {KEY_NAME} back and restart. If it is lost, enter those credentials again: "
            "zendeskctl credentials set ORG",
        )

    def _sealed(self, organization_id: str, system: str, plain: bytes) -> str:
        nonce = os.urandom(_NONCE_BYTES)  # never twice with one key: 2**32 seals come to a chance of one in 2**33
        sealed = self._keys[self.key_id].encrypt(nonce, plain, _bound_to(organization_id, system))
        return ":".join((_VERSION, self.key_id, _base64(nonce), _base64(sealed)))

    def _opened(self, organization_id: str, system: str, ciphertext: str) -> bytes:
        hint = _ENTER_AGAIN.format(org=organization_id, system=system)
        try:
            version, kid, nonce, sealed = ciphertext.split(":")
            if version != _VERSION:
                raise CredentialError("The credentials were sealed by a newer zendeskd.", hint=hint)
            if kid not in self._keys:
                raise CredentialError(
                    f"The credentials of {organization_id} were sealed with another master key than this one.",
                    hint=f"Put that {KEY_NAME} back and restart; if it is lost: {hint[0].lower()}{hint[1:]}",
                )
            return self._keys[kid].decrypt(_bytes(nonce), _bytes(sealed), _bound_to(organization_id, system))
        except (InvalidTag, ValueError):  # binascii.Error is a ValueError
            raise _damaged(organization_id, system) from None

    def renewal(self, integration_id: int) -> Renewal:
        """What the doors of an integration share."""
        with self._doors:
            return self._renewals.setdefault(integration_id, Renewal())

    @contextlib.contextmanager
    def renewing(self, renewal: Renewal) -> Iterator[None]:
        """One refresher of that integration at a time; from here on `await_renewals` waits for it."""
        with self._moved:
            self._under_way += 1
        try:
            with renewal.lock:
                yield
        finally:
            with self._moved:
                self._under_way -= 1
                self._moved.notify_all()

    def await_renewals(self, timeout_s: float) -> bool:
        """Wait until no renewal is under way, and try once more to store what the disk refused: before the database is
        closed. -> whether every renewed credential is stored. Any thread that is not renewing itself."""
        with self._moved:
            if not self._moved.wait_for(lambda: self._under_way == 0, timeout_s):
                return False
        with self._doors:
            renewals = list(self._renewals.values())
        for unsaved in [one.unsaved for one in renewals if one.unsaved is not None]:
            with contextlib.suppress(StorageError, CredentialError):
                unsaved.door.load()
        return all(one.unsaved is None for one in renewals)


@dataclass(frozen=True, slots=True)
class Unsaved:
    """A renewed credential that the disk did not take, and the row whose place it is to take."""

    stored: StoredCredential
    instead_of: SealedCredential
    door: StoredCredentials


class Renewal:
    """What all doors of one integration share: `lock` is held by its one refresher, and by who changes `unsaved`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.unsaved: Unsaved | None = None


def kind_of(credential: AnyCredential) -> str:
    return str(credential.__struct_config__.tag)


def key_id_of(ciphertext: str) -> str:
    """The id of the key that sealed it, "" for what is no sealed text."""
    version, _, rest = ciphertext.partition(":")
    return rest.partition(":")[0] if version == _VERSION else ""


def _damaged(organization_id: str, system: str) -> CredentialError:
    hint = _ENTER_AGAIN.format(org=organization_id, system=system)
    return CredentialError(f"The stored credentials of {organization_id} are damaged.", hint=hint)


def _bound_to(organization_id: str, system: str) -> bytes:
    return msgspec.json.encode([organization_id, system])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


# --- the vault of a daemon --------------------------------------------------------------------------------------------


def open_vault(state_dir: Path, credentials_dir: Path | None, *, create: bool = True) -> Vault:
    """The vault with `credentials_dir`/master.key (what systemd's LoadCredential= hands over), else with
    `state_dir`/master.key, which is made on first use; older keys beside them open what they sealed.

    With `create=False` (there are sealed credentials already) a missing key is an error: a new one would open none
    of them. Raises ConfigError for a key that is missing, unreadable, of the wrong size or open to others.
    """
    older = [master_key.read(path, private=True) for path in master_key.older(state_dir)]
    if credentials_dir is not None and master_key.is_there(given := credentials_dir / KEY_NAME):
        older += [master_key.read(path, private=False) for path in master_key.older(credentials_dir)]
        return Vault(master_key.read(given, private=False), older=older)  # its folder is the service's own
    path = state_dir / KEY_NAME
    if not master_key.is_there(path):
        if not create:
            raise ConfigError(
                f"The master key {path} is missing, and credentials in the database are sealed with it.",
                hint=f"Put the key back. If it is lost, make another one (head -c 32 /dev/urandom > {path}; "
                f"chmod 600 {path}) and enter all credentials again.",
            )
        master_key.make(path)
    return Vault(master_key.read(path, private=True), older=older)


# --- what a person enters ---------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, type[AnyCredential]]] = {
    str(kind.__struct_config__.tag): kind for kind in (OAuthClientCredentials, OAuthRefreshToken, ApiToken, Bearer)
}
_MOST_BYTES: Final = 64 * 1024
_LONGEST: Final = 16_384


def parse_credential(data: bytes | str) -> AnyCredential:
    """The credential of a JSON object `{"kind": ..., ...}`.

    Raises BadRequest, which names the kind and the keys that are missing or wrong and never shows a value: also a key
    that resembles none of the right ones is not repeated, since it may be a secret in the wrong place.
    """
    fields = _object(data)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _bad("kind", f"The credentials need a `kind`: {_or(_KINDS)}.")
    shape = _KINDS[kind]
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    if others := fields.keys() - known.keys():
        named = "".join(f"; {other} is none, did you mean {near}?" for other, near in _near(others, known))
        text = f"Credentials of kind {kind} have the keys {_and(known)}"
        raise _bad("", text + (named or "; there is another one."), kind)
    missing = [name for name, field in known.items() if field.required and name not in fields]
    if missing:
        raise _bad(missing[0], f"Credentials of kind {kind} need {_and(missing)} too.", kind)
    for name, value in fields.items():
        fields[name] = _value(name, value, kind)
    if shape is ApiToken:
        fields["email"] = _email(fields["email"])
    return msgspec.convert({"kind": kind, **fields}, shape, dec_hook=dec_secret)


def _object(data: bytes | str) -> dict[str, Any]:
    if len(data) > _MOST_BYTES:
        raise _bad("", "The credentials are longer than 64 KiB.")
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _bad("", "The credentials are not a JSON object.")
    return fields


def _value(name: str, value: object, kind: str) -> str:
    """Without white space around it, which comes with pasting and is never part of a secret."""
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, f"`{name}` must be text that is not empty.", kind)
    value = value.strip()
    if len(value) > _LONGEST or not (value.isascii() and value.isprintable()):
        raise _bad(name, f"`{name}` holds characters that no credential has (or is far too long).", kind)
    return value


def _email(email: str) -> str:
    email = email.removesuffix("/token")
    if "@" not in email or ":" in email or " " in email:
        raise _bad("email", "`email` must be the e-mail address of the agent whom the token acts for.", "api_token")
    return email


def _near(others: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Wrong keys that are a misspelt right one, with that one."""
    plain = {name.lower(): name for name in known}
    found = []
    for other in sorted(others):
        bare = other.lower().replace("_", "").replace("-", "")
        near = difflib.get_close_matches(bare, plain, n=1) if bare.isascii() and bare.isalpha() else []
        found += [(other, plain[one]) for one in near]
    return found


def _bad(field: str, detail: str, kind: str = "oauth_client_credentials") -> BadRequest:
    parts = {one.encode_name: "..." for one in msgspec.structs.fields(_KINDS[kind]) if one.required}
    example = json.dumps({"kind": kind, **parts})
    return BadRequest(detail, hint=f"For example: {example}", field=f"credentials.{field}" if field else "credentials")


def _and(names: Any) -> str:
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else str(last)


def _or(names: Any) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else str(last)


# --- the door ---------------------------------------------------------------------------------------------------------

_NONE: Final = SealedCredential(kind="", ciphertext="")


class StoredCredentials:
    """One integration's credentials, as sealed in the database (see connectors.base.CredentialDoor). Any thread.

    A renewed credential that cannot be stored is kept in memory, for all doors of the integration, until it can: the
    one in the database is spent.
    """

    def __init__(
        self, store: Store, vault: Vault, integration: Integration, *, now: Callable[[], datetime] = utcnow
    ) -> None:
        self._store, self._vault, self._now = store, vault, now
        self._id, self._org, self._system = integration.id, integration.organization_id, integration.system_type
        self._shared = vault.renewal(integration.id)
        self._row: SealedCredential | None = None

    def load(self) -> StoredCredential:
        """Raises CredentialError when there is none or it cannot be opened, StorageError when the disk says no."""
        self._row = self._sealed()
        if self._shared.unsaved is not None:
            with self._shared.lock:
                self._row = self._sealed()
                if (stored := self._kept(self._row)) is not None:
                    return stored
        return self._vault.unseal(self._org, self._system, self._row.ciphertext)

    def prove(self) -> None:
        """Write what is stored once more, so that nothing is spent whose successor could not be kept.

        Raises StorageError.
        """
        with self._shared.lock:
            self._store.fleet.renew_credential(self._id, self._sealed(), self._now())

    def save(self, stored: StoredCredential) -> None:
        """Store a renewed credential before it is used. Raises StorageError; it is kept in memory then, and the next
        `load` through any door gives it.

        If a person has entered other credentials since `load`, theirs stay and this one is not stored: it belongs to
        what they replaced.
        """
        with self._shared.lock:
            row = self._row or self._store.fleet.credential(self._id) or _NONE
            self._shared.unsaved = Unsaved(stored, row, self)
            self._row = self._write(stored, row)
            self._shared.unsaved = None

    def renewing(self) -> contextlib.AbstractContextManager[None]:
        """Held by the one refresher of this integration, whichever door it came through: use it with `with`, and
        `load` again inside."""
        return self._vault.renewing(self._shared)

    def _sealed(self) -> SealedCredential:
        sealed = self._store.fleet.credential(self._id)
        if sealed is None:
            self._shared.unsaved = None
            raise CredentialError(
                f"{self._org} has no credentials for {self._system} yet.",
                hint=f"zendeskctl credentials set {self._org} --system {self._system}",
            )
        return sealed

    def _kept(self, row: SealedCredential) -> StoredCredential | None:
        """The credential that could not be stored, and is now if the disk lets it. None: `row` is not the one it was
        to replace (it was stored after all, or a person has entered another)."""
        unsaved = self._shared.unsaved
        if unsaved is None or unsaved.instead_of.ciphertext != row.ciphertext:
            self._shared.unsaved = None
            return None
        with contextlib.suppress(StorageError):  # told by every other write; `prove` keeps it from being spent
            self._row = self._write(unsaved.stored, row)
            self._shared.unsaved = None
        return unsaved.stored

    def _write(self, stored: StoredCredential, row: SealedCredential) -> SealedCredential:
        sealed = msgspec.structs.replace(self._vault.seal(self._org, self._system, stored), revision=row.revision)
        self._store.fleet.renew_credential(self._id, sealed, self._now())
        return sealed
