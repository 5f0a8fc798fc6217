"""The outbox in detail, as every store must keep it: one try a target, pauses, dead letters, replays, secrets."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pikarelay.jobs.breaker import Health, held
from pikarelay.jobs.callbacks import (
    CallbackFilter,
    CallbackRecord,
    CallbackState,
    Target,
    Trigger,
)
from pikarelay.jobs.job import Job, Status
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    CallbackSecret,
)
from pikarelay.store.rules import DISABLED
from pikarelay.store.sqlite import SqliteStore
from tests.store.conftest import (
    LEASE,
    NOW,
    TOKEN,
    AnyStore,
    a_draft,
    a_final_job,
    a_job,
    a_sent_job,
    an_attempt,
    ends,
    put,
    put_with_callback,
)

DAY = timedelta(days=1)
#: One receiver for all.
SHARED = "https://shared.example.com/hook"
TARGET = "https://shared.example.com"
FAILING = Health(failing_since=NOW, failures=1)
DISABLED_HEALTH = Health(failing_since=NOW - 6 * DAY, exhausted=10, disabled=NOW)


async def claim(store: AnyStore, seconds: int = 60, fresh: int = 10, failing: int = 10) -> list[str]:
    claimed = await store.claim_callbacks(NOW + timedelta(seconds=seconds), LEASE, fresh, failing)
    return [callback.job_id for callback in claimed]


async def the_target(store: AnyStore, target: str = TARGET) -> Target:
    (found,) = await store.targets(10, target)
    return found


async def bury(store: AnyStore, *jobs: Job) -> None:
    """Let the tries of jobs with targets of their own end for good."""
    for job in jobs:
        await store.claim_callbacks(NOW + timedelta(seconds=60), LEASE, 99, 99)
        await store.finish_callback(
            an_attempt(job, error="http_500", status=500), ends(given_up=True, health=FAILING)
        )


class TestTargets:
    async def test_one_try_at_a_time(self, store: AnyStore) -> None:
        """A target that is being tried is not claimed again before that try has ended, then its next callback is."""
        jobs = [a_final_job(n) for n in (1, 2, 3)]
        await put_with_callback(store, *jobs, url=SHARED)

        assert ["job-0001"] == await claim(store)
        assert [] == await claim(store)
        await store.finish_callback(an_attempt(jobs[0]), ends(delivered=True))
        assert ["job-0002"] == await claim(store)

    async def test_arrival_does_not_interrupt(self, store: AnyStore) -> None:
        """A callback that becomes due while its target is tried waits for the end of that try."""
        await put_with_callback(store, a_final_job(1), url=SHARED)
        await claim(store)
        await put_with_callback(store, a_final_job(2), url=SHARED)

        assert [] == await claim(store)
        assert NOW + timedelta(seconds=60) + LEASE == await store.next_callback()

    async def test_earlier_callback_brings_its_target_forward(self, store: AnyStore) -> None:
        """A target is due as soon as any of its callbacks is."""
        await put_with_callback(store, a_final_job(50), url=SHARED)
        await put_with_callback(store, a_final_job(2), url=SHARED)

        assert a_final_job(2).updated == await store.next_callback()
        assert ["job-0002"] == await claim(store, 2)

    async def test_kinds_have_places_of_their_own(self, store: AnyStore) -> None:
        """Targets that failed and targets that did not are claimed from two queues."""
        jobs = [a_final_job(n) for n in range(1, 5)]
        await put_with_callback(store, *jobs)
        await claim(store)
        for job in jobs[:2]:
            await store.finish_callback(an_attempt(job), ends(retry_at=NOW, health=FAILING))
        for job in jobs[2:]:
            await store.finish_callback(an_attempt(job), ends(retry_at=NOW, health=Health()))

        assert ["job-0003"] == await claim(store, 60, fresh=1, failing=0)
        assert ["job-0001"] == await claim(store, 60, fresh=0, failing=1)
        claimed = await store.claim_callbacks(NOW + timedelta(seconds=60), LEASE, 9, 9)
        assert {"job-0002": True, "job-0004": False} == {c.job_id: c.target_is_failing for c in claimed}

    async def test_pause(self, store: AnyStore) -> None:
        """A paused target is due when its pause is over, with what was due before and what came meanwhile."""
        job = a_final_job(1)
        await put_with_callback(store, job, url=SHARED)
        await claim(store)
        paused = Health(failing_since=NOW, failures=10, pauses=1, paused_until=NOW + DAY)
        await store.finish_callback(an_attempt(job), ends(retry_at=NOW, is_counted=False, health=paused))
        await put_with_callback(store, a_final_job(2), url=SHARED)

        assert NOW + DAY == await store.next_callback()
        assert Target(target=TARGET, health=paused, due=NOW + DAY) == await the_target(store)
        assert [] == await claim(store, 24 * 3600 - 1)
        (again,) = await store.claim_callbacks(NOW + DAY, LEASE, 9, 9)
        assert ("job-0001", 2, 0) == (again.job_id, again.attempt, again.tries)

    async def test_disabled_target_buries_its_callbacks(self, store: AnyStore) -> None:
        """When a target is disabled, what waits for it and what comes is dead, and says why."""
        jobs = [a_final_job(n) for n in (1, 2)]
        await put_with_callback(store, *jobs, url=SHARED)
        await claim(store)
        await store.finish_callback(
            an_attempt(jobs[0], error="connect", status=None), ends(given_up=True, health=DISABLED_HEALTH)
        )
        await put_with_callback(store, a_final_job(3), url=SHARED)

        assert await store.next_callback() is None
        dead = await store.undelivered(CallbackFilter(state=CallbackState.DEAD), 10)
        assert [("job-0003", DISABLED), ("job-0002", DISABLED), ("job-0001", "connect")] == [
            (record.job_id, record.error) for record in dead
        ]

    async def test_switch(self, store: AnyStore) -> None:
        """The operator switches a target off and on again; what was buried stays so until it is replayed."""
        await put_with_callback(store, a_final_job(1), url=SHARED)

        assert await store.put_health(TARGET, held(NOW))
        assert await store.next_callback() is None
        assert not await store.replay_callback("job-0001", NOW)
        assert () == await store.replay_dead(CallbackFilter(), NOW, 10)
        assert await store.put_health(TARGET, Health())
        assert await store.next_callback() is None
        await put_with_callback(store, a_final_job(2), url=SHARED)
        assert a_final_job(2).updated == await store.next_callback()
        assert not await store.put_health("https://nowhere.example", Health())

    async def test_failing_ones_are_listed_first(self, store: AnyStore) -> None:
        """Targets are listed with the failing ones first, up to the limit."""
        jobs = [a_final_job(n) for n in (1, 2, 3)]
        await put_with_callback(store, *jobs)
        await claim(store)
        await store.finish_callback(an_attempt(jobs[1]), ends(retry_at=NOW, health=FAILING))

        listed = await store.targets(2)
        assert ["https://job-0002.example.com", "https://job-0001.example.com"] == [t.target for t in listed]
        assert (FAILING, Health()) == (listed[0].health, listed[1].health)
        assert NOW + timedelta(seconds=60) + LEASE == listed[1].busy_until

    async def test_forgotten_with_its_last_callback(self, store: AnyStore) -> None:
        """A target goes with the last of its callbacks, unless the operator has switched it off."""
        await put_with_callback(store, a_final_job(1), a_final_job(2))
        await store.put_health("https://job-0002.example.com", held(NOW))
        await store.prune(NOW + DAY)

        assert ["https://job-0002.example.com"] == [target.target for target in await store.targets(10)]

    async def test_pruned_callback_of_a_busy_target(self, store: AnyStore) -> None:
        """A target whose due callback was pruned is found to have nothing due, and goes on with the others."""
        await put_with_callback(store, a_final_job(1), url=SHARED)
        await put_with_callback(store, a_final_job(50), url=SHARED)
        await store.prune(NOW + timedelta(seconds=10))

        assert [] == await claim(store, 5)
        assert a_final_job(50).updated == await store.next_callback()
        assert ["job-0050"] == await claim(store, 50)


class TestReleasedClaims:
    async def test_released_claims_are_due_at_once(self, store: AnyStore) -> None:
        """What a dead process had claimed can be claimed again at once, as another try; all else keeps its time."""
        await put_with_callback(store, a_final_job(1), url=SHARED)
        await put_with_callback(store, a_final_job(2), url=SHARED)
        await put_with_callback(store, a_final_job(3))
        claimed = await claim(store)
        moment = NOW + timedelta(seconds=61)

        assert 2 == len(claimed)
        assert 2 == await store.release_claims(moment)
        assert moment >= (await store.next_callback() or moment)
        again = await store.claim_callbacks(moment, LEASE, 10, 10)
        assert sorted(claimed) == sorted(callback.job_id for callback in again)
        assert {2} == {callback.attempt for callback in again}

    async def test_without_claims_nothing_is_released(self, store: AnyStore) -> None:
        """Waiting retries and claims that have run out are left as they are."""
        await put_with_callback(store, a_final_job(1))
        await put_with_callback(store, a_final_job(2))
        (first,) = await store.claim_callbacks(NOW + timedelta(seconds=1), LEASE, 1, 0)
        job = a_final_job(1 if first.job_id == "job-0001" else 2)
        later = NOW + timedelta(hours=1)
        await store.finish_callback(an_attempt(job, error="http_500"), ends(retry_at=later, health=FAILING))
        before = await store.targets(10)

        assert 0 == await store.release_claims(NOW + timedelta(seconds=2))
        assert before == await store.targets(10)


class TestDeadLetters:
    async def test_record(self, store: AnyStore) -> None:
        """A callback is listed with where it goes, how it stands, and what went wrong last."""
        job = a_final_job(1)
        await put_with_callback(store, job, url=SHARED + "?key=k")
        await claim(store)
        await store.finish_callback(an_attempt(job, error="tls", status=None), ends(retry_at=NOW + DAY))

        expected = CallbackRecord(
            callback_id="cb-job-0001",
            job_id="job-0001",
            caller_id="ann",
            target=TARGET,
            url=SHARED + "?key=k",
            state=CallbackState.WAITING,
            created=job.updated,
            attempt=1,
            due=NOW + DAY,
            error="tls",
        )
        assert expected == await store.callback("job-0001")
        assert (expected,) == await store.undelivered(CallbackFilter(), 10)
        assert await store.callback("none") is None

    async def test_delivered_is_not_listed(self, store: AnyStore) -> None:
        """A delivered callback is no dead letter, and still known by its job."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await claim(store)
        await store.finish_callback(an_attempt(job), ends(delivered=True))

        assert () == await store.undelivered(CallbackFilter(), 10)
        record = await store.callback("job-0001")
        assert record is not None
        assert (CallbackState.DELIVERED, None, None) == (record.state, record.due, record.error)

    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            (CallbackFilter(), [4, 3, 2, 1]),
            (CallbackFilter(caller_id="bob"), [4]),
            (CallbackFilter(caller_id="eve"), []),
            (CallbackFilter(target="https://job-0002.example.com"), [2]),
            (CallbackFilter(state=CallbackState.DEAD), [3, 1]),
            (CallbackFilter(state=CallbackState.WAITING), [4, 2]),
            (CallbackFilter(since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=4)), [3, 2]),
        ],
    )
    async def test_filter(self, store: AnyStore, which: CallbackFilter, expected: list[int]) -> None:
        """Each part of a filter leaves out what it does not mean; the newest come first."""
        jobs = [a_final_job(1), a_final_job(2), a_final_job(3), a_final_job(4, caller_id="bob")]
        await put_with_callback(store, *jobs)
        await bury(store, jobs[0], jobs[2])

        found = [record.job_id for record in await store.undelivered(which, 10)]
        assert [f"job-{number:04}" for number in expected] == found
        assert found[:1] == [record.job_id for record in await store.undelivered(which, 1)]

    async def test_replay_of_one(self, store: AnyStore) -> None:
        """A replayed callback is due now, with the same id and bytes, all its tries, and its log."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await bury(store, job)
        later = NOW + DAY

        assert await store.replay_callback("job-0001", later)
        (callback,) = await store.claim_callbacks(later, LEASE, 9, 9)
        assert (a_draft(job).body, "cb-job-0001", Trigger.MANUAL, 2, 0, later) == (
            callback.body,
            callback.callback_id,
            callback.trigger,
            callback.attempt,
            callback.tries,
            callback.begun,
        )
        await store.finish_callback(
            an_attempt(job, 2, trigger=Trigger.MANUAL), ends(retry_at=later, health=Health())
        )
        (third,) = await store.claim_callbacks(later, LEASE, 9, 9)
        assert (Trigger.SCHEDULE, 1) == (third.trigger, third.tries)
        assert [1, 2] == [attempt.attempt for attempt in await store.attempts("job-0001")]

    async def test_replay_of_what_was_delivered(self, store: AnyStore) -> None:
        """A delivered callback can be sent once more."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await claim(store)
        await store.finish_callback(an_attempt(job), ends(delivered=True))

        assert await store.replay_callback("job-0001", NOW)
        assert ["job-0001"] == await claim(store)
        assert not await store.replay_callback("none", NOW)

    async def test_replay_gives_a_target_another_chance(self, store: AnyStore) -> None:
        """A target that failures have disabled is tried again when one of its callbacks is replayed."""
        await put_with_callback(store, a_final_job(1), url=SHARED)
        await store.put_health(TARGET, DISABLED_HEALTH)

        assert await store.replay_callback("job-0001", NOW)
        assert replace(DISABLED_HEALTH, disabled=None) == (await the_target(store)).health
        assert NOW == await store.next_callback()

    async def test_replay_of_the_dead(self, store: AnyStore) -> None:
        """A replay of many takes the dead ones that are meant, oldest first, up to the limit."""
        jobs = [a_final_job(n) for n in range(1, 6)]
        await put_with_callback(store, *jobs)
        await bury(store, *jobs[:4])
        which = CallbackFilter(since=jobs[1].updated)

        assert ("job-0002", "job-0003") == await store.replay_dead(which, NOW, 2)
        assert ("job-0004",) == await store.replay_dead(which, NOW, 2)
        assert () == await store.replay_dead(which, NOW, 2)
        dead = await store.undelivered(CallbackFilter(state=CallbackState.DEAD), 10)
        assert ["job-0001"] == [record.job_id for record in dead]


