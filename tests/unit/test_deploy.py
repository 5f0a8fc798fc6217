"""What is shipped for running a server: a unit, a container file, a bill of materials."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.utils import canonicalize_name

from pikarelay.settings import DECLARED
from tests.unit.test_project import REQUIREMENTS, load_tool, pins

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "pikarelay.service"
CONTAINER = ROOT / "deploy" / "Containerfile"
KUBERNETES = ROOT / "deploy" / "kubernetes.yaml"
COMPOSE = ROOT / "deploy" / "compose.cluster.yaml"
SCHEMAS = ROOT / "tests" / "fixtures" / "deploy"
KINDS = {
    "Job": "io.k8s.api.batch.v1.Job",
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "Service": "io.k8s.api.core.v1.Service",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
}
#: From 0 (shut) to 10; up to 2 systemd calls a service well protected.
MOST_EXPOSURE = 2.0


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/pikarelay/bin/pikarelay", "/bin/true"))
    return path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is needed: make system"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_systemd_takes_the_unit(unit: Path) -> None:
    """Systemd's own checker reads the unit without a word."""
    done = analyze("verify", "--man=no", str(unit))

    assert (0, "") == (done.returncode, done.stderr)


def test_unit_is_shut(unit: Path) -> None:
    """What the service could do beside its work is little by systemd's own measure, and a unit without the rules fails it."""
    threshold = f"--threshold={MOST_EXPOSURE * 10:.0f}"
    bare = unit.with_name("bare.service")
    bare.write_text("[Service]\nExecStart=/bin/true\n")

    assert 0 == analyze("security", "--offline=yes", threshold, str(unit)).returncode
    assert 0 != analyze("security", "--offline=yes", threshold, str(bare)).returncode


def test_unit_waits_for_the_end() -> None:
    """The service is not killed before the server's own end, and not started again with a key that is wrong."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(UNIT)
    service = parser["Service"]

    assert int(service["TimeoutStopSec"]) > 25
    assert "78" == service["RestartPreventExitStatus"]


@pytest.mark.parametrize("path", [UNIT, CONTAINER, KUBERNETES, COMPOSE], ids=lambda path: path.name)
def test_settings_exist(path: Path) -> None:
    """Each variable that is set is a setting."""
    named = set(re.findall(r"PIKARELAY_\w+", path.read_text()))

    assert named
    assert named <= {declared.variable for declared in DECLARED}


def manifests(kind: str = "") -> list[dict[str, Any]]:
    items = yaml.safe_load(KUBERNETES.read_text())["items"]
    return [item for item in items if item["kind"] == kind or not kind]


def errors_of(manifest: dict[str, Any]) -> Iterator[str]:
    schema = json.loads((SCHEMAS / "kubernetes-1.33.json").read_text())
    checked = {**schema, "$ref": f"#/$defs/{KINDS[manifest['kind']]}"}
    return (error.message for error in jsonschema.Draft202012Validator(checked).iter_errors(manifest))


@pytest.mark.parametrize("manifest", manifests(), ids=lambda its: f"{its['kind']} {its['metadata']['name']}")
def test_kubernetes_takes_the_manifests(manifest: dict[str, Any]) -> None:
    """Each manifest is what the API server takes, and one with a word that it does not know is not."""
    assert [] == list(errors_of(manifest))
    manifest["spec"]["replikas"] = 2
    assert ["Additional properties are not allowed ('replikas' was unexpected)"] == list(errors_of(manifest))


@pytest.mark.parametrize("role", ["api", "worker"])
def test_pods_roll_without_a_gap(role: str) -> None:
    """None goes before its successor is ready, is killed before its own end, or goes together with its like."""
    (deployment,) = [its for its in manifests("Deployment") if its["metadata"]["labels"]["role"] == role]
    budgets = {
        its["spec"]["selector"]["matchLabels"]["role"]: its["spec"]
        for its in manifests("PodDisruptionBudget")
    }
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert ["serve", "--role", role] == container["args"]
    assert deployment["spec"]["replicas"] >= 2
    assert 0 == deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]
    assert pod["terminationGracePeriodSeconds"] > 25
    assert "/readyz" == container["readinessProbe"]["httpGet"]["path"]
    assert "/healthz" == container["livenessProbe"]["httpGet"]["path"]
    assert 1 == budgets[role]["maxUnavailable"]


def test_compose_takes_the_file() -> None:
    """The file is what the Compose Specification allows, and one with a word that it does not know is not."""
    schema = json.loads((SCHEMAS / "compose.json").read_text())
    jsonschema.validate(yaml.safe_load(COMPOSE.read_text()), schema)

    with pytest.raises(jsonschema.ValidationError, match="replikas"):
        jsonschema.validate(yaml.safe_load(COMPOSE.read_text().replace("replicas", "replikas")), schema)


def test_container_has_no_way_in() -> None:
    """The last stage has no shell form, no root, and one folder to write to; what is built is pinned by hash."""
    stages = re.split(r"^FROM ", CONTAINER.read_text(), flags=re.MULTILINE)[1:]
    last = stages[-1]

    assert last.startswith("gcr.io/distroless/")
    assert ["65532:65532"] == re.findall(r"^USER (\S+)", last, re.MULTILINE)
    assert [] == re.findall(r"^(?:RUN|ADD|SHELL) ", last, re.MULTILINE)
    for word in ("ENTRYPOINT", "CMD"):
        assert all(
            isinstance(json.loads(line), list) for line in re.findall(rf"^{word} (.+)$", last, re.MULTILINE)
        )
    assert ['["/data"]'] == re.findall(r"^VOLUME (.+)$", last, re.MULTILINE)
    assert "--require-hashes --only-binary=:all:" in stages[0]
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", stages[0], re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    assert [] == [source for source in copied if not (ROOT / source).exists()]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bill of materials, which takes seconds to make."""
    path = tmp_path_factory.mktemp("bill") / "bill.json"
    load_tool("sbom").write(path)
    return path


def test_bill_is_of_what_is_installed(bill: Path) -> None:
    """What an environment has is compared with the bill: another version, one too many and one that is missing are told."""
    sbom = load_tool("sbom")
    told = subprocess.run(
        [sys.executable, "-c", sbom.INSTALLED, *sys.path], check=True, capture_output=True, text=True
    ).stdout
    here = {canonicalize_name(name): version for name, version in json.loads(told).items()}
    server = {name: here[name] for name in pins(REQUIREMENTS / "run.txt")}
    odd = {**server, "aiohttp": "0.1", "Left_Pad": "1.0"}
    del odd["uvicorn"]

    assert [] == list(sbom.differences(bill, server))
    assert [
        f"aiohttp: {server['aiohttp']} listed, 0.1 installed",
        "left-pad: none listed, 1.0 installed",
        f"uvicorn: {server['uvicorn']} listed, none installed",
    ] == list(sbom.differences(bill, odd))


def test_bill_of_materials(bill: Path, tmp_path: Path) -> None:
    """The bill names every pinned package of a server with its version and hashes, no other, and is the same each time."""
    again = tmp_path / "again.json"
    load_tool("sbom").write(again)
    listed = json.loads(bill.read_bytes())
    wanted = pins(REQUIREMENTS / "run.txt")

    assert bill.read_bytes() == again.read_bytes()
    assert "CycloneDX" == listed["bomFormat"]
    assert wanted == {its["name"]: its["version"] for its in listed["components"]}
    for its in listed["components"]:
        assert any(reference.get("hashes") for reference in its.get("externalReferences", [])) or its.get(
            "hashes"
        )
