"""The alert rules: that Prometheus takes them, that they fire, and that each says what to do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "alerts.yml"
NAMES = re.findall(r"alert: (\w+)", RULES.read_text())

#: For each rule: a series that means trouble, and one that does not; and in how many minutes it fires.
CASES = {
    "PikarelayNotReady": ('pikarelay_ready{job="pikarelay"}', 0, 1),
    "PikarelayCallbackOverdue": ("pikarelay_oldest_due_callback_seconds", 301, 300),
    "PikarelayDeadLetters": ('pikarelay_callbacks{state="dead"}', 1, 0),
    "PikarelayDiskNearlyFull": ("pikarelay_disk_free_bytes", 9, 10),
    "PikarelayDiscordRefuses": ("pikarelay_discord_invalid_requests", 51, 50),
    "PikarelayAccountUnusable": ('pikarelay_gateway_sessions{link="offline",standing="captcha"}', 1, 0),
    "PikarelayEventLoopLate": ("pikarelay_event_loop_lag_seconds", 0.26, 0.25),
}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    assert found is not None, "promtool is needed: make system"
    return found


def test_each_has_a_case() -> None:
    """Every rule has its case here."""
    assert list(CASES) == NAMES


def test_each_has_a_runbook() -> None:
    """Every rule leads to a heading of its own in the operator's handbook, with something below it."""
    text = RULES.read_text()
    handbook = (ROOT / "docs" / "operations.md").read_text()
    for name in NAMES:
        assert f"docs/operations.md#{name.lower()}\n" in text
        assert re.search(rf"^### {name}\n\n\S", handbook, re.MULTILINE), name
    assert len(NAMES) == text.count("runbook_url:")


def test_each_metric_exists() -> None:
    """Every metric that a rule asks for is one that the server shows."""
    asked = set(re.findall(r"pikarelay_\w+", RULES.read_text()))
    shown = (ROOT / "src" / "pikarelay" / "api" / "metrics.py").read_text()

    assert asked
    assert [] == [metric for metric in sorted(asked) if f'"{metric}"' not in shown]


def test_prometheus_takes_them(promtool: str) -> None:
    """Prometheus's own checker reads the file without a complaint."""
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    assert f"{len(NAMES)} rules found" in done.stdout


@pytest.mark.parametrize("name", CASES)
def test_fires(promtool: str, tmp_path: Path, name: str) -> None:
    """A rule fires for what is trouble, and is silent for what is just none."""
    series, bad, good = CASES[name]
    said = subprocess.run(
        [promtool, "test", "rules", _cases(tmp_path, name, series, bad)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 != said.returncode, "it did not fire"
    assert f"alertname={name!r}".replace("'", '"') in said.stderr.replace("\\", ""), said.stderr
    quiet = subprocess.run(
        [promtool, "test", "rules", _cases(tmp_path, name, series, good)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == quiet.returncode, quiet.stdout


def _cases(folder: Path, name: str, series: str, value: float) -> Path:
    """Write a test that expects silence after ten minutes."""
    file = folder / f"{name}-{value}.yml"
    file.write_text(f"""
rule_files: [{RULES}]
tests:
  - interval: 1m
    input_series:
      - series: '{series}'
        values: '{value}x10'
      - series: 'pikarelay_disk_bytes'
        values: '100x10'
    alert_rule_test:
      - eval_time: 10m
        alertname: {name}
        exp_alerts: []
""")
    return file
