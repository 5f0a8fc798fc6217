"""What every store does, asked of each of them."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest
from msgspec.structs import replace

from pikarelay.errors import TooManyJobs
from pikarelay.jobs.deadlines import OPEN_PHASES
from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.job import Button, Job, PressPhase, Status, Upload
from pikarelay.jobs.ownership import channel_name, session_name_of
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    KEY_LIFETIME,
    Change,
    Condition,
    DecideOutcome,
    Holder,
    KeptSession,
    KeyedJob,
    KeyTaken,
    MessageTaken,
    OrphanReason,
    Sightings,
)
from pikarelay.store.rules import AlreadyThere
from tests.store.conftest import (
    LEASE,
    NOW,
    AnyStore,
    Opener,
    a_caller,
    a_draft,
    a_final_job,
    a_job,
    a_sent_job,
    a_token,
    an_account,
    an_attempt,
    an_orphan,
    ends,
    put,
    put_with_callback,
)

DELIVERED = ends(delivered=True)
GIVEN_UP = ends(given_up=True)
MILLISECOND = timedelta(milliseconds=1)


def a_key(text: str, digest: bytes = b"d1") -> RequestKey:
    return RequestKey(text=text, digest=digest)


@pytest.mark.usefixtures("callers")
class TestAccounts:
    async def test_account_is_read_back(self, store: AnyStore) -> None:
        """An account comes back as it was put, its Discord token included."""
        await store.put_account(an_account())

        assert an_account() == await store.account("ann", "100")
        assert await store.account("ann", "200") is None
        assert await store.account("bob", "100") is None

    async def test_account_is_replaced(self, store: AnyStore) -> None:
        """Putting an account on a channel that has one replaces it."""
        changed = an_account(discord_token=Secret("another"), max_jobs=9, updated=NOW + LEASE)
        await store.put_account(an_account())
        await store.put_account(changed)

        assert (changed,) == await store.accounts("ann")

    async def test_accounts_are_listed_by_channel(self, store: AnyStore) -> None:
        """One caller's accounts, or all, are listed by channel."""
        for caller_id, channel in (("ann", "300"), ("bob", "200"), ("ann", "100")):
            await store.put_account(an_account(caller_id, channel))

        assert [account.channel for account in await store.accounts("ann")] == ["100", "300"]
        assert [account.channel for account in await store.accounts()] == ["100", "200", "300"]
        assert await store.accounts("carl") == ()

    async def test_account_is_deleted(self, store: AnyStore) -> None:
        """A deleted account is gone, and deleting it again says so."""
        await store.put_account(an_account())

        assert await store.delete_account("ann", "100") is True
        assert await store.account("ann", "100") is None
        assert await store.delete_account("ann", "100") is False


def limited_to(places: int, job: Job) -> Callable[[Mapping[str, tuple[str, ...]]], Job]:
    def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
        if len(executing[job.channel]) >= places:
            raise TooManyJobs(places, executing[job.channel])
        return job

    return decide


@pytest.mark.usefixtures("callers")
class TestAdmission:
    async def test_decision_sees_what_executes(self, store: AnyStore) -> None:
        """The decision sees the caller's unfinished jobs on each channel asked for, oldest first, and no others."""
        await put(
            store,
            a_job(3),
            a_job(1),
            a_job(2, channel="200"),
            a_final_job(4),
            a_job(5, caller_id="bob"),
            a_job(6, channel="400"),
        )
        seen: list[Mapping[str, tuple[str, ...]]] = []

        def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
            seen.append(executing)
            return a_job(7)

        admitted = await store.admit("ann", ["300", "100", "200"], decide)

        assert seen == [{"300": (), "100": ("job-0001", "job-0003"), "200": ("job-0002",)}]
        assert a_job(7) == admitted
        assert a_job(7) == await store.job("job-0007")

    async def test_refusal_writes_nothing(self, store: AnyStore) -> None:
        """What the decision raises is passed on as it is, and nothing is written."""
        refusal = TooManyJobs(1, ["job-0001"])

        def refuse(_executing: Mapping[str, tuple[str, ...]]) -> Job:
            raise refusal

        with pytest.raises(TooManyJobs) as raised:
            await store.admit("ann", ["100"], refuse)
        assert refusal is raised.value
        assert await store.unfinished() == ()

    async def test_last_place_is_given_once(self, store: AnyStore) -> None:
        """Of many admissions racing for a channel's last place, exactly one is admitted."""
        await put(store, a_job(1), a_job(2))
        racers = [store.admit("ann", ["100"], limited_to(3, a_job(n))) for n in range(10, 40)]
        results = await asyncio.gather(*racers, return_exceptions=True)

        assert sum(isinstance(result, Job) for result in results) == 1
        assert sum(isinstance(result, TooManyJobs) for result in results) == 29
        assert len(await store.executing("ann")) == 3

    async def test_overlapping_channels(self, store: AnyStore) -> None:
        """Admissions that name the same channels in different orders all come through, each within its limit."""
        names = ["100", "200", "300"]
        racers = [
            store.admit("ann", names[n % 3 :] + names[: n % 3], limited_to(2, a_job(n, channel=names[n % 3])))
            for n in range(30)
        ]
        results = await asyncio.gather(*racers, return_exceptions=True)

        assert sum(isinstance(result, Job) for result in results) == 6
        assert sum(isinstance(result, TooManyJobs) for result in results) == 24

    @pytest.mark.parametrize(
        "twin", [a_job(1, press={"nonce": "other"}), a_job(2, press={"nonce": f"{1:019}"})]
    )
    async def test_id_and_nonce_are_given_once(self, store: AnyStore, twin: Job) -> None:
        """A second job with a known id or nonce is refused, and the first one stays as it is."""
        await put(store, a_job(1))

        with pytest.raises(AlreadyThere):
            await put(store, twin)
        assert (a_job(1),) == await store.unfinished()


