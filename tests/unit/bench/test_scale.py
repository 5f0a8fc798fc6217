"""What the benchmark of many accounts and nodes makes of what it sees."""

from collections import Counter

import pytest
from bench.accounts import lags
from bench.crowd import Crowd, say
from bench.statements import counted

from localdiscord.server import LocalDiscord, Settings

LOG = """\
12 LOG:  statement: BEGIN
12 LOG:  execute __asyncpg_stmt_1__: SELECT jobs.job_id\x20
\tFROM jobs\x20
\tWHERE jobs.job_id = $1
13 LOG:  execute __asyncpg_stmt_7__: SELECT pg_catalog.something
\tFROM elsewhere
12 LOG:  statement: COMMIT
12 ERROR:  something else
13 LOG:  execute __asyncpg_stmt_a__: SELECT jobs.job_id\x20
\tFROM jobs\x20
\tWHERE jobs.job_id = $1
"""


def test_moments_that_waited() -> None:
    """Each five milliseconds of a standstill are a moment that waited for what was left of it; all others waited for nothing."""
    waited = lags([0.012, 0.003], 0.1)

    assert 20 == len(waited)
    assert [0.012, 0.007, 0.003, 0.002] == pytest.approx(sorted(waited, reverse=True)[:4])
    assert {0.0} == set(sorted(waited)[:16])


def test_statements_by_name() -> None:
    """A statement is known by its text, over several lines too; one that is not, by its first line."""
    known = {"SELECT jobs.job_id \nFROM jobs \nWHERE jobs.job_id = $1": "job"}

    assert Counter({"job": 2, "BEGIN": 1, "COMMIT": 1, "SELECT pg_catalog.something": 1}) == counted(
        LOG, known
    )


async def test_what_the_crowd_says() -> None:
    """Of what the sessions of users hear, half is said in guilds, to all of their members, and a tenth is the bot's about other presses."""
    crowd = Crowd()
    async with LocalDiscord.start(Settings(usernames=tuple("abcdefgh")), applications=[crowd]) as discord:
        crowd.world = world = discord.world
        users = [user for user in world.directory.users.values() if not user.bot]
        world.add_guild("neighbours", [user.id for user in users])
        sessions = [world.sessions.open(user, intents=None) for user in users]
        before = sum(session.seq for session in sessions)
        ways = crowd.ways()
        heard = dict.fromkeys(ways, 0)
        say(ways, heard, 2000)
        pushed = sum(session.seq for session in sessions) - before

    assert pushed == sum(heard.values())
    assert [50, 15, 25, 10] == pytest.approx([count / pushed * 100 for count in heard.values()], abs=1)
    assert pushed == crowd.settings()["pushed"] - before
