"""What holds for the repository as a whole: its requirements, its documents, its names."""

import ast
import importlib.util
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKED = sorted(REQUIREMENTS.rglob("*.txt"))
SETS = sorted(REQUIREMENTS.rglob("*.in"))
#: Two folders down, where no installed package is looked into.
JAVASCRIPT_LOCKS = sorted(
    path for where in ("tests", "bench") for path in ROOT.glob(f"{where}/*/*/package-lock.json")
)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/decisions/0*.md"))

_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)")

#: Folders of particular machines. Written in halves, so that this file does not match itself.
_MACHINE_PATHS = re.compile(
    "|".join(["/ho" + r"me/\w+", "/ro" + r"ot/\w+", "/Use" + r"rs/\w+", "/wo" + r"rk/\w+"])
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def pins(path: Path) -> dict[str, str]:
    found = (_PIN.match(line) for line in path.read_text().splitlines())
    return {match[1]: match[2] for match in found if match}


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_files() -> list[Path]:
    """Return what is or would be in the repository; empty outside a checkout, as in an unpacked archive."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.fixture
def bootstrap() -> ModuleType:
    return load_tool("bootstrap")


class TestRequirements:
    @pytest.mark.parametrize("path", LOCKED, ids=named)
    def test_every_pin_holds_hashes(self, path: Path) -> None:
        """Each line of a locked file is a pinned package or a SHA-256 of one of its files."""
        blocks = path.read_text().replace("\\\n", " ").splitlines()

        assert blocks
        assert [] == [block for block in blocks if not re.search(r"==.*--hash=sha256:[0-9a-f]{64}", block)]

    @pytest.mark.parametrize("path", LOCKED, ids=named)
    def test_no_addresses(self, path: Path) -> None:
        """A locked file names no index and no address."""
        assert [] == re.findall(
            r"://|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", path.read_text()
        )

    @pytest.mark.parametrize("path", JAVASCRIPT_LOCKS, ids=named)
    def test_javascript_locks_hold_hashes_and_no_addresses(self, path: Path) -> None:
        """Each JavaScript package is locked by version and hash, and nothing says where it comes from."""
        packages = json.loads(path.read_text())["packages"]
        locked = {name: its for name, its in packages.items() if name}

        assert locked
        assert all({"version", "integrity"} <= its.keys() for its in locked.values())
        assert [] == re.findall(r"resolved|https?://|git\+|file:", path.read_text())

    def test_copyleft_library_is_only_run(self) -> None:
        """The peer under the AGPL is imported by the one program that its own environment runs, and by nothing else."""
        importing = re.compile(r"^\s*(?:import|from) mutiny\b", re.MULTILINE)
        python = [path for path in own_files() if path.suffix == ".py"]

        assert {"bench/peers/callers/mutiny_sdk.py"} >= {
            named(path) for path in python if importing.search(path.read_text())
        }
        assert not {"mutiny-sdk"} & pins(REQUIREMENTS / "dev.txt").keys()

    def test_one_version_of_each_package(self) -> None:
        """A package has the same version in every set, the judges' included."""
        versions = defaultdict(set)
        for path in LOCKED:
            for package, version in pins(path).items():
                versions[package].add(version)

        assert {} == {package: found for package, found in versions.items() if len(found) > 1}

    def test_every_set_is_locked(self) -> None:
        """Each set of requirements has its locked file, which pins all that the set names itself."""
        for source in SETS:
            named_here = re.findall(r"^([A-Za-z][A-Za-z0-9.-]*)", source.read_text(), re.MULTILINE)
            wanted = {name.lower().replace(".", "-") for name in named_here}

            assert wanted <= pins(source.with_suffix(".txt")).keys()

        assert [path.with_suffix(".txt") for path in SETS] == LOCKED

    def test_dev_holds_demo(self) -> None:
        """An environment that holds `dev` satisfies `demo`."""
        assert pins(REQUIREMENTS / "demo.txt").items() <= pins(REQUIREMENTS / "dev.txt").items()


class TestFiles:
    def test_no_machine_paths(self) -> None:
        """No file of the repository names a folder of a particular machine."""
        found = {}
        for path in own_files():
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            if match := _MACHINE_PATHS.search(text):
                found[named(path)] = match[0]

        assert {} == found

    def test_ci_runs_the_tests(self) -> None:
        """Continuous integration calls the name that everybody calls."""
        script = ROOT / ".ci" / "run"

        assert script.stat().st_mode & 0o111
        assert script.read_text().endswith("exec make test\n")


class TestDocuments:
    @pytest.mark.parametrize("path", DOCUMENTS, ids=named)
    def test_links_lead_somewhere(self, path: Path) -> None:
        """Each relative link of a document leads to a file of the repository."""
        targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", path.read_text())

        assert [] == [target for target in targets if not (path.parent / target).exists()]

    @pytest.mark.parametrize("path", DOCUMENTS, ids=named)
    def test_make_targets_exist(self, path: Path) -> None:
        """Each `make` command that a document shows is a target of the Makefile."""
        targets = set(re.findall(r"^([a-z]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
        shown = set(re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(), re.MULTILINE))

        assert shown <= targets

    @pytest.mark.parametrize("path", DECISIONS, ids=named)
    def test_decisions_have_one_form(self, path: Path) -> None:
        """Each record of a decision has the same parts in the same order."""
        text = path.read_text()

        assert text.startswith(f"# {path.name[:4]}. ")
        assert ["Context", "Decision", "Consequences", "Alternatives"] == re.findall(
            r"^## (.+)$", text, re.MULTILINE
        )

    def test_decisions_are_listed(self) -> None:
        """The list of decisions names each record once, in order, and the numbers have no holes."""
        listed = re.findall(r"\]\((0\d{3}-[a-z0-9-]+\.md)\)", (ROOT / "docs/decisions/README.md").read_text())

        assert [path.name for path in DECISIONS] == listed
        assert list(range(1, len(listed) + 1)) == [int(name[:4]) for name in listed]


class TestBootstrap:
    def test_old_pythons_can_read_it(self) -> None:
        """The installer has no syntax newer than Python 3.6, so that an old Python can say that it is too old."""
        source = (ROOT / "tools" / "bootstrap.py").read_text()

        assert isinstance(ast.parse(source, feature_version=(3, 6)), ast.Module)

    def test_old_python_is_told(self, bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        """On a Python that is too old, with no newer one beside it, one sentence says what is needed."""
        monkeypatch.setattr(bootstrap, "OLDEST", (99, 0))
        monkeypatch.setattr(bootstrap, "NEWER_NAMES", ())

        with pytest.raises(
            bootstrap.InstallationError, match=r"^Python 3\.11 or newer is needed, and this is 3\."
        ):
            bootstrap.find_python()

    @pytest.mark.parametrize(
        ("output", "reason"),
        [
            ("OSError: [Errno 28] No space left on device", "the disk is full"),
            (
                "Failed to establish: NewConnectionError(...)\nERROR: No matching distribution found for x",
                "no network",
            ),
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "not the one recorded"),
            ("ERROR: No matching distribution found for av==18.0.0", "no av==18.0.0"),
            ("Collecting x\nERROR: something new\n", "ERROR: something new"),
            ("", "no reason given"),
        ],
    )
    def test_reasons(self, bootstrap: ModuleType, output: str, reason: str) -> None:
        """What pip writes when it fails becomes one line that says what is wrong."""
        told, _ = bootstrap.explain(output)

        assert reason in told
        assert "\n" not in told

    def test_count(self, bootstrap: ModuleType) -> None:
        """Packages of platforms that this does not run on are not counted."""
        text = "a==1 \\\n    --hash=x\ncolorama==2 ; sys_platform == 'win32' \\\n    --hash=y\nb-c==3 ; sys_platform != 'win32' \\\n"

        assert 2 == bootstrap.count_packages(text)
