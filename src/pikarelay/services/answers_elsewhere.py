"""
Hold a callback back while another process may still be answering its job's POST.

Where servers overlap on one machine, the new one soon hears of all jobs, and ends some that the old one has admitted and not
answered yet. Nothing tells it when that answer leaves, but time does: a POST waits for its bot so long, and no longer.
"""

from datetime import datetime, timedelta

from pikarelay.services.answers import LocalAnswers
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Store

#: From the end of a POST's wait to the moment when its caller has the answer, on a busy machine.
ON_THE_WAY = timedelta(seconds=2)


class OverlappingAnswers(LocalAnswers):
    """Of a process that may have a successor, or a predecessor, on the same file."""

    def __init__(
        self, store: Store, board: Board, clock: Clock, answer_wait: timedelta, alone_since: datetime | None
    ) -> None:
        """`alone_since`: jobs from before have no answer under way, for who would have given it is dead. None: not known."""
        super().__init__(store, board, clock)
        self._at_most = answer_wait + ON_THE_WAY
        self._alone_since = alone_since

    async def left(self, job_id: str) -> None:
        """Return when the answer to the job's POST has left: here as it happens, elsewhere when it must have by the job's age."""
        await super().left(job_id)
        if self._board.has_admitted(job_id):
            return
        job = await self._store.job(job_id)
        if job is None or (self._alone_since is not None and job.created < self._alone_since):
            return
        # Clocks may be set: never longer than a whole wait.
        left = min(job.created + self._at_most - self._clock.now(), self._at_most)
        if left > timedelta():
            await self._clock.sleep(left)
