"""The world's ids, tokens and other chance: seeded, so that two runs with one seed differ only by time."""

import random
from base64 import urlsafe_b64encode
from string import ascii_letters, digits

from localdiscord.clock import Clock
from localdiscord.wire.snowflake import first_of

TOKEN_ALPHABET = ascii_letters + digits + "-_"


class Chance:
    """Makes ids that only grow, and strings nobody guesses by accident."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - a simulator's tokens guard nothing
        self._last_id = 0

    def snowflake(self) -> int:
        """Return an id greater than all before, of the clock's present millisecond if there is room."""
        self._last_id = max(first_of(self._clock.now()), self._last_id + 1)
        return self._last_id

    def text(self, length: int) -> str:
        return "".join(self._random.choices(TOKEN_ALPHABET, k=length))

    def hexadecimal(self, length: int) -> str:
        return f"{self._random.getrandbits(length * 4):0{length}x}"

    def uuid(self) -> str:
        digits_ = self.hexadecimal(32)
        return "-".join((digits_[:8], digits_[8:12], digits_[12:16], digits_[16:20], digits_[20:]))

    def token(self, user_id: int) -> str:
        """Return a token whose first part is the user's id: libraries decode it."""
        head = urlsafe_b64encode(str(user_id).encode()).rstrip(b"=").decode()
        return f"{head}.{self.text(6)}.{self.text(38)}"
