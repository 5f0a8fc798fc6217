from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pikarelay.discord.wire.snowflake import EPOCH, moment_of, snowflake_at


def test_documented_example() -> None:
    """The example of Discord's documentation reads as the documented moment."""
    assert datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=UTC) == moment_of("175928847299117063")


@given(st.datetimes(min_value=datetime(2015, 1, 1), max_value=datetime(2080, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 -- the strategy adds the zone
def test_a_moment_survives_to_the_millisecond(moment: datetime) -> None:
    """A moment made into a snowflake and back loses less than a millisecond."""
    back = moment_of(snowflake_at(moment))

    assert moment.replace(microsecond=moment.microsecond // 1000 * 1000) == back


def test_before_the_epoch_is_zero() -> None:
    """Discord has no ids from before 2015."""
    assert snowflake_at(EPOCH.replace(year=2014)) == "0"
