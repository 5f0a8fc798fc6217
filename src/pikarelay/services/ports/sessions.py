"""Gateway sessions, as they outlive a process."""

from collections.abc import Collection, Container, Mapping
from typing import Protocol

import msgspec

from pikarelay.jobs.ownership import EVERYTHING


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """All it takes to go on with a token's Gateway session, also in another process."""

    user_id: str
    session_id: str
    #: Of the last dispatch that was taken in.
    sequence: int
    resume_url: str


class SessionStore(Protocol):
    """What each session can be gone on with."""

    async def keep_sessions(
        self, sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes] = ()
    ) -> None:
        """Keep these sessions, by the SHA-256 of their token, and forget those. A worker's, where it holds them."""
        ...

    async def kept_sessions(self, names: Container[str] = EVERYTHING) -> dict[bytes, KeptSession]:
        """Return those of these names that are kept and can be read, by the SHA-256 of their token."""
        ...


class Sessions(Protocol):
    """The Gateway sessions of all accounts, as they outlive a process."""

    def sessions(self) -> Mapping[bytes, KeptSession]:
        """Return what each session can be gone on with, under the SHA-256 of its token. Also after a stop."""
        ...

    def lives(self) -> int:
        """Return a number that grows whenever a session begins or goes on. To be asked often, where `sessions` is not."""
        ...

    def resume(self, sessions: Mapping[bytes, KeptSession]) -> None:
        """Go on with these sessions where their tokens are asked for. Call it before that."""
        ...

    def drop(self, digests: Collection[bytes]) -> None:
        """Know nothing more of these sessions: they are closed here, and somebody else goes on with them."""
        ...