class TestReadingJobs:
    async def test_unknown_job(self, store: AnyStore) -> None:
        """A job that does not exist is None, by id and by nonce."""
        assert await store.job("none") is None
        assert await store.job_by_nonce("none") is None

    async def test_job_by_nonce(self, store: AnyStore) -> None:
        """A nonce leads to its job, finished or not."""
        await put(store, a_job(1), a_final_job(2))

        assert a_job(1) == await store.job_by_nonce(f"{1:019}")
        assert a_final_job(2) == await store.job_by_nonce(f"{2:019}")

    async def test_executing_lists_unfinished_of_all_channels(self, store: AnyStore) -> None:
        """A caller's executing jobs are the unfinished ones of all channels, oldest first."""
        await put(store, a_job(2), a_sent_job(1, channel="200"), a_final_job(3), a_job(4, caller_id="bob"))

        assert await store.executing("ann") == ("job-0001", "job-0002")
        assert await store.executing("carl") == ()

    async def test_newest_jobs(self, store: AnyStore) -> None:
        """The newest jobs of all callers come newest first, finished or not, as many as asked for."""
        await put(store, a_job(2), a_final_job(3), a_job(1, caller_id="bob"))

        assert (a_final_job(3), a_job(2)) == await store.newest_jobs(2)
        assert (a_final_job(3), a_job(2), a_job(1, caller_id="bob")) == await store.newest_jobs(9)

    async def test_every_unfinished_status_is_unfinished(self, store: AnyStore) -> None:
        """Created, started and progress are unfinished; the four endings are not."""
        await put(store, *(a_job(n, status=status) for n, status in enumerate(Status)))

        assert [job.status for job in await store.unfinished()] == [
            Status.CREATED,
            Status.STARTED,
            Status.PROGRESS,
        ]

    async def test_open_jobs_have_left_this_server(self, store: AnyStore) -> None:
        """Sightings show the channel's unfinished jobs whose press has left, oldest press first."""
        late = a_sent_job(1, press={"sent": NOW + timedelta(hours=1), "phase": PressPhase.BOUND})
        early = a_sent_job(2, caller_id="bob", press={"phase": PressPhase.ACCEPTED})
        await put(store, late, early, a_job(3), a_final_job(4), a_sent_job(5, channel="200"))

        assert Sightings(open_jobs=(early, late), owners={}) == await store.sightings("100", [])

    async def test_owners_of_messages(self, store: AnyStore) -> None:
        """Sightings name the owners of the messages asked for, of finished jobs too, however many are asked for."""
        await put(store, a_sent_job(1), a_final_job(2))
        for number in range(20):
            job_id = f"job-{1 + number % 2:04}"
            message_id = f"m{number}"
            await store.change(job_id, lambda job, m=message_id: Change(job=job, message_id=m))  # type: ignore[misc]
        asked = ["unknown", *(f"m{number}" for number in range(19))]
        sightings = await store.sightings("100", asked)

        assert {f"m{number}": f"job-{1 + number % 2:04}" for number in range(19)} == sightings.owners

    async def test_closed_messages(self, store: AnyStore) -> None:
        """Messages of completed and moderated jobs are closed, however many are asked for; no others are."""
        endings = (Status.COMPLETED, Status.MODERATED, Status.FAILED, Status.CANCELLED)
        finals = [a_final_job(2 + number, status=status) for number, status in enumerate(endings)]
        await put(store, a_sent_job(1), *finals)
        for number in range(120):
            job_id = f"job-{1 + number % 5:04}"
            message_id = f"m{number}"
            await store.change(job_id, lambda job, m=message_id: Change(job=job, message_id=m))  # type: ignore[misc]
        closed = await store.closed_messages(["unknown", *(f"m{number}" for number in range(120))])

        assert {f"m{number}" for number in range(120) if number % 5 in {1, 2}} == closed
        assert frozenset() == await store.closed_messages([])


