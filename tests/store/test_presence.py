"""Who is there, beside a database file."""

import asyncio
import signal
import sys
from pathlib import Path

from pikarelay.store.presence import announce

_BE_THERE = """
import sys, time
from pathlib import Path
from pikarelay.store.presence import announce
with announce(Path(sys.argv[1])) as presence:
    presence.settle()
    print(presence.is_alone, flush=True)
    time.sleep(60)
"""


def test_the_first_is_alone(tmp_path: Path) -> None:
    """The first server finds nobody; a second one does, and so does a third after the first has left."""
    database = tmp_path / "db.sqlite3"
    with announce(database) as first:
        first.settle()
        with announce(database) as second:
            second.settle()

            assert (True, False) == (first.is_alone, second.is_alone)
    with announce(database) as later:
        assert later.is_alone


def test_the_oldest_leaving_leaves_nobody_alone(tmp_path: Path) -> None:
    """As long as any other server is there, a new one is not alone, whoever came first."""
    database = tmp_path / "db.sqlite3"
    first = announce(database)
    first.__enter__().settle()
    with announce(database) as second:
        second.settle()
        first.__exit__(None, None, None)
        with announce(database) as third:
            assert not third.is_alone


async def test_a_killed_server_is_gone(tmp_path: Path) -> None:
    """A server that was killed holds nobody up."""
    database = tmp_path / "db.sqlite3"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BE_THERE, str(database), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert b"True\n" == await process.stdout.readline()
    with announce(database) as beside:
        assert not beside.is_alone
        beside.settle()
    process.send_signal(signal.SIGKILL)
    await process.wait()

    with announce(database) as after:
        assert after.is_alone


async def test_who_comes_while_another_is_alone_waits(tmp_path: Path) -> None:
    """Until the one that is alone has settled, a second server waits with settling."""
    database = tmp_path / "db.sqlite3"
    with announce(database) as first, announce(database) as second:
        waiting = asyncio.create_task(asyncio.to_thread(second.settle))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)

        assert set() == done
        first.settle()
        await waiting
