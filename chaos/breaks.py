"""A promise broken the same way for the crash matrix and for the simulation: what to replace, as (object, attribute, value)."""

from typing import Any

#: An object, one of its attributes, and what that becomes.
Break = tuple[Any, str, Any]


def press_before_note() -> list[Break]:
    """A press leaves first, and is noted as sent afterwards."""
    # Here, for the process of a server under test loads this module before it loads the server.
    from pikarelay.services.send_press import PressSender

    mark, accept = PressSender._mark_sent, PressSender._accept
    planned: dict[str, tuple[Any, ...]] = {}

    async def remember(_self: Any, job: Any, *identity: Any) -> bool:
        planned[job.job_id] = identity
        return True

    async def mark_late(self: Any, job: Any) -> Any:
        await mark(self, job, *planned.pop(job.job_id))
        return await accept(self, job)

    return [(PressSender, "_mark_sent", remember), (PressSender, "_accept", mark_late)]
