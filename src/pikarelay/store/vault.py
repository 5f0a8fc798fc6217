"""
Seals secrets, so that a copy of the database gives none away, and a row cannot be passed off as another.

Two layers. The *root key*, 32 bytes that are never in the database, seals *data keys*, which are; a data key seals
the secrets. Both by AES-256-GCM, each time with a fresh nonce, bound to the table, the row, the column and the number
of the key: a sealed value that was moved does not open. The root key counts as key number 0.

A sealed value is: one byte with the format's version, four with the key's number (big-endian), twelve of nonce, then
the ciphertext with its tag.

Another process may make a data key while this one runs. A number that is not known here is therefore no verdict before the
database has been asked once more; see `pikarelay.store.transactions.vault.opened`.
"""

import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple, Self

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pikarelay.jobs.secret import Secret, Unreadable
from pikarelay.store.root_key import KEY_BYTES, RootKey, WrongKey

_FORMAT = 1
_NONCE_BYTES = 12
_HEAD_BYTES = 5
_ROOT = 0

_log = structlog.get_logger("pikarelay.store")


class DataKeyDamaged(Exception):
    """A data key that is needed does not open, though the root key is the right one."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"Data key {number} in the database does not open, though the root key is the right one: the row was changed."
            " Restore a backup."
        )


class Unsealable(Exception):
    """A sealed value was changed, cut, moved, or sealed by a key that is not there."""


class UnknownKey(Unsealable):
    """It was sealed by a data key that is not known here. Another process may have made it since."""


class DataKey(NamedTuple):
    """A data key as the database keeps it."""

    number: int
    sealed: bytes
    root_fingerprint: str
    #: None for the first one.
    created: datetime | None = None
    #: When the last secret was sealed by it that an older key had sealed. None until then.
    finished: datetime | None = None


class Vault:
    """Seals and opens secrets. Safe to use from several threads."""

    def __init__(self, root: RootKey, *, knows_all: bool = False) -> None:
        self._root = root
        self._ciphers: dict[int, AESGCM] = {}
        #: Whether a number that is not here is nowhere.
        self._knows_all = knows_all
        #: Numbers of the keys that hang on another root key.
        self._strange: frozenset[int] = frozenset()

    @classmethod
    def unlock(cls, root: RootKey, data_keys: Iterable[DataKey]) -> Self:
        """
        Open the data keys. Raises `WrongKey` when the newest hangs on another root key, or `DataKeyDamaged`.

        Older ones may be left from a root key that was lost. What they sealed cannot be opened.
        """
        keys = sorted(data_keys, key=lambda key: key.number)
        newest = keys[-1]
        if newest.root_fingerprint != root.fingerprint:
            raise WrongKey(root.source, given=root.fingerprint, expected=newest.root_fingerprint)
        vault = cls(root)
        vault.learn(keys)
        if newest.number not in vault._ciphers:
            raise DataKeyDamaged(newest.number)
        return vault

    @property
    def current(self) -> int:
        """The number of the newest key that is known: it seals new secrets."""
        return max(self._ciphers)

    @property
    def root(self) -> RootKey:
        """The root key that its data keys hang on."""
        return self._root

    def learn(self, data_keys: Iterable[DataKey]) -> None:
        """Take in the data keys that are not known yet. What is open stays open, whatever became of it in the database."""
        found = list(data_keys)
        strange = frozenset(key.number for key in found if key.root_fingerprint != self._root.fingerprint)
        if strange - self._strange:
            _log.warning(
                "keys.of_another_root_key",
                numbers=sorted(strange),
                source=self._root.source,
                advice="where it was replaced, start again with the new one",
            )
        self._strange = strange
        opened = {}
        for key in found:
            if key.number in self._ciphers or key.number in strange:
                continue
            try:
                opened[key.number] = AESGCM(open_data_key(self._root, key))
            except InvalidTag:
                _log.error("keys.damaged", number=key.number)
        # In one step: other threads may be at work with the old ones.
        self._ciphers = {**self._ciphers, **opened}

    @property
    def after_learning(self) -> "Vault":
        """This vault, to be used once it has learned: what it does not know by then is not there."""
        knowing = Vault(self._root, knows_all=True)
        knowing._ciphers = self._ciphers
        return knowing

    @property
    def works(self) -> bool:
        """Whether what it seals now it can open."""
        place = ("probe", "", "")
        try:
            return self.unseal(self.seal("probe", *place), *place) == "probe"
        except Unsealable:
            return False

    def seal(self, text: str, table: str, row: str, column: str) -> bytes:
        """Seal a text for one place in the database, where alone it can be opened."""
        number = self.current
        bound = _bound_to(table, row, column, number)
        return _seal(self._ciphers[number], number, text.encode(), bound)

    def unseal(self, sealed: bytes, table: str, row: str, column: str) -> str:
        """Open what was sealed for this place. Raises `Unsealable`, as `UnknownKey` where learning may help."""
        number = key_number(sealed)
        cipher = self._ciphers.get(number)
        if cipher is None:
            raise UnknownKey(f"{table}.{column} of {row} is sealed by key {number}, which is not here")
        try:
            return _open(cipher, sealed, _bound_to(table, row, column, number)).decode()
        except InvalidTag:
            raise Unsealable(
                f"{table}.{column} of {row} does not open: changed, or not of this row"
            ) from None

    def secret(self, sealed: bytes, table: str, row: str, column: str) -> Secret:
        """
        Open what was sealed for this place, as a secret; as an unreadable one when it does not open.

        Raises `UnknownKey` when it may open once this vault has learned.
        """
        try:
            return Secret(self.unseal(sealed, table, row, column))
        except Unsealable as problem:
            if isinstance(problem, UnknownKey) and not self._knows_all:
                raise
            return Unreadable(f"{table}.{column} of {row}")


def key_number(sealed: bytes) -> int:
    """Return the number of the key that a value was sealed by."""
    return int.from_bytes(sealed[1:_HEAD_BYTES], "big")


def new_data_key(root: RootKey, number: int, created: datetime | None = None) -> DataKey:
    """Make a fresh data key, sealed by the root key."""
    sealed = _seal_data_key(root, number, secrets.token_bytes(KEY_BYTES))
    return DataKey(number, sealed, root.fingerprint, created)


def rewrapped(key: DataKey, old: RootKey, new: RootKey) -> DataKey:
    """Return the data key sealed by another root key. Raises `DataKeyDamaged` when the old one does not open it."""
    try:
        sealed = _seal_data_key(new, key.number, open_data_key(old, key))
    except InvalidTag:
        raise DataKeyDamaged(key.number) from None
    return key._replace(sealed=sealed, root_fingerprint=new.fingerprint)


def open_data_key(root: RootKey, key: DataKey) -> bytes:
    """Return the data key's 32 bytes. Raises `InvalidTag`."""
    return _open(AESGCM(root.reveal()), key.sealed, _bound_to("data_keys", str(key.number), "sealed", _ROOT))


def _seal_data_key(root: RootKey, number: int, key: bytes) -> bytes:
    bound = _bound_to("data_keys", str(number), "sealed", _ROOT)
    return _seal(AESGCM(root.reveal()), _ROOT, key, bound)


def _bound_to(table: str, row: str, column: str, number: int) -> bytes:
    # Only the row is not ours to choose, and what stands around it cannot be taken for a part of it.
    return f"{table}|{row}|{column}|{number}".encode()


def _seal(cipher: AESGCM, number: int, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    head = bytes((_FORMAT,)) + number.to_bytes(4, "big")
    return head + nonce + cipher.encrypt(nonce, plain, bound)


def _open(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    if len(sealed) < _HEAD_BYTES + _NONCE_BYTES or sealed[0] != _FORMAT:
        raise InvalidTag
    nonce = sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
    return cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], bound)
