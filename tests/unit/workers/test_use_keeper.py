"""When tokens were used is written now and then."""

from datetime import timedelta

from pikarelay.jobs.api_tokens import format_token
from pikarelay.jobs.guesses import Guesses
from pikarelay.services.authenticate import Authenticator, Credentials, token_digest
from pikarelay.services.ports import ApiToken
from pikarelay.workers.use_keeper import UseKeeper
from tests.factories import a_caller
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay

TOKEN = format_token(b"1" * 32)


async def test_once_a_minute_and_at_the_end(relay: FakeRelay) -> None:
    """However often a token is used, it is written once a minute, and once more at the end."""
    authenticator = Authenticator(relay.store, relay.clock, Guesses(0))
    token = ApiToken(token_id="t1", caller_id=a_caller().caller_id, hint="pkr_", created=START)
    await relay.store.add_api_token(token, token_digest(TOKEN))
    keeper = UseKeeper(authenticator, relay.clock)
    await keeper.start()

    for _ in range(125):
        await authenticator.identify(Credentials(TOKEN))
        await relay.clock.advance(timedelta(seconds=1))
    meanwhile = relay.store.noted_uses
    await keeper.stop()

    assert (2, 3) == (meanwhile, relay.store.noted_uses)
    assert [START + timedelta(seconds=124)] == [kept.last_used for kept in await relay.store.api_tokens()]