class TestChange:
    async def test_change_is_written(self, store: AnyStore) -> None:
        """What the decision returns is the job from then on."""
        await put(store, a_job(1))

        def decide(job: Job) -> Change:
            press = replace(job.press, phase=PressPhase.SENT, sent=NOW, user_id="5", interaction_id="6")
            buttons = (Button(name="retry", custom_id="x"),)
            return Change(
                job=replace(
                    job, press=press, status=Status.PROGRESS, buttons=buttons, discord_token=Secret("new")
                )
            )

        changed = await store.change("job-0001", decide)

        assert decide(a_job(1)).job == changed
        assert changed == await store.job("job-0001")

    async def test_unknown_job_is_not_decided_about(self, store: AnyStore) -> None:
        """For a job that does not exist, nobody is asked and None is returned."""
        asked: list[Job] = []

        def decide(job: Job) -> None:
            asked.append(job)

        assert await store.change("none", decide) is None
        assert asked == []

    async def test_no_change(self, store: AnyStore) -> None:
        """A decision of None leaves the job as it is."""
        await put(store, a_job(1))

        assert await store.change("job-0001", lambda _job: None) is None
        assert a_job(1) == await store.job("job-0001")

    async def test_what_decide_raises(self, store: AnyStore) -> None:
        """What the decision raises is passed on, and nothing is written."""
        await put(store, a_job(1))

        def decide(_job: Job) -> Change:
            raise LookupError("no")

        with pytest.raises(LookupError, match="no"):
            await store.change("job-0001", decide)
        assert a_job(1) == await store.job("job-0001")

    @pytest.mark.parametrize(
        "changed",
        [
            replace(a_job(1), job_id="other"),
            replace(a_job(1), caller_id="bob"),
            replace(a_job(1), channel="200"),
            replace(a_job(1), created=NOW),
            a_job(1, press={"nonce": "other"}),
        ],
    )
    async def test_identity_is_fixed(self, store: AnyStore, changed: Job) -> None:
        """A change of what was fixed at admission is refused as the defect it is."""
        await put(store, a_job(1))

        with pytest.raises(ValueError, match="never changes"):
            await store.change("job-0001", lambda _job: Change(job=changed))
        assert a_job(1) == await store.job("job-0001")

    async def test_no_change_is_lost(self, store: AnyStore) -> None:
        """Of 200 changes made at once to one job, each builds on the one before."""
        await put(store, a_job(1))

        def count(job: Job) -> Change:
            return Change(job=replace(job, message_flags=job.message_flags + 1))

        await asyncio.gather(*(store.change("job-0001", count) for _ in range(200)))
        job = await store.job("job-0001")

        assert job is not None
        assert job.message_flags == 200

    async def test_message_belongs_to_one_job(self, store: AnyStore) -> None:
        """A message that belongs to a job is refused to any other, together with all else of that change."""
        await put(store, a_sent_job(1), a_sent_job(2))
        await store.change("job-0001", lambda job: Change(job=job, message_id="m1"))

        with pytest.raises(MessageTaken):
            await store.change(
                "job-0002",
                lambda job: Change(
                    job=replace(job, status=Status.COMPLETED), message_id="m1", callback=a_draft(job)
                ),
            )
        assert a_sent_job(2) == await store.job("job-0002")
        assert (await store.sightings("100", ["m1"])).owners == {"m1": "job-0001"}
        assert await store.next_callback() is None

    async def test_same_message_again(self, store: AnyStore) -> None:
        """A job may say of a message that it owns it as often as it likes."""
        await put(store, a_sent_job(1))
        for _ in range(2):
            await store.change("job-0001", lambda job: Change(job=job, message_id="m1"))

        assert (await store.sightings("100", ["m1"])).owners == {"m1": "job-0001"}

    async def test_race_for_a_message(self, store: AnyStore) -> None:
        """Of many jobs that claim one message at once, exactly one gets it."""
        jobs = [a_sent_job(n) for n in range(20)]
        await put(store, *jobs)
        results = await asyncio.gather(
            *(store.change(job.job_id, lambda job: Change(job=job, message_id="m1")) for job in jobs),
            return_exceptions=True,
        )

        assert sum(isinstance(result, Job) for result in results) == 1
        assert sum(isinstance(result, MessageTaken) for result in results) == 19


class TestWithdrawing:
    @pytest.mark.parametrize("job", [a_job(1), a_sent_job(1)])
    async def test_not_accepted(self, store: AnyStore, job: Job) -> None:
        """A job whose press Discord never accepted is gone, and its place is free."""
        await put(store, job)
        await store.withdraw("job-0001", was_sent=False)

        assert await store.job("job-0001") is None
        assert await store.executing("ann") == ()

    @pytest.mark.parametrize(
        "job",
        [
            a_sent_job(1, press={"phase": PressPhase.ACCEPTED}),
            a_sent_job(1, press={"phase": PressPhase.BOUND}),
            a_sent_job(1, status=Status.STARTED),
            a_job(1, status=Status.CANCELLED),
            a_final_job(1),
        ],
    )
    async def test_any_other(self, store: AnyStore, job: Job) -> None:
        """A job that Discord accepted, or that has moved on, stays."""
        await put(store, job)
        await store.withdraw("job-0001", was_sent=False)
        await store.withdraw("none", was_sent=False)

        assert job == await store.job("job-0001")


