"""What jobs leave behind at Discord, accounts that go bad, and restarts: a whole server on a local Discord."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from localdiscord.server import LocalDiscord
from pikarelay.jobs.job import PressPhase, Status
from pikarelay.jobs.requests import AccountRequest
from pikarelay.jobs.secret import Secret
from pikarelay.services.configure_account import AccountOffice
from pikarelay.services.keep_orphans import NotAssignable
from pikarelay.services.ports import OrphanReason
from pikarelay.system import SystemClock
from tests.discord.relaying import Relay, double_presses, relaying, strangers
from tests.discord.surroundings import until

INTERACTIONS = {"method": "POST", "route": "/interactions"}


def behave(local: LocalDiscord, name: str = "plain", **its: Any) -> None:
    local.admin.configure("Pika", {"behaviour": name, **its})


async def orphaned(relay: Relay, count: int = 1) -> list[tuple[str, ...]]:
    """Return the candidates of all orphans once there are so many."""
    async with asyncio.timeout(15):
        while len(orphans := await relay.offices.store.orphans()) < count:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.01)
    return [orphan.candidates for orphan in orphans]


async def test_cancelled_and_retried(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """The video of a cancelled job is not given to the retry of the same button, which waits for it."""
    async with relaying(local, tmp_path) as relay:
        parent = await relay.created("a kite", token.reveal(), channel)
        behave(local, speed=0.5)
        gone = (await relay.retry(parent))[1]["jobid"]
        await relay.ask("GET", f"jobs/cancel/?jobid={gone}")
        before = (await relay.ask("GET", f"jobs/?jobid={gone}"))[1]
        job = await relay.ended((await relay.retry(parent))[1]["jobid"])

        assert Status.COMPLETED is job.status
        assert [] == strangers(local, [job])
        assert [(gone,)] == await orphaned(relay)
        assert before == (await relay.ask("GET", f"jobs/?jobid={gone}"))[1]
    assert [] == double_presses(local)


async def test_cancelled_before_the_first_word(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """A job that is cancelled before the bot said anything is told from its retry all the same."""
    async with relaying(local, tmp_path, **{"discord.answer_wait_seconds": 0.1}) as relay:
        parent = await relay.created("a kite", token.reveal(), channel)
        behave(local, speed=1.5)
        gone = (await relay.retry(parent))[1]["jobid"]
        assert PressPhase.BOUND is not (await relay.job(gone)).press.phase
        await relay.ask("GET", f"jobs/cancel/?jobid={gone}")
        job = await relay.ended((await relay.retry(parent))[1]["jobid"])

        assert Status.COMPLETED is job.status
        assert [] == strangers(local, [job])
        assert [(gone,)] == await orphaned(relay)


async def test_429_that_was_not_true(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """After a 429 there is no job, and the video that comes of it all the same is not the resubmitted one's."""
    async with relaying(local, tmp_path) as relay:
        parent = await relay.created("a kite", token.reveal(), channel)
        behave(local, speed=4.0)
        body = {"kind": "rate_limit", "retry_after": 1, "when": "after"}
        local.admin.arm({"where": "rest", "match": INTERACTIONS, "do": body, "times": 1})
        # Or the interaction's name, which two events tell, would prove the 429 wrong.
        delay = {"kind": "delay", "seconds": 0.8}
        match = {"event": "INTERACTION_*"}
        local.admin.arm({"where": "gateway", "match": match, "do": delay, "times": 2})
        status, refusal = await relay.retry(parent)
        listed = (await relay.ask("GET", "jobs"))[1]
        await asyncio.sleep(0)
        job = await relay.ended(await resubmitted(relay, parent))

        assert (429, []) == (status, listed)
        assert "Discord /interactions failed with HTTP status 429" == refusal["error"]
        assert Status.COMPLETED is job.status
        assert [] == strangers(local, [job])
        assert 1 == len(await orphaned(relay))


