"""
The three examples of the API's page for POST /v1/pika/button, with real values in the places that the page marks.

Their text is kept as it stands on the page, in `tests/fixtures/examples`.
"""

import ast
import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_servers import DemoFailedError, run

_PAGE = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "examples"

CURL, JAVASCRIPT, PYTHON = "button.sh", "button.js", "button.py.txt"


@dataclass(frozen=True)
class Values:
    """What the page leaves to its reader."""

    url: str
    api_token: str
    discord_token: str
    job_id: str
    button: str = "retry"


def fill(example: str, values: Values) -> str:
    """Return the example with `values`, and nothing else changed."""
    text = (_PAGE / example).read_text(encoding="utf-8")
    for blank, value in (
        ("https://api.useapi.net", values.url),
        ("Bearer …", f"Bearer {values.api_token}"),
        ('"API token"', f'"{values.api_token}"'),
        ("<Completed pika/… jobid>", values.job_id),
        ("Completed pika/… jobid", values.job_id),
        ("<Button from buttons array of above jobid>", values.button),
        ("Button from buttons array of above jobid", values.button),
        ("<Discord token>", values.discord_token),
        ('"Discord token"', f'"{values.discord_token}"'),
    ):
        text = text.replace(blank, value)
    return text.strip()


def press(values: Values) -> tuple[str, dict[str, Any]]:
    """Run the page's curl command, or its Python where there is no curl. Return what ran, and the answer."""
    if shutil.which("curl"):
        command = fill(CURL, values)
        answer = run([*shlex.split(command.replace("\\\n", " "))])
        return command, _read(answer, json.loads)
    program = fill(PYTHON, values)
    # It prints the response and then its JSON, as Python writes a dict.
    answer = run([sys.executable, "-c", program]).partition("> ")[2]
    return program, _read(answer, ast.literal_eval)


def _read(answer: str, parse: Any) -> dict[str, Any]:
    try:
        body: dict[str, Any] = parse(answer)
    except (ValueError, SyntaxError):
        raise DemoFailedError(f"the answer to the button is not JSON: {answer[:200]!r}") from None
    return body
