"""Secrets open where they were sealed, with the key they were sealed with, and nowhere else."""

import asyncio
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pikarelay.store.vault import (
    DataKey,
    KeyUnusable,
    RootKey,
    Unsealable,
    Vault,
    WrongKey,
    load_root_key,
    new_data_key,
)

ROOT = RootKey(bytes(range(32)), "the test")
PLACE = ("jobs", "job-1", "discord_token")


@pytest.fixture
def vault() -> Vault:
    return Vault.unlock(ROOT, [new_data_key(ROOT, 1)])


class TestSealing:
    @pytest.mark.parametrize("text", ["", "a", "zażółć", "x" * 10_000])
    def test_opens_in_its_place(self, vault: Vault, text: str) -> None:
        """A sealed text opens in its place, and is not to be seen in what is stored."""
        sealed = vault.seal(text, *PLACE)

        assert vault.unseal(sealed, *PLACE) == text
        assert not text or len(text) < 4 or text.encode() not in sealed

    def test_never_the_same_twice(self, vault: Vault) -> None:
        """Sealing one text twice gives two values."""
        assert vault.seal("x", *PLACE) != vault.seal("x", *PLACE)

    @pytest.mark.parametrize(
        "elsewhere",
        [
            ("accounts", "job-1", "discord_token"),
            ("jobs", "job-2", "discord_token"),
            ("jobs", "job-1", "other"),
            ("jobs", "job-1|discord_token", ""),
        ],
    )
    def test_opens_nowhere_else(self, vault: Vault, elsewhere: tuple[str, str, str]) -> None:
        """A value that was moved to another table, row or column does not open."""
        sealed = vault.seal("secret", *PLACE)

        with pytest.raises(Unsealable):
            vault.unseal(sealed, *elsewhere)

    def test_every_byte_counts(self, vault: Vault) -> None:
        """A value with any byte changed, or cut anywhere, does not open."""
        sealed = vault.seal("secret", *PLACE)
        changed = [sealed[:n] + bytes((sealed[n] ^ 1,)) + sealed[n + 1 :] for n in range(len(sealed))]
        cut = [sealed[:n] for n in range(len(sealed))]

        for broken in changed + cut:
            with pytest.raises(Unsealable):
                vault.unseal(broken, *PLACE)

    def test_error_says_nothing_of_the_secret(self, vault: Vault) -> None:
        """The refusal names the place and not the content."""
        with pytest.raises(Unsealable, match=r"jobs\.discord_token of job-2") as refusal:
            vault.unseal(vault.seal("very secret", *PLACE), "jobs", "job-2", "discord_token")
        assert "very secret" not in repr(refusal.value)


class TestDataKeys:
    def test_newest_key_seals_and_older_ones_open(self) -> None:
        """After a new data key is added, new values carry its number and old ones still open."""
        first, second = new_data_key(ROOT, 1), new_data_key(ROOT, 2)
        old = Vault.unlock(ROOT, [first]).seal("old", *PLACE)
        both = Vault.unlock(ROOT, [first, second])
        new = both.seal("new", *PLACE)

        assert (int.from_bytes(old[1:5], "big"), int.from_bytes(new[1:5], "big")) == (1, 2)
        assert both.unseal(old, *PLACE) == "old"
        assert both.unseal(new, *PLACE) == "new"
        with pytest.raises(Unsealable, match="key 2"):
            Vault.unlock(ROOT, [first]).unseal(new, *PLACE)

    def test_wrong_root_key(self) -> None:
        """Another root key is told apart, with both fingerprints and the file to look at."""
        wrong = RootKey(b"w" * 32, "/data/root.key")

        with pytest.raises(WrongKey, match=f"/data/root.key.*{wrong.fingerprint}.*{ROOT.fingerprint}"):
            Vault.unlock(wrong, [new_data_key(ROOT, 1)])

    def test_data_keys_cannot_trade_numbers(self) -> None:
        """A data key stored under another number does not open."""
        key = new_data_key(ROOT, 1)

        with pytest.raises(WrongKey):
            Vault.unlock(ROOT, [DataKey(2, key.sealed, key.root_fingerprint)])


class TestRootKey:
    def test_made_on_first_start(self, tmp_path: Path) -> None:
        """The first start makes a key that only its owner can read; the second one uses it."""
        folder = tmp_path / "data"
        made = load_root_key(folder)
        path = folder / "root.key"

        assert load_root_key(folder).reveal() == made.reveal() == path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [path] == list(folder.iterdir())
        assert str(path) == made.source

    async def test_two_first_starts(self, tmp_path: Path) -> None:
        """Of processes that start together on a new folder, all use one key."""
        with ThreadPoolExecutor(8) as pool:
            loop = asyncio.get_running_loop()
            keys = await asyncio.gather(
                *(loop.run_in_executor(pool, load_root_key, tmp_path) for _ in range(8))
            )

        assert len({key.reveal() for key in keys}) == 1

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
    def test_wide_open_file(self, tmp_path: Path, mode: int) -> None:
        """A key that others may use is refused, with the command that closes it."""
        load_root_key(tmp_path)
        (tmp_path / "root.key").chmod(mode)

        with pytest.raises(KeyUnusable, match=f"mode {mode:04o}.*chmod 600 {tmp_path}"):
            load_root_key(tmp_path)

    def test_foreign_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A key of another user is refused."""
        load_root_key(tmp_path)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

        with pytest.raises(KeyUnusable, match="belongs to user id"):
            load_root_key(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, b"ab" * 31, b"\xff" * 64])
    def test_not_a_key(self, tmp_path: Path, content: bytes) -> None:
        """A file that holds no key is refused, and not overwritten."""
        path = tmp_path / "root.key"
        path.write_bytes(content)
        path.chmod(0o600)

        with pytest.raises(KeyUnusable):
            load_root_key(tmp_path)
        assert path.read_bytes() == content

    def test_given_file(self, tmp_path: Path) -> None:
        """A key file given by a setting wins, may be in hex, and must be there."""
        given = tmp_path / "given"
        given.write_text("ab" * 32 + "\n")
        given.chmod(0o600)

        assert load_root_key(tmp_path, file=given, text="cd" * 32).reveal() == b"\xab" * 32
        with pytest.raises(KeyUnusable, match="cannot be read"):
            load_root_key(tmp_path, file=tmp_path / "none")
        assert not (tmp_path / "root.key").exists()

    def test_given_text(self, tmp_path: Path) -> None:
        """A key given as text is used, and a wrong one is refused without being quoted."""
        assert load_root_key(tmp_path, text="ab" * 32).reveal() == b"\xab" * 32
        with pytest.raises(KeyUnusable) as refusal:
            load_root_key(tmp_path, text="not-a-key")
        assert "not-a-key" not in str(refusal.value)
        assert refusal.value.__cause__ is None

    def test_never_printed(self) -> None:
        """Printing a root key shows where it is from and its fingerprint."""
        assert repr(ROOT) == f"RootKey(source='the test', fingerprint='{ROOT.fingerprint}')"
