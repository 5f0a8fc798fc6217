"""POST /create: which account it runs on."""

import pytest

from pikarelay.errors import MissingValue, TooManyJobs
from pikarelay.jobs.requests import CommonFields
from pikarelay.jobs.secret import Secret
from tests.factories import a_running_job, an_account
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

ONE, TWO = "1180000000000000001", "1180000000000000002"


async def test_full_account_is_skipped(relay: FakeRelay) -> None:
    """With one account full, the other gets the job."""
    for channel in (ONE, TWO):
        await relay.store.put_account(an_account(channel, max_jobs=1))
    relay.store.jobs["a"] = a_running_job("a", channel=ONE)
    relay.create("a blue boat")
    await settle()

    assert TWO == relay.job().channel


async def test_all_accounts_full(relay: FakeRelay) -> None:
    """With all full, the refusal names all their jobs, and no job is made."""
    for channel, name in ((ONE, "a"), (TWO, "b")):
        await relay.store.put_account(an_account(channel, max_jobs=1))
        relay.store.jobs[name] = a_running_job(name, channel=channel)
    post = relay.create("a blue boat")
    await settle()

    refused = post.exception()
    assert isinstance(refused, TooManyJobs)
    assert (2, ("a", "b")) == (refused.max_jobs, refused.executing)
    assert ["a", "b"] == relay.jobs_made


@pytest.mark.parametrize(
    "common",
    [CommonFields(channel=ONE), CommonFields(discord_token=Secret("mine"), channel=ONE)],
    ids=["its account", "its own token"],
)
async def test_other_accounts_are_not_looked_at(
    relay: FakeRelay, monkeypatch: pytest.MonkeyPatch, common: CommonFields
) -> None:
    """A request that names its channel is admitted without a look at its caller's other accounts, of which there may be thousands."""
    for channel in (ONE, TWO):
        await relay.store.put_account(an_account(channel))
    monkeypatch.setattr(relay.store, "accounts", None)
    relay.create("a blue boat", common=common)
    await settle()

    assert ONE == relay.job().channel


async def test_own_token_counts_with_the_others(relay: FakeRelay) -> None:
    """A request with its own token and channel needs no account, and shares the channel's count."""
    common = CommonFields(discord_token=Secret("mine"), channel=ONE, max_jobs=1)
    first = relay.create("a blue boat", common=common)
    await settle()
    second = relay.create("a green hat", common=common)
    await settle()

    assert not first.done()
    assert isinstance(second.exception(), TooManyJobs)
    assert [("mine", ONE)] == relay.discord.listening


async def test_nothing_to_run_on(relay: FakeRelay) -> None:
    """Without account, token and channel the contract's sentence says what is missing."""
    post = relay.create("a blue boat")
    await settle()

    with pytest.raises(MissingValue, match=r"^prompt, discord or channel value is missing$"):
        post.result()
