"""
The manners of answering: one function each, read from top to bottom as what a person would see happen.

None of them is known to be the real bot's; together they cover what bots of its kind have been seen to do. All
answer the interaction itself first, within Discord's three seconds, except the one that never does.
"""

from collections.abc import Awaitable, Callable

from localdiscord.apps.pika import texts
from localdiscord.apps.pika.job import EPHEMERAL, Job
from localdiscord.apps.pika.settings import Behaviour


async def plain(job: Job) -> None:
    """Post a queued message and later a new one with the video, both without any tie to the interaction."""
    await job.acknowledge()
    queued = await job.post_queued()
    async with job.rendered(job.editing(queued)) as file:
        await job.post_result(file)


async def respond(job: Job) -> None:
    """Respond with the queued text, edit the response while working, follow up with the video."""
    await job.respond.callback(4, job.text("queued"))
    job.record("queued")
    await job.pause_before_queued()
    async with job.rendered(job.respond.edit_original) as file:
        job.record("result", await job.respond.followup(job.result(), [file]))


async def edit_in_place(job: Job) -> None:
    """Defer, then let one message become queued, progress and result in turn."""
    await job.respond.callback(5)
    await job.pause_before_queued()
    job.record("queued", await job.respond.edit_original(job.text("queued")))
    async with job.rendered(job.respond.edit_original) as file:
        job.record("result", await job.respond.edit_original(job.result(), [file]))


async def reply(job: Job) -> None:
    """Reply to the pressed message with the queued one, and to that with the video."""
    await job.acknowledge()
    pressed = job.interaction.message
    queued = await job.post_queued(reference=str(pressed["id"]) if pressed else None)
    async with job.rendered(job.editing(queued)) as file:
        await job.post_result(file, reference=queued)


async def moderated(job: Job) -> None:
    """Refuse the request: in the queued message, or in a response that only the presser sees."""
    if _first_of(("edited", "ephemeral"), job.settings.moderation_style, job.chance) == "ephemeral":
        await job.respond.callback(4, job.text("moderated") | {"flags": EPHEMERAL})
        job.record("moderated")
        return
    await _announce_and_end(job, "moderated")


async def failed(job: Job) -> None:
    """Queue the request and give up on it."""
    await _announce_and_end(job, "failed")


async def silent(job: Job) -> None:
    """Never answer. Discord gives up on the bot after three seconds."""
    job.respond.record("silent")


async def modal(job: Job) -> None:
    """Open a form for another prompt; the job begins when it is sent."""
    said = texts.load()["modal"]
    field = {
        "type": 4,
        "style": 2,
        "custom_id": "prompt",
        "label": said["prompt"],
        "value": job.run.request.prompt,
        "required": False,
    }
    await job.respond.callback(
        9,
        {
            "custom_id": job.run.custom_id("remix"),
            "title": said["title"],
            "components": [{"type": 1, "components": [field]}],
        },
    )
    job.respond.record("modal")


async def delete_queued(job: Job) -> None:
    """Answer plainly and tidy up: the queued message disappears before or after the video comes."""
    await job.acknowledge()
    queued = await job.post_queued()
    when = _first_of(("before", "after"), job.settings.deletion, job.chance)
    async with job.rendered(job.editing(queued)) as file:
        if when == "before":
            await job.respond.delete_message(queued)
        await job.post_result(file)
        if when == "after":
            await job.respond.delete_message(queued)


async def _announce_and_end(job: Job, text: str) -> None:
    await job.acknowledge()
    queued = await job.post_queued()
    await job.clock.sleep(job.duration / 2)
    job.record(text, await job.respond.edit_message(queued, job.text(text)))


def _first_of(styles: tuple[str, str], chosen: str, chance: float) -> str:
    """Return the chosen style, or for `random` the one that chance decides for."""
    return styles[chance < 0.5] if chosen == "random" else chosen


BEHAVIOURS: dict[Behaviour, Callable[[Job], Awaitable[None]]] = {
    "plain": plain,
    "respond": respond,
    "edit_in_place": edit_in_place,
    "reply": reply,
    "moderated": moderated,
    "failed": failed,
    "silent": silent,
    "modal": modal,
    "delete_queued": delete_queued,
}