@pytest.mark.usefixtures("callers")
class TestWithdrawnPresses:
    async def test_nobody_sees_it(self, store: AnyStore) -> None:
        """A withdrawn job whose press has left is shown to nobody and takes no place."""
        await store.admit("ann", ["100"], lambda _: a_sent_job(1), a_key("k1"))
        await store.withdraw("job-0001", was_sent=True)

        assert await store.job("job-0001") is None
        assert await store.executing("ann") == ()
        assert await store.unfinished() == ()
        assert await store.newest_jobs(9) == ()
        assert await store.job_by_key("ann", "k1", NOW) is None

    async def test_what_comes_of_it_is_recognised(self, store: AnyStore) -> None:
        """It is found by its nonce and among the ghosts, learns of its press, and stays unseen."""
        await put(store, a_sent_job(1))
        await store.withdraw("job-0001", was_sent=True)
        ghost = replace(a_sent_job(1), status=Status.FAILED, is_withdrawn=True)

        assert ghost == await store.job_by_nonce(f"{1:019}")
        assert (ghost,) == (await store.sightings("100", [], ghosts_since=NOW)).ghosts

        bound = replace(ghost, press=replace(ghost.press, phase=PressPhase.BOUND))
        await store.change("job-0001", lambda _job: Change(job=bound, message_id="m1"))

        assert bound == await store.job_by_nonce(f"{1:019}")
        assert await store.job("job-0001") is None
        assert {"m1": "job-0001"} == (await store.sightings("100", ["m1"])).owners

    async def test_press_that_never_left(self, store: AnyStore) -> None:
        """Of a press that waited, or was not sent after all, nothing is kept."""
        await put(store, a_job(1), a_sent_job(2))
        await store.withdraw("job-0001", was_sent=True)
        await store.withdraw("job-0002", was_sent=False)

        assert [None, None] == [await store.job_by_nonce(f"{n:019}") for n in (1, 2)]

    async def test_pruned_like_any_other(self, store: AnyStore) -> None:
        """In time it goes like every job that has ended."""
        await put(store, a_sent_job(1))
        await store.withdraw("job-0001", was_sent=True)

        assert 1 == await store.prune(NOW + LEASE)
        assert await store.job_by_nonce(f"{1:019}") is None


class TestGhosts:
    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
    @pytest.mark.parametrize("phase", OPEN_PHASES)
    async def test_open_presses_of_ended_jobs(
        self, store: AnyStore, status: Status, phase: PressPhase
    ) -> None:
        """Ghosts are the channel's failed and cancelled jobs with an open press, oldest press first."""
        late = a_sent_job(1, status=status, press={"phase": phase, "sent": NOW + LEASE})
        early = a_sent_job(2, status=status, press={"phase": phase})
        await put(store, late, early, a_sent_job(3, channel="200", status=status), a_sent_job(4))

        assert (early, late) == (await store.sightings("100", [], ghosts_since=NOW)).ghosts
        assert (late,) == (await store.sightings("100", [], ghosts_since=early.press.sent)).ghosts
        assert () == (await store.sightings("100", [])).ghosts

    async def test_ghosts_beside_jobs(self, store: AnyStore) -> None:
        """All ghosts are those of channels with an unfinished job, one that waits included, oldest press first."""
        late = a_sent_job(1, status=Status.CANCELLED, press={"sent": NOW + LEASE})
        early = a_sent_job(2, status=Status.FAILED, channel="200")
        alone = a_sent_job(3, status=Status.FAILED, channel="300")
        await put(store, late, early, alone, a_job(4), a_job(5, channel="200"), a_final_job(6, channel="300"))

        assert (early, late) == await store.ghosts(NOW)
        assert (late,) == await store.ghosts(NOW + LEASE / 2)

    async def test_no_ghosts(self, store: AnyStore) -> None:
        """What the bot has answered, what never left, and what nothing comes of any more, are none."""
        await put(
            store,
            a_sent_job(1, status=Status.COMPLETED, press={"phase": PressPhase.BOUND}),
            a_sent_job(2, status=Status.FAILED, press={"phase": PressPhase.SETTLED}),
            a_sent_job(3, status=Status.FAILED, press={"phase": PressPhase.REFUSED}),
            a_job(4, status=Status.CANCELLED),
        )

        assert () == (await store.sightings("100", [], ghosts_since=NOW)).ghosts