def a_secret(number: int, **fields: object) -> CallbackSecret:
    given = {"caller_id": "ann", "created": NOW + timedelta(hours=number), **fields}
    return CallbackSecret(secret_id=f"s{number}", secret=Secret(f"whsec_{number}{TOKEN}"), **given)  # type: ignore[arg-type]


class TestSecrets:
    async def test_rotation(self, store: AnyStore) -> None:
        """The old secret lives on for a while beside the new one, which comes first; others' are others'."""
        await store.rotate_callback_secret(a_secret(1), NOW)
        await store.rotate_callback_secret(a_secret(2), NOW + DAY)

        both = (a_secret(2), a_secret(1, expires=NOW + DAY))
        assert both == await store.callback_secrets("ann", NOW + DAY - timedelta(seconds=1))
        assert (a_secret(2),) == await store.callback_secrets("ann", NOW + DAY)
        assert () == await store.callback_secrets("bob", NOW)

    async def test_another_rotation_prolongs_nothing(self, store: AnyStore) -> None:
        """A secret that has an end keeps it, whatever comes after."""
        await store.rotate_callback_secret(a_secret(1), NOW)
        await store.rotate_callback_secret(a_secret(2), NOW + DAY)
        await store.rotate_callback_secret(a_secret(3), NOW + 2 * DAY)

        assert (a_secret(3), a_secret(2, expires=NOW + 2 * DAY)) == await store.callback_secrets(
            "ann", NOW + DAY
        )

    async def test_removal(self, store: AnyStore) -> None:
        """All secrets of a caller are forgotten at once."""
        await store.rotate_callback_secret(a_secret(1), NOW)
        await store.rotate_callback_secret(a_secret(2), NOW + DAY)

        assert await store.remove_callback_secrets("ann") == 2
        assert () == await store.callback_secrets("ann", NOW)
        assert await store.remove_callback_secrets("ann") == 0

    async def test_sealed(self, sqlite_store: SqliteStore) -> None:
        """A secret cannot be read in the database."""
        await sqlite_store.rotate_callback_secret(a_secret(1), NOW)
        runner = sqlite_store._runner
        rows = runner._reader.execute("SELECT secret FROM callback_secrets").fetchall()  # type: ignore[attr-defined]

        assert len(rows) == 1
        assert TOKEN.encode() not in rows[0][0]


