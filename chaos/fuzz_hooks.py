"""The hooks of the schema tests, and a ledger of what was asked and answered. Loaded by Schemathesis, in its process."""

import json
import os
from typing import Any

import schemathesis

# Registers its hooks and checks.
from tests.acceptance import fuzz_hooks

__all__ = ["fuzz_hooks"]

_LEDGER = os.open(os.environ["FUZZ_LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@schemathesis.hook
def after_call(context: object, case: Any, response: Any) -> None:
    """Write down the answer: one line, in one write."""
    entry = {"method": case.method, "path": case.operation.path, "status": response.status_code}
    os.write(_LEDGER, json.dumps(entry).encode() + b"\n")