class TestOrphans:
    async def test_kept_and_listed(self, store: AnyStore) -> None:
        """Orphans are found by their message and listed by age, of one channel or of all."""
        kept = [an_orphan("m2", channel="200"), an_orphan("m1", seen=NOW + LEASE)]
        for orphan in reversed(kept):
            await store.keep_orphan(orphan)

        assert kept[1] == await store.orphan("m1")
        assert await store.orphan("none") is None
        assert tuple(kept) == await store.orphans()
        assert (kept[1],) == await store.orphans("100")

    async def test_first_sight_counts(self, store: AnyStore) -> None:
        """A message that is kept already stays as it was first seen."""
        await store.keep_orphan(an_orphan("m1"))
        await store.keep_orphan(an_orphan("m1", candidates=("job-0009",)))

        assert (an_orphan("m1"),) == await store.orphans()

    async def test_kept_with_a_change(self, store: AnyStore) -> None:
        """An orphan is written together with what it teaches of its job."""
        await put(store, a_final_job(1))
        await store.change("job-0001", lambda job: Change(job=job, message_id="m1", orphan=an_orphan("m1")))

        assert (an_orphan("m1"),) == await store.orphans()

    async def test_adopted(self, store: AnyStore) -> None:
        """An adopted message belongs to its new job alone, and is no orphan any more."""
        await put(store, a_final_job(1), a_sent_job(2))
        late = an_orphan("m1", reason=OrphanReason.LATE)
        await store.change("job-0001", lambda job: Change(job=job, message_id="m1", orphan=late))
        await store.change("job-0002", lambda job: Change(job=job, message_id="m1", adopts=True))

        assert () == await store.orphans()
        assert {"m1": "job-0002"} == (await store.sightings("100", ["m1"])).owners

    async def test_owned_message_is_no_orphan(self, store: AnyStore) -> None:
        """A message that is a job's is not kept for having been left open before."""
        await put(store, a_sent_job(1))
        await store.change("job-0001", lambda job: Change(job=job, message_id="m1"))
        await store.keep_orphan(an_orphan("m1"))

        assert () == await store.orphans()

    async def test_owned_message_is_not_adopted(self, store: AnyStore) -> None:
        """A message that was left open once is not taken from the job that has been told of it since."""
        await put(store, a_sent_job(1), a_sent_job(2))
        await store.keep_orphan(an_orphan("m1"))
        await store.change("job-0002", lambda job: Change(job=job, message_id="m1"))
        with pytest.raises(MessageTaken):
            await store.change("job-0001", lambda job: Change(job=job, message_id="m1", adopts=True))

        assert {"m1": "job-0002"} == (await store.sightings("100", ["m1"])).owners
        await store.change("job-0002", lambda job: Change(job=job, message_id="m1", adopts=True))
        assert () == await store.orphans()

    async def test_pruned_with_the_jobs(self, store: AnyStore) -> None:
        """Old orphans go with the old jobs."""
        await store.keep_orphan(an_orphan("m1"))
        await store.keep_orphan(an_orphan("m2", seen=NOW + LEASE))

        await store.prune(NOW + LEASE)

        assert ["m2"] == [orphan.message.id for orphan in await store.orphans()]


class TestSessions:
    async def test_kept_and_forgotten(self, store: AnyStore) -> None:
        """What is kept of a session is what was written last, until it is forgotten by name."""
        one = KeptSession(user_id="1", session_id="s1", sequence=7, resume_url="wss://x.example/?a=b")
        two = replace(one, session_id="s2", sequence=8)
        await store.keep_sessions({b"a" * 32: one})
        await store.keep_sessions({b"a" * 32: two, b"b" * 32: one})
        assert {b"a" * 32: two, b"b" * 32: one} == await store.kept_sessions()
        names = [session_name_of(b"a" * 32), session_name_of(b"c" * 32), channel_name("100")]
        assert {b"a" * 32: two} == await store.kept_sessions(names)
        await store.keep_sessions({}, [b"a" * 32])

        assert {b"b" * 32: one} == await store.kept_sessions()

    async def test_many_at_once(self, store: AnyStore) -> None:
        """However many sessions are written at once, each is kept, and each is replaced by the next."""
        first = {
            bytes([n]) * 32: KeptSession(
                user_id=str(n), session_id="s", sequence=n, resume_url="wss://x.example"
            )
            for n in range(70)
        }
        second = {digest: replace(its, sequence=its.sequence + 100) for digest, its in first.items()}
        await store.keep_sessions(first)
        assert first == await store.kept_sessions()
        await store.keep_sessions(second)

        assert second == await store.kept_sessions()
        assert second == await store.kept_sessions([*map(session_name_of, second)])


class TestHealth:
    async def test_newest_word_of_each(self, store: AnyStore) -> None:
        """Each account's last word counts while it is fresh; what is gone is forgotten."""
        ready = AccountHealth(state=HealthState.READY)
        paused = AccountHealth(state=HealthState.PAUSED, reason="all requests", until=NOW + LEASE)
        await store.keep_health({b"a" * 32: ready, b"b" * 32: ready, b"c" * 32: ready}, [], NOW)
        await store.keep_health({b"a" * 32: paused}, [b"c" * 32], NOW + LEASE)
        assert {b"a" * 32: paused, b"b" * 32: ready} == await store.health(NOW)

        assert {b"a" * 32: paused} == await store.health(NOW + LEASE)

    async def test_many_at_once(self, store: AnyStore) -> None:
        """However many accounts are written at once, each is kept, and each is replaced by the next."""
        first = {bytes([n]) * 32: AccountHealth(state=HealthState.READY, reason=str(n)) for n in range(70)}
        second = {digest: replace(its, state=HealthState.CONNECTING) for digest, its in first.items()}
        await store.keep_health(first, [], NOW)
        assert first == await store.health(NOW)
        await store.keep_health(second, [], NOW)

        assert second == await store.health(NOW)

    async def test_pruned(self, store: AnyStore) -> None:
        """What nobody has seen for a day is forgotten with the next word of anybody."""
        ready = AccountHealth(state=HealthState.READY)
        await store.keep_health({b"a" * 32: ready}, [], NOW)
        await store.keep_health({b"b" * 32: ready}, [], NOW + timedelta(days=1, seconds=1))

        assert [b"b" * 32] == list(await store.health(NOW))


