"""Every manner in which the local Pika answers, six jobs at once: each job gets what its own press caused, or ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from localdiscord.server import LocalDiscord
from pikarelay.jobs.job import Status
from tests.discord.relaying import Relay, double_presses, relaying, strangers

PROMPTS = ["red kite", "blue boat", "green hat", "old tree", "warm bread", "tall ship"]
#: The manners that bring a video, and those whose results name their press, so that equal prompts may run side by side.
BRING = ["plain", "respond", "edit_in_place", "reply", "delete_queued"]
IDENTIFY = ["respond", "edit_in_place"]
REVERSED = [5, 4, 3, 2, 1, 0]


@pytest.fixture
async def relay(local: LocalDiscord, tmp_path: Path) -> AsyncIterator[Relay]:
    deadlines = {"discord.first_message_seconds": 12, "discord.job_seconds": 15}
    async with relaying(local, tmp_path, **deadlines) as relay:
        yield relay

        assert [] == double_presses(local)


async def six(relay: Relay, parents: list[str]) -> list[str]:
    """Press retry of six parents at once and return the ids of the jobs."""
    answers = await asyncio.gather(*(relay.retry(parent) for parent in parents))
    assert [200] * 6 == [status for status, _ in answers]
    return [body["jobid"] for _, body in answers]


def behave(local: LocalDiscord, name: str, **its: Any) -> None:
    local.admin.configure("Pika", {"behaviour": name, "speed": 0.2, **its})


@pytest.mark.parametrize("behaviour", BRING)
async def test_different_prompts_in_reverse(
    relay: Relay, local: LocalDiscord, token: Any, channel: str, behaviour: str
) -> None:
    """Six prompts that finish in the reverse of their order all complete, each with its own result."""
    behave(local, behaviour)
    parents = [await relay.created(prompt, token.reveal(), channel) for prompt in PROMPTS]
    behave(local, behaviour, finish_order=REVERSED)
    jobs = await relay.all_ended(await six(relay, parents))

    assert {Status.COMPLETED} == {job.status for job in jobs}
    assert [] == strangers(local, jobs)


@pytest.mark.parametrize("behaviour", BRING)
async def test_six_presses_of_one_button(
    relay: Relay, local: LocalDiscord, token: Any, channel: str, behaviour: str
) -> None:
    """Six retries of one parent all complete with their own results, in reverse order where the bot names the press."""
    behave(local, behaviour)
    parent = await relay.created("a cat on a mat", token.reveal(), channel)
    behave(local, behaviour, finish_order=REVERSED if behaviour in IDENTIFY else [])
    jobs = await relay.all_ended(await six(relay, [parent] * 6))

    assert {Status.COMPLETED} == {job.status for job in jobs}
    assert [] == strangers(local, jobs)


@pytest.mark.parametrize(
    ("behaviour", "its", "ending"),
    [
        ("moderated", {"moderation_style": "edited"}, Status.MODERATED),
        ("moderated", {"moderation_style": "ephemeral"}, Status.MODERATED),
        ("failed", {}, Status.FAILED),
        ("modal", {}, Status.FAILED),
        ("delete_queued", {"deletion": "before"}, Status.COMPLETED),
    ],
)
async def test_six_that_end_otherwise(
    relay: Relay,
    local: LocalDiscord,
    token: Any,
    channel: str,
    behaviour: str,
    its: dict[str, Any],
    ending: Status,
) -> None:
    """What the bot refuses, gives up, or asks a form for, ends as that, six at a time."""
    behave(local, "plain")
    parent = await relay.created("a cat on a mat", token.reveal(), channel)
    behave(local, behaviour, **its)
    jobs = await relay.all_ended(await six(relay, [parent] * 6))

    assert {ending} == {job.status for job in jobs}
    assert [] == strangers(local, jobs)


async def test_random_mixture(relay: Relay, local: LocalDiscord, token: Any, channel: str) -> None:
    """With every manner drawn by chance, equal prompts among different ones, no result is anybody else's."""
    behave(local, "plain")
    parents = [await relay.created(prompt, token.reveal(), channel) for prompt in PROMPTS[:3]]
    weights = dict.fromkeys([*BRING, "moderated", "failed"], 1)
    behave(local, "random", weights=weights, deletion="random", moderation_style="random", seed=7)
    jobs = [job for _ in range(3) for job in await relay.all_ended(await six(relay, parents * 2))]

    assert [] == strangers(local, jobs)
    assert not any(job.error == "Pika did not answer in time" for job in jobs)


async def test_silent_bot(relay: Relay, local: LocalDiscord, token: Any, channel: str) -> None:
    """A bot that never answers fails each job by Discord's own deadline, and holds up none for longer."""
    behave(local, "plain")
    parents = [await relay.created(prompt, token.reveal(), channel) for prompt in PROMPTS[:2]]
    behave(local, "silent")
    jobs = await relay.all_ended([(await relay.retry(parent))[1]["jobid"] for parent in parents])

    assert {"Pika did not answer the interaction"} == {job.error for job in jobs}
    behave(local, "plain")
    job = await relay.ended((await relay.retry(parents[0]))[1]["jobid"])
    assert Status.COMPLETED is job.status
    assert [] == strangers(local, [job])
