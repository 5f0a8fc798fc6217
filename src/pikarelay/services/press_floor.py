"""Above which id lies all that Discord says about a press that leaves now?"""

from datetime import datetime

from pikarelay.jobs.snowflakes import CLOCK_DOUBT, first_of


class PressFloor:
    """
    Tells new from old by the ids that Discord has given away.

    Our estimate of Discord's clock is doubtful by seconds, in which the bot may well have spoken of the press before. What
    was seen of Discord is not: a press that leaves after a message was seen is answered by messages with greater ids.
    """

    def __init__(self) -> None:
        self._newest = 0

    def see(self, snowflake: str) -> None:
        """Note an id that Discord has made."""
        if snowflake.isdecimal():
            self._newest = max(self._newest, int(snowflake))

    def at(self, server_time: datetime) -> str:
        """Return the floor of a press that leaves at this time by our estimate of Discord's clock."""
        earliest, latest = first_of(server_time - CLOCK_DOUBT), first_of(server_time + CLOCK_DOUBT)
        # An id from the future is none of that clock's, and says nothing about what comes next.
        return str(self._newest if earliest < self._newest <= latest else earliest)
