"""The root key is where it should be, whole and closed to others, or nothing opens."""

import asyncio
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pikarelay.store.root_key import CREDENTIAL, KeySource, KeyUnusable, RootKey, WrongKey, load_root_key

ROOT = RootKey(bytes(range(32)), "the test")


class TestRootKey:
    def test_made_on_first_start(self, tmp_path: Path) -> None:
        """The first start makes a key that only its owner can read; the second one uses it."""
        folder = tmp_path / "data"
        made = load_root_key(KeySource(folder))
        path = folder / "root.key"

        assert load_root_key(KeySource(folder)).reveal() == made.reveal() == path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [path] == list(folder.iterdir())
        assert str(path) == made.source

    async def test_two_first_starts(self, tmp_path: Path) -> None:
        """Of processes that start together on a new folder, all use one key."""
        with ThreadPoolExecutor(8) as pool:
            loop = asyncio.get_running_loop()
            keys = await asyncio.gather(
                *(loop.run_in_executor(pool, load_root_key, KeySource(tmp_path)) for _ in range(8))
            )

        assert len({key.reveal() for key in keys}) == 1

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
    def test_wide_open_file(self, tmp_path: Path, mode: int) -> None:
        """A key that others may use is refused, with the command that closes it."""
        load_root_key(KeySource(tmp_path))
        (tmp_path / "root.key").chmod(mode)

        with pytest.raises(KeyUnusable, match=f"mode {mode:04o}.*chmod 600 {tmp_path}"):
            load_root_key(KeySource(tmp_path))

    def test_foreign_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A key of another user is refused."""
        load_root_key(KeySource(tmp_path))
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

        with pytest.raises(KeyUnusable, match="belongs to user id"):
            load_root_key(KeySource(tmp_path))

    @pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, b"ab" * 31, b"\xff" * 64])
    def test_not_a_key(self, tmp_path: Path, content: bytes) -> None:
        """A file that holds no key is refused, and not overwritten."""
        path = tmp_path / "root.key"
        path.write_bytes(content)
        path.chmod(0o600)

        with pytest.raises(KeyUnusable):
            load_root_key(KeySource(tmp_path))
        assert path.read_bytes() == content

    def test_given_file(self, tmp_path: Path) -> None:
        """A key file given by a setting wins, may be in hex, and must be there."""
        given = tmp_path / "given"
        given.write_text("ab" * 32 + "\n")
        given.chmod(0o600)

        assert load_root_key(KeySource(tmp_path, file=given, text="cd" * 32)).reveal() == b"\xab" * 32
        with pytest.raises(KeyUnusable, match="cannot be read"):
            load_root_key(KeySource(tmp_path, file=tmp_path / "none"))
        assert not (tmp_path / "root.key").exists()

    def test_given_text(self, tmp_path: Path) -> None:
        """A key given as text is used, and a wrong one is refused without being quoted."""
        assert load_root_key(KeySource(tmp_path, text="ab" * 32)).reveal() == b"\xab" * 32
        with pytest.raises(KeyUnusable) as refusal:
            load_root_key(KeySource(tmp_path, text="not-a-key"))
        assert "not-a-key" not in str(refusal.value)
        assert refusal.value.__cause__ is None

    def test_never_printed(self) -> None:
        """Printing a root key shows where it is from and its fingerprint."""
        assert repr(ROOT) == f"RootKey(source='the test', fingerprint='{ROOT.fingerprint}')"

    def test_given_by_the_service_manager(self, tmp_path: Path) -> None:
        """A credential of the service manager wins over the data folder, whoever owns it, unless all may read it."""
        handed = tmp_path / "credentials" / CREDENTIAL
        handed.parent.mkdir()
        handed.write_bytes(b"c" * 32)
        # As systemd hands it over: the group's bits are those of an access list.
        handed.chmod(0o440)
        source = KeySource(tmp_path, credentials=handed.parent)

        assert b"c" * 32 == load_root_key(source).reveal()
        assert not source.default.exists()
        handed.chmod(0o444)
        with pytest.raises(KeyUnusable, match="everybody may use it"):
            load_root_key(source)

    def test_no_such_credential(self, tmp_path: Path) -> None:
        """A service manager that hands over other credentials only leaves the data folder's key in its place."""
        source = KeySource(tmp_path, credentials=tmp_path)

        assert str(source.default) == load_root_key(source).source

    @pytest.mark.parametrize("fault", ["missing", "directory", "pipe", "open", "cut", "wrong"])
    def test_database_knows_which(self, tmp_path: Path, fault: str) -> None:
        """Where a database is there already, whatever is wrong with the key is said with the fingerprint that is wanted."""
        key = load_root_key(KeySource(tmp_path))
        path = tmp_path / "root.key"
        if fault in {"missing", "directory", "pipe"}:
            path.unlink()
        match fault:
            case "directory":
                path.mkdir()
            case "pipe":
                os.mkfifo(path, 0o600)
            case "open":
                path.chmod(0o644)
            case "cut":
                path.write_bytes(key.reveal()[:31])
            case "wrong":
                path.write_bytes(b"w" * 32)

        with pytest.raises((KeyUnusable, WrongKey)) as refusal:
            load_root_key(KeySource(tmp_path), expected=key.fingerprint)
        assert str(path) in str(refusal.value)
        assert key.fingerprint in str(refusal.value)
        assert path.exists() == (fault != "missing")