class TestFigures:
    async def test_what_is_counted(self, store: AnyStore) -> None:
        """Unfinished jobs are counted by status, and of callbacks those that are not delivered."""
        await put(store, a_job(1), a_job(2), a_sent_job(3, status=Status.PROGRESS))
        await put_with_callback(store, *(a_final_job(number) for number in (4, 5, 6)))
        await store.claim_callbacks(NOW + DAY, LEASE, 10, 10)
        await store.finish_callback(an_attempt(a_final_job(4)), ends(delivered=True))
        await store.finish_callback(an_attempt(a_final_job(5)), ends(given_up=True, health=FAILING))
        figures = await store.figures(NOW)

        assert {"created": 2, "progress": 1} == figures.jobs
        assert 2 == figures.presses_waiting
        assert {"waiting": 1, "dead": 1} == figures.callbacks
        assert {"healthy": 2, "failing": 1} == figures.targets

    async def test_oldest_due(self, store: AnyStore) -> None:
        """The oldest due callback is one that could be tried: not of a paused target or a disabled one, and not being tried."""
        assert (await store.figures(NOW)).oldest_due is None
        jobs = [a_final_job(number) for number in range(1, 5)]
        await put_with_callback(store, *jobs)
        first, second, third, fourth = (f"https://{job.job_id}.example.com" for job in jobs)

        assert jobs[0].updated == (await store.figures(NOW)).oldest_due
        await store.put_health(
            first, Health(failures=10, pauses=1, paused_until=NOW + DAY, failing_since=NOW)
        )
        await store.put_health(second, DISABLED_HEALTH)
        figures = await store.figures(NOW)

        assert jobs[2].updated == figures.oldest_due
        assert {"paused": 1, "disabled": 1, "healthy": 2} == figures.targets
        claimed = await store.claim_callbacks(jobs[2].updated, LEASE, 10, 10)

        assert [third] == [callback.url.removesuffix("/hook") for callback in claimed]
        assert jobs[3].updated == (await store.figures(NOW)).oldest_due
        # The pause is over.
        assert jobs[0].updated == (await store.figures(NOW + DAY)).oldest_due
        await store.put_health(fourth, held(NOW))
        await store.put_health(first, held(NOW))

        assert jobs[2].updated + LEASE == (await store.figures(NOW + DAY)).oldest_due
