"""The tool that makes the judges' environments, as far as it goes without installing anything."""

from pathlib import Path

import pytest
from tools import judges


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    directory = tmp_path / "requirements"
    directory.mkdir()
    (directory / "library.txt").write_text("library==1 --hash=sha256:00\n")
    return directory


def stamp(requirements: Path, environment: Path) -> None:
    environment.mkdir(parents=True)
    (environment / judges.STAMP).write_text(judges.fingerprint(requirements / "library.txt"))


def test_a_current_environment_is_left_alone(requirements: Path, tmp_path: Path) -> None:
    """An environment whose stamp matches is not touched."""
    stamp(requirements, tmp_path / "made" / "library")
    (tmp_path / "made" / "library" / "witness").touch()

    assert judges.main(requirements, tmp_path / "made") == 0
    assert (tmp_path / "made" / "library" / "witness").exists()


def test_changed_requirements_outdate_an_environment(requirements: Path, tmp_path: Path) -> None:
    """A locked file that changed after the installation asks for a new one; so does a missing stamp."""
    locked = requirements / "library.txt"
    stamp(requirements, tmp_path / "library")
    before = judges.is_current(tmp_path / "library", locked)
    locked.write_text("library==2 --hash=sha256:00\n")

    assert before
    assert not judges.is_current(tmp_path / "library", locked)
    assert not judges.is_current(tmp_path / "nowhere", locked)


def test_trouble_is_told_in_one_line(
    requirements: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be made is named, with the reason, in one line on standard error."""
    (tmp_path / "a file").touch()
    status = judges.main(requirements, tmp_path / "a file")
    told = capsys.readouterr()

    assert status == 1
    assert not told.out
    assert told.err.startswith("judges: library: ")
    assert told.err.count("\n") == 1


def test_nothing_locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any locked requirements the tool says so and fails."""
    assert judges.main(tmp_path, tmp_path) == 1
    assert "no locked requirements" in capsys.readouterr().err


def test_every_judge_is_locked() -> None:
    """The environments that the judges' tests name are those that the tool makes."""
    assert {"discordpy", "discordpy-self", "hikari"} == {
        locked.stem for locked in judges.REQUIREMENTS.glob("*.txt")
    }