class TestCallbacks:
    async def test_claimed_when_due(self, store: AnyStore) -> None:
        """A callback is due from the moment its job ended, with the very bytes it was drafted with."""
        job = a_final_job(1)
        await put_with_callback(store, job)

        assert job.updated == await store.next_callback()
        assert await store.claim_callbacks(job.updated - timedelta(milliseconds=1), LEASE, 10, 10) == ()
        (callback,) = await store.claim_callbacks(job.updated, LEASE, 10, 10)
        assert (a_draft(job).url, a_draft(job).body, "job-0001", "cb-job-0001", 1, job.updated) == (
            callback.url,
            callback.body,
            callback.job_id,
            callback.callback_id,
            callback.attempt,
            callback.created,
        )

    async def test_one_callback_per_job(self, store: AnyStore) -> None:
        """A second callback of a job is refused with all of its change."""
        job = a_final_job(1)
        await put_with_callback(store, job)

        with pytest.raises(AlreadyThere):
            await store.change(
                "job-0001",
                lambda job: Change(job=replace(job, error="x"), callback=a_draft(job, callback_id="cb2")),
            )
        assert job == await store.job("job-0001")

    async def test_oldest_first_up_to_the_limit(self, store: AnyStore) -> None:
        """A claim takes the oldest due ones, no more than it asked for, and in order."""
        await put_with_callback(store, *(a_final_job(n) for n in (3, 1, 2, 4)))
        now = NOW + timedelta(minutes=1)

        assert [c.job_id for c in await store.claim_callbacks(now, LEASE, 2, 2)] == ["job-0001", "job-0002"]
        assert [c.job_id for c in await store.claim_callbacks(now, LEASE, 9, 9)] == ["job-0003", "job-0004"]

    async def test_claimed_by_one(self, store: AnyStore) -> None:
        """Two that claim at the same time never get the same callback, and together get all."""
        await put_with_callback(store, *(a_final_job(n) for n in range(20)))
        now = NOW + timedelta(minutes=1)
        claims = await asyncio.gather(*(store.claim_callbacks(now, LEASE, 15, 15) for _ in range(2)))
        claimed = [callback.job_id for claim in claims for callback in claim]

        assert sorted(f"job-{n:04}" for n in range(20)) == sorted(claimed)

    async def test_lease_runs_out(self, store: AnyStore) -> None:
        """A claim whose outcome is not recorded in time comes up again, as the next try."""
        await put_with_callback(store, a_final_job(1))
        now = NOW + timedelta(minutes=1)
        await store.claim_callbacks(now, LEASE, 10, 10)

        assert now + LEASE == await store.next_callback()
        assert await store.claim_callbacks(now + LEASE - timedelta(milliseconds=1), LEASE, 10, 10) == ()
        assert [c.attempt for c in await store.claim_callbacks(now + LEASE, LEASE, 10, 10)] == [2]

    async def test_a_claim_is_kept(self, store: AnyStore) -> None:
        """A claim that is renewed holds its callback and its target for as long as it is."""
        job = a_final_job(1)
        await put_with_callback(store, job, a_final_job(2), url="https://one.example.com/hook")
        now = NOW + timedelta(minutes=1)
        (first,) = await store.claim_callbacks(now, LEASE, 10, 10)

        assert await store.renew_claim(first.callback_id, 1, now + 3 * LEASE)
        assert await store.claim_callbacks(now + 2 * LEASE, LEASE, 10, 10) == ()
        assert 1 == len(await store.claim_callbacks(now + 3 * LEASE, LEASE, 10, 10))

    async def test_a_lost_claim_cannot_be_renewed(self, store: AnyStore) -> None:
        """A claim that has run out and was taken by another try, or is over, is not renewed."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        (first,) = await store.claim_callbacks(NOW + LEASE, LEASE, 10, 10)
        (again,) = await store.claim_callbacks(NOW + 3 * LEASE, LEASE, 10, 10)

        assert not await store.renew_claim(first.callback_id, first.attempt, NOW + 9 * LEASE)
        assert await store.renew_claim(again.callback_id, again.attempt, NOW + 9 * LEASE)
        await store.finish_callback(an_attempt(job, 2), DELIVERED)
        assert not await store.renew_claim(again.callback_id, again.attempt, NOW + 9 * LEASE)
        assert not await store.renew_claim("cb-nobody", 1, NOW + 9 * LEASE)

    @pytest.mark.parametrize("outcome", [DELIVERED, GIVEN_UP])
    async def test_no_more_tries(self, store: AnyStore, outcome: DecideOutcome) -> None:
        """A callback that was delivered or given up never comes up again, and its log stays."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await store.claim_callbacks(job.updated, LEASE, 10, 10)
        await store.finish_callback(an_attempt(job), outcome)

        assert await store.next_callback() is None
        assert await store.claim_callbacks(job.updated + 9 * LEASE, LEASE, 10, 10) == ()
        assert (an_attempt(job),) == await store.attempts("job-0001")

    async def test_retry(self, store: AnyStore) -> None:
        """A callback to be tried again comes up when its outcome said so, with the same bytes."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        (first,) = await store.claim_callbacks(job.updated, LEASE, 10, 10)
        failed = an_attempt(job, status=None, error="timeout", address=None)
        await store.finish_callback(failed, ends(retry_at=NOW + 5 * LEASE))
        (second,) = await store.claim_callbacks(NOW + 5 * LEASE, LEASE, 10, 10)

        assert replace(first, attempt=2, tries=1) == second
        await store.finish_callback(an_attempt(job, 2), DELIVERED)
        assert (replace(failed, next_try=NOW + 5 * LEASE), an_attempt(job, 2)) == await store.attempts(
            "job-0001"
        )

    async def test_late_outcome_decides_nothing(self, store: AnyStore) -> None:
        """The outcome of a try that somebody has taken over is logged, and leaves the new claim alone."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await store.claim_callbacks(NOW + LEASE, LEASE, 10, 10)
        await store.claim_callbacks(NOW + 3 * LEASE, LEASE, 10, 10)
        await store.finish_callback(an_attempt(job, 1), GIVEN_UP)

        assert await store.next_callback() == NOW + 4 * LEASE
        assert (an_attempt(job, 1),) == await store.attempts("job-0001")

    async def test_first_outcome_counts(self, store: AnyStore) -> None:
        """A try's outcome that is reported again changes nothing."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await store.claim_callbacks(job.updated, LEASE, 10, 10)
        await store.finish_callback(an_attempt(job), DELIVERED)
        await store.finish_callback(an_attempt(job, status=500), ends(retry_at=NOW))

        assert await store.next_callback() is None
        assert (an_attempt(job),) == await store.attempts("job-0001")

    async def test_outcome_of_a_pruned_callback(self, store: AnyStore) -> None:
        """An outcome that comes after its job was pruned is dropped."""
        await store.finish_callback(an_attempt(a_final_job(1)), DELIVERED)

        assert await store.attempts("job-0001") == ()

    @pytest.mark.parametrize("outcome", [ends(), ends(delivered=True, given_up=True)])
    async def test_outcome_says_one_thing(self, store: AnyStore, outcome: DecideOutcome) -> None:
        """An outcome that says nothing, or two things, is a defect."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await store.claim_callbacks(job.updated, LEASE, 1, 1)

        with pytest.raises(ValueError, match="one of"):
            await store.finish_callback(an_attempt(job), outcome)
        assert await store.attempts("job-0001") == ()

    async def test_nothing_waits(self, store: AnyStore) -> None:
        """Without callbacks there is no next one, and no log."""
        assert await store.next_callback() is None
        assert await store.attempts("none") == ()