async def test_429_that_discord_itself_denies(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """When Discord names the interaction that its 429 denies, there is a job, and it has the video."""
    async with relaying(local, tmp_path) as relay:
        parent = await relay.created("a kite", token.reveal(), channel)
        behave(local, speed=0.5)
        body = {"kind": "rate_limit", "retry_after": 30, "when": "after"}
        local.admin.arm({"where": "rest", "match": INTERACTIONS, "do": body, "times": 1})
        status, answer = await relay.retry(parent)
        job = await relay.ended(answer["jobid"])

        assert (200, Status.COMPLETED) == (status, job.status)
        assert [] == strangers(local, [job])
        assert [] == await orphaned(relay, 0)


async def resubmitted(relay: Relay, parent: str) -> str:
    """Press again as clients do, until Discord's limit is over."""
    async with asyncio.timeout(15):
        while (answer := await relay.retry(parent))[0] == 429:  # noqa: ASYNC110 -- as clients do
            await asyncio.sleep(0.1)
    return str(answer[1]["jobid"])


async def test_deploy_resumes_the_session(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """A second process goes on with the first one's Gateway session, and hears what was said in between."""
    async with relaying(local, tmp_path) as relay:
        await relay.ask(
            "POST",
            f"account/{channel}",
            json={"discord": token.reveal(), "maxJobs": "10", "channel": channel},
        )
        parent = await relay.created("a kite", token.reveal(), channel)
        behave(local, speed=1.0)
        job_id = (await relay.retry(parent))[1]["jobid"]
    async with relaying(local, tmp_path) as relay:
        job = await relay.ended(job_id)

    assert Status.COMPLETED is job.status
    assert [] == strangers(local, [job])
    assert 1 == len(local.admin.state()["sessions"])


@pytest.mark.parametrize(
    ("kind", "its"),
    [
        ("unauthorized", {}),
        ("blocked", {}),
        ("verification_required", {}),
        ("captcha", {}),
        ("fail", {"status": 403, "code": 40333, "message": "internal network error"}),
    ],
)
async def test_account_that_discord_refuses(
    local: LocalDiscord,
    token: Secret,
    channel: str,
    tmp_path: Path,
    kind: str,
    its: dict[str, Any],
) -> None:
    """A refused account answers at once with a sentence, without asking Discord again, until it is set up anew."""
    account = {"discord": token.reveal(), "maxJobs": "10", "channel": channel}
    async with relaying(local, tmp_path) as relay:
        await relay.ask("POST", f"account/{channel}", json=account)
        parent = await relay.created("a kite", token.reveal(), channel)
        local.admin.arm({"where": "rest", "match": INTERACTIONS, "do": {"kind": kind, **its}, "times": 1})
        first = await relay.retry(parent)
        # Takes no time, and counts whatever is asked of Discord from now on.
        counter = {"kind": "slow", "seconds": 0.0}
        local.admin.arm({"where": "rest", "match": {}, "do": counter, "times": None})
        second = await relay.retry(parent)

        assert [502, 502] == [first[0], second[0]]
        assert ["failed", "failed"] == [first[1]["status"], second[1]["status"]]
        assert second[1]["error"]
        assert second[1]["errorDetails"]
        assert [0] == [each["matched"] for each in local.world.faults.report() if not each["spent"]]

        assert 204 == (await relay.ask("POST", f"account/{channel}", json=account))[0]
        assert Status.COMPLETED is (await relay.ended((await relay.retry(parent))[1]["jobid"])).status


async def test_new_token_from_another_process(
    local: LocalDiscord, user: dict[str, Any], channel: str, tmp_path: Path
) -> None:
    """A token that another process has stored takes the dead one's place without a restart, within seconds."""
    async with relaying(local, tmp_path) as relay:
        await relay.ask(
            "POST", f"account/{channel}", json={"discord": user["token"], "maxJobs": "10", "channel": channel}
        )
        parent = await relay.created("a kite", user["token"], channel)
        local.admin.revoke(user["id"])
        assert 502 == (await relay.retry(parent))[0]

        fresh = local.admin.new_token(user["id"])["token"]
        elsewhere = AccountOffice(relay.offices.store, SystemClock())
        (caller,) = await relay.offices.store.callers()
        await elsewhere.configure(
            caller, AccountRequest(channel=channel, discord_token=Secret(fresh), max_jobs=10)
        )
        await until(lambda: any(each["connected"] for each in local.admin.state()["sessions"]))
        job = await relay.ended((await relay.retry(parent))[1]["jobid"])

        assert Status.COMPLETED is job.status


async def test_late_result_is_assigned_by_hand(
    local: LocalDiscord, token: Secret, channel: str, tmp_path: Path
) -> None:
    """An orphan completes the job that a person names, and never one that has ended."""
    async with relaying(local, tmp_path) as relay:
        parent = await relay.created("a kite", token.reveal(), channel)
        behave(local, speed=0.3)
        gone = (await relay.retry(parent))[1]["jobid"]
        await relay.ask("GET", f"jobs/cancel/?jobid={gone}")
        await orphaned(relay)
        behave(local, speed=20)
        waiting = (await relay.retry(parent))[1]["jobid"]
        (orphan,) = await relay.offices.store.orphans()
        with pytest.raises(NotAssignable, match="has ended as cancelled"):
            await relay.offices.orphans.assign(orphan.message.id, gone)
        job = await relay.offices.orphans.assign(orphan.message.id, waiting)

        assert OrphanReason.LATE is orphan.reason
        assert (Status.COMPLETED, orphan.message.id) == (job.status, job.message_id)
        assert () == await relay.offices.store.orphans()
