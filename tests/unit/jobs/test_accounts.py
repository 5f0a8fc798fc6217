"""Which account runs a command."""

import random
from collections import Counter

import pytest

from pikarelay.errors import MissingValue, TooManyJobs
from pikarelay.jobs.accounts import Seat, candidates, choose, plan
from pikarelay.jobs.job import Upload, Verb
from pikarelay.jobs.requests import CommandRequest, CommonFields
from pikarelay.jobs.secret import Secret
from tests.factories import TOKEN, a_caller, an_account
from tests.fakes.clock import START

ONE, TWO, THREE = "1180000000000000001", "1180000000000000002", "1180000000000000003"
ACCOUNTS = [an_account(ONE, max_jobs=2), an_account(TWO, max_jobs=3)]
TOKEN_HERE = Secret("mine")


def request(
    token: Secret | None = None, channel: str | None = None, max_jobs: int | None = None
) -> CommandRequest:
    common = CommonFields(discord_token=token, channel=channel, max_jobs=max_jobs)
    return CommandRequest(verb=Verb.CREATE, prompt="a red kite", common=common)


def seats_of(asked: CommandRequest) -> list[tuple[str, Secret, int]]:
    return [(s.channel, s.discord_token, s.max_jobs) for s in candidates(asked, ACCOUNTS, required="prompt")]


def a_seat(channel: str, max_jobs: int = 1) -> Seat:
    return Seat(channel=channel, discord_token=Secret(TOKEN), max_jobs=max_jobs)


def test_both_given_need_no_configuration() -> None:
    """A token with a channel is used as it is, with ten places."""
    assert seats_of(request(TOKEN_HERE, THREE)) == [(THREE, TOKEN_HERE, 10)]
    assert seats_of(request(TOKEN_HERE, ONE, 4)) == [(ONE, TOKEN_HERE, 4)]


def test_channel_alone_pins_its_account() -> None:
    """A channel stands for its account, token and limit."""
    assert [(TWO, Secret(TOKEN), 3)] == seats_of(request(channel=TWO))


def test_neither_means_any_account() -> None:
    """Without both, every account is a candidate; the request's limit holds for each."""
    assert [(ONE, Secret(TOKEN), 2), (TWO, Secret(TOKEN), 3)] == seats_of(request())
    assert [seat[2] for seat in seats_of(request(max_jobs=5))] == [5, 5]


@pytest.mark.parametrize("asked", [request(TOKEN_HERE), request(channel=THREE)], ids=["token", "channel"])
def test_nothing_to_run_on(asked: CommandRequest) -> None:
    """A token without channel, and a channel without account, are missing values."""
    with pytest.raises(MissingValue, match=r"^prompt value is missing$"):
        candidates(asked, ACCOUNTS, required="prompt")


def test_no_account_at_all() -> None:
    """Without accounts, a request must name its own."""
    with pytest.raises(MissingValue):
        candidates(request(), [], required="prompt")


def test_choice_is_uniform() -> None:
    """Each of five free accounts gets a fifth of 10,000 picks, by chi-square at one in a thousand."""
    draw = random.Random(2026).random
    seats = [a_seat(str(n)) for n in range(5)]

    picks = Counter(choose(seats, {}, draw()).channel for _ in range(10_000))

    chi_square = sum((picks[seat.channel] - 2000) ** 2 / 2000 for seat in seats)
    assert chi_square < 18.47


def test_full_account_is_never_chosen() -> None:
    """Whatever the draw, only accounts with room are chosen."""
    seats = [a_seat(ONE), a_seat(TWO, 2), a_seat(THREE)]
    executing = {ONE: ("a",), TWO: ("b", "c"), THREE: ()}

    assert {THREE} == {choose(seats, executing, n / 1000).channel for n in range(1000)}


def test_all_full_names_every_job() -> None:
    """When all are full, the refusal has the sum of the limits and all their jobs."""
    with pytest.raises(TooManyJobs) as refused:
        choose([a_seat(ONE), a_seat(TWO, 2)], {ONE: ("a",), TWO: ("b", "c")}, 0.5)

    assert refused.value.message == "Maximum of 3 jobs executing in parallel supported"
    assert refused.value.executing == ("a", "b", "c")


def test_one_full_account_names_its_own() -> None:
    """A pinned account that is full is refused with its own limit."""
    with pytest.raises(TooManyJobs) as refused:
        choose([a_seat(TWO, 2)], {TWO: ("b", "c", "d")}, 0.0)

    assert (refused.value.max_jobs, refused.value.executing) == (2, ("b", "c", "d"))


def test_plan_takes_over_everything_asked_for() -> None:
    """The job holds all of the request, the seat it got, and its own ids."""
    image = Upload(size=3, type="image/png", key="k1")
    asked = CommandRequest(
        verb=Verb.ENCRYPT_TEXT,
        prompt="p",
        message="m",
        font="RETRO",
        image=image,
        common=CommonFields(reply_ref="r"),
    )

    job = plan(
        asked,
        a_seat(TWO, 4),
        caller=a_caller(reply_url="https://d.example"),
        job_id="j",
        nonce="n",
        now=START,
    )

    assert (Verb.ENCRYPT_TEXT, "p", "m", "RETRO", image) == (
        job.verb,
        job.prompt,
        job.message,
        job.font,
        job.image,
    )
    assert (
        job.channel,
        job.max_jobs,
        job.reply_url,
        job.reply_ref,
        job.press.nonce,
    ) == (TWO, 4, "https://d.example", "r", "n")