@pytest.mark.usefixtures("callers")
class TestKeys:
    async def test_key_leads_to_its_job(self, store: AnyStore) -> None:
        """A key's use is written with the job, for its caller alone."""
        await store.admit("ann", ["100"], lambda _: a_job(1), a_key("k1"))

        assert KeyedJob(job=a_job(1), digest=b"d1") == await store.job_by_key("ann", "k1", NOW)
        assert await store.job_by_key("ann", "k2", NOW) is None
        assert await store.job_by_key("bob", "k1", NOW) is None

    async def test_taken_key_admits_nothing(self, store: AnyStore) -> None:
        """A second use of a key writes nothing, whatever it is about; another caller's is another key."""
        await store.admit("ann", ["100"], lambda _: a_job(1), a_key("k1"))

        with pytest.raises(KeyTaken):
            await store.admit("ann", ["200"], lambda _: a_job(2, channel="200"), a_key("k1", b"d2"))
        assert await store.job("job-0002") is None
        await store.admit("bob", ["200"], lambda _: a_job(3, caller_id="bob", channel="200"), a_key("k1"))
        assert ("job-0001",) == await store.executing("ann")

    async def test_refused_admission_leaves_no_key(self, store: AnyStore) -> None:
        """When there is no place for the job, its key is free."""

        def refuse(_: object) -> Job:
            raise TooManyJobs(1, ["job-0009"])

        with pytest.raises(TooManyJobs):
            await store.admit("ann", ["100"], refuse, a_key("k1"))

        assert await store.job_by_key("ann", "k1", NOW) is None
        await store.admit("ann", ["100"], lambda _: a_job(1), a_key("k1"))

    @pytest.mark.parametrize("was_sent", [False, True])
    async def test_withdrawn_job_frees_its_key(self, store: AnyStore, *, was_sent: bool) -> None:
        """A job that Discord never accepted frees its key, and its files, whatever else is kept of it."""
        job = a_sent_job(1, image=Upload(size=1, type="image/png", key="f1"))
        await store.admit("ann", ["100"], lambda _: job, a_key("k1"))
        await store.withdraw("job-0001", was_sent=was_sent)

        assert frozenset() == await store.known_uploads(["f1"])

        assert await store.job_by_key("ann", "k1", NOW) is None
        await store.admit("ann", ["100"], lambda _: a_job(2), a_key("k1"))

    async def test_key_is_remembered_for_a_day(self, store: AnyStore) -> None:
        """To the millisecond, a key is taken for a day; then its next use makes a new job."""
        await store.admit("ann", ["100"], lambda _: a_job(0), a_key("k1"))
        last, first = a_job(1, created=NOW + KEY_LIFETIME), a_job(2, created=NOW + KEY_LIFETIME + MILLISECOND)

        assert await store.job_by_key("ann", "k1", NOW + MILLISECOND) is None
        with pytest.raises(KeyTaken):
            await store.admit("ann", ["100"], lambda _: last, a_key("k1"))
        await store.admit("ann", ["100"], lambda _: first, a_key("k1", b"d2"))
        assert KeyedJob(job=first, digest=b"d2") == await store.job_by_key("ann", "k1", NOW)

    async def test_one_of_many_racers(self, store: AnyStore) -> None:
        """Of twenty admissions with one key at once, exactly one is written."""
        racers = [
            store.admit("ann", [str(n)], lambda _, n=n: a_job(n, channel=str(n)), a_key("k1"))  # type: ignore[misc]
            for n in range(20)
        ]
        results = await asyncio.gather(*racers, return_exceptions=True)

        assert 1 == len(await store.executing("ann"))
        assert 19 == sum(isinstance(result, KeyTaken) for result in results)

    async def test_old_keys_are_forgotten(self, store: AnyStore) -> None:
        """Pruning forgets the keys of before a moment, and leaves their jobs."""
        for number in (1, 2, 3):
            await store.admit("ann", ["100"], lambda _, n=number: a_job(n), a_key(f"k{number}"))  # type: ignore[misc]

        assert 2 == await store.prune_keys(NOW + timedelta(seconds=3))
        assert await store.job_by_key("ann", "k2", NOW) is None
        assert await store.job_by_key("ann", "k3", NOW) is not None
        assert a_job(1) == await store.job("job-0001")


