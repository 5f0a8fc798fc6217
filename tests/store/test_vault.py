"""Secrets open where they were sealed, with the key they were sealed with, and nowhere else."""

import pytest

from pikarelay.jobs.secret import Secret, SecretUnreadable
from pikarelay.store.root_key import RootKey, WrongKey
from pikarelay.store.vault import (
    DataKey,
    DataKeyDamaged,
    UnknownKey,
    Unsealable,
    Vault,
    new_data_key,
    rewrapped,
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
        """A data key stored under another number does not open, and is told apart from a wrong root key."""
        key = new_data_key(ROOT, 1)

        with pytest.raises(DataKeyDamaged, match=r"Data key 2 .* Restore a backup"):
            Vault.unlock(ROOT, [DataKey(2, key.sealed, key.root_fingerprint)])

    def test_key_that_another_process_made(self, vault: Vault) -> None:
        """What a newer key has sealed asks for learning; then it opens, and new secrets are sealed by that key."""
        second = new_data_key(ROOT, 2)
        sealed = Vault.unlock(ROOT, [new_data_key(ROOT, 1), second]).seal("new", *PLACE)

        with pytest.raises(UnknownKey):
            vault.secret(sealed, *PLACE)
        vault.learn([second])

        assert Secret("new") == vault.secret(sealed, *PLACE)
        assert 2 == vault.current == int.from_bytes(vault.seal("x", *PLACE)[1:5], "big")

    def test_key_that_is_nowhere(self, vault: Vault) -> None:
        """What a key has sealed that is not there after learning either is unreadable, and says where it is."""
        gone = Vault.unlock(ROOT, [new_data_key(ROOT, 7)]).seal("x", *PLACE)

        found = vault.after_learning.secret(gone, *PLACE)

        assert (False, "…secured…") == (found.is_readable, str(found))
        with pytest.raises(
            SecretUnreadable, match=r"stored token cannot be read: jobs\.discord_token of job-1"
        ):
            found.reveal()

    def test_lost_root_key(self) -> None:
        """Data keys of a root key that is gone are left alone: what they sealed is unreadable, all else is as ever."""
        lost = RootKey(b"l" * 32, "the past")
        first = new_data_key(lost, 1)
        sealed = Vault.unlock(lost, [first]).seal("x", *PLACE)

        vault = Vault.unlock(ROOT, [first, new_data_key(ROOT, 2)])

        assert not vault.after_learning.secret(sealed, *PLACE).is_readable
        assert "y" == vault.unseal(vault.seal("y", *PLACE), *PLACE)

    def test_another_root_key(self, vault: Vault) -> None:
        """A data key under another root key opens with that one and no more with the first; secrets stay as they are."""
        other = RootKey(b"o" * 32, "the future")
        first = new_data_key(ROOT, 1)
        sealed = Vault.unlock(ROOT, [first]).seal("x", *PLACE)

        moved = rewrapped(first, ROOT, other)

        assert "x" == Vault.unlock(other, [moved]).unseal(sealed, *PLACE)
        with pytest.raises(WrongKey):
            Vault.unlock(ROOT, [moved])