class TestUploads:
    async def test_files_belong_to_jobs(self, store: AnyStore) -> None:
        """The store knows which files belong to a job, any number of them, until the job is pruned."""
        keys = [f"f{n}" for n in range(130)]
        for n in range(0, 130, 2):
            image, message = (Upload(size=1, type="image/png", key=key) for key in keys[n : n + 2])
            await put(store, a_final_job(n, image=image, message_image=message))

        assert frozenset(keys) == await store.known_uploads([*keys, "stranger"])
        assert frozenset() == await store.known_uploads([])
        await store.prune(NOW + timedelta(seconds=100))
        assert frozenset(keys[100:]) == await store.known_uploads(keys)


class TestPruning:
    async def test_old_final_jobs_go(self, store: AnyStore) -> None:
        """Pruning deletes final jobs last changed before a moment, and nothing else."""
        await put(store, a_final_job(1), a_final_job(2), a_job(3), a_final_job(4))

        assert await store.prune(NOW + timedelta(seconds=4)) == 2
        assert await store.job("job-0001") is None
        assert await store.job("job-0002") is None
        assert a_job(3) == await store.job("job-0003")
        assert a_final_job(4) == await store.job("job-0004")
        assert await store.prune(NOW + timedelta(seconds=4)) == 0

    async def test_all_that_hangs_on_it_goes(self, store: AnyStore) -> None:
        """With a pruned job go its messages, its callback and that one's log."""
        job = a_final_job(1)
        await put_with_callback(store, job)
        await store.change("job-0001", lambda job: Change(job=job, message_id="m1"))
        await store.claim_callbacks(job.updated, LEASE, 10, 10)
        await store.finish_callback(an_attempt(job), ends(retry_at=NOW + LEASE))
        await store.prune(NOW + LEASE)

        assert (await store.sightings("100", ["m1"])).owners == {}
        assert await store.next_callback() is None
        assert await store.attempts("job-0001") == ()
        await put_with_callback(store, job)
        assert job.updated == await store.next_callback()


async def test_everything_survives_a_restart(opener: Opener) -> None:
    """What was written is there after the store is closed and opened again."""
    job = a_final_job(1)
    async with opener() as store:
        await store.add_caller(a_caller())
        await store.add_api_token(a_token(), b"a" * 32)
        await store.put_account(an_account())
        await put_with_callback(store, job)
        await put(store, a_sent_job(2))
        await store.change("job-0002", lambda job: Change(job=job, message_id="m2"))
        await store.claim_callbacks(job.updated, LEASE, 1, 1)
        await store.finish_callback(an_attempt(job), ends(retry_at=NOW + LEASE))

    async with opener() as store:
        assert Holder(a_token(), a_caller()) == await store.holder(b"a" * 32)
        assert an_account() == await store.account("ann", "100")
        assert job == await store.job("job-0001")
        assert Sightings(open_jobs=(a_sent_job(2),), owners={"m2": "job-0002"}) == await store.sightings(
            "100", ["m2"]
        )
        assert await store.next_callback() == NOW + LEASE
        assert (an_attempt(job, next_try=NOW + LEASE),) == await store.attempts("job-0001")


async def test_ping(store: AnyStore) -> None:
    """A store that can be written to answers a ping."""
    await store.ping()


async def test_probe(store: AnyStore) -> None:
    """A probe writes, changes nothing, and says that schema and key are as they must be."""
    await store.add_caller(a_caller())

    assert Condition(has_schema=True, has_key=True) == await store.probe() == await store.probe()
    assert (a_caller(),) == await store.callers()
