"""
The simulated bot: takes an interaction, and answers it in one of the manners that bots of its kind have been seen to have.

Each manner is one function, read from top to bottom as what a person would see happen.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from chaos.simulation.book import Book, Interaction
from chaos.simulation.channels import APPLICATION, BOT, Channels, retry_button, video
from chaos.simulation.plan import Plan
from pikarelay.jobs.messages import (
    BotMessage,
    FormOpened,
    InteractionAnswered,
    InteractionFailed,
    Kind,
    Sighting,
)

EPHEMERAL = 1 << 6
LOADING = 1 << 7
#: Discord gives up on a bot that has not acknowledged an interaction by then.
_CALLBACK_SECONDS = 3.0


class Bot:
    """Works on interactions, each on its own."""

    def __init__(
        self, plan: Plan, book: Book, channels: Channels, tell: Callable[[str, Sighting], None]
    ) -> None:
        self._plan = plan
        self._book = book
        self._channels = channels
        self._tell = tell
        self._chance = Random(f"{plan.seed} bot")

    def manner(self) -> str:
        return self._chance.choice(self._plan.manners)

    async def work(self, cause: Interaction) -> None:
        """Do what was asked for, from the acknowledgement to the last word."""
        chance, plan = self._chance, self._plan
        announcing = chance.uniform(*plan.announcing)
        if chance.random() < plan.slow_share:
            announcing = chance.uniform(20, 30)
        work = _Work(self, cause, announcing, chance.uniform(*plan.working), chance.random())
        try:
            await MANNERS[cause.manner](work)
        finally:
            cause.over = cause.over or self._book.now

    async def finish_before(self, cause: Interaction) -> None:
        """Let the whole of it have happened, without anybody waiting."""
        work = _Work(self, cause, 0.0, 0.0, self._chance.random())
        await MANNERS[cause.manner](work)

    def say(
        self, cause: Interaction, kind: Kind, content: str, *, nonce: str | None = None, **its: Any
    ) -> BotMessage:
        message = BotMessage(
            id=self._channels.new_id(),
            channel_id=cause.channel,
            author_id=BOT,
            kind=kind,
            content=content,
            timestamp="2026-08-01T12:00:00.000000+00:00",
            mentions=(cause.user_id,) if content else (),
            is_ephemeral=bool(its.get("flags", 0) & EPHEMERAL),
            **its,
        )
        return self._channels.post(cause, message, nonce=nonce)

    def edit(self, cause: Interaction, message_id: str, **changes: Any) -> BotMessage | None:
        return self._channels.edit(cause, message_id, **changes)

    def delete(self, cause: Interaction, message_id: str) -> None:
        self._channels.delete(cause.channel, message_id)

    def tell(self, cause: Interaction, sighting: Sighting) -> None:
        self._book.note("discord", "tells {} of {}", type(sighting).__name__, cause.nonce)
        self._tell(cause.user_id, sighting)

    def new_file(self) -> str:
        return self._channels.new_id()


class _Work:
    """One interaction under way."""

    def __init__(self, bot: Bot, cause: Interaction, announcing: float, working: float, draw: float) -> None:
        self._bot = bot
        self.cause = cause
        self.announcing = announcing
        self.working = working
        #: Decides between two ways of doing the same.
        self.draw = draw

    # What it says

    def text(self, said: str) -> str:
        user, prompt = f"<@{self.cause.user_id}>", self.cause.prompt
        asked = f"Prompt: {prompt}" if prompt else "Image: 1 Attachment"
        return f"{user}  {said}. ({asked}  Author: {user})" if said else f"{user} {asked}  Author: {user})"

    def tie(self) -> dict[str, Any]:
        """Return what a response to the interaction says of it."""
        its = self.cause
        return {
            "application_id": APPLICATION,
            "interaction_id": its.id,
            "interaction_user_id": its.user_id,
            "interacted_message_id": its.parent,
        }

    def result(self) -> dict[str, Any]:
        file = self._bot.new_file()
        return {
            "kind": Kind.RESULT,
            "content": self.text(""),
            "attachments": (video(file),),
            "buttons": retry_button(f"retry:{file}"),
        }

    def say(self, kind: Kind, content: str, **its: Any) -> BotMessage:
        return self._bot.say(self.cause, kind, content, **its)

    def edit(self, message: BotMessage, **changes: Any) -> None:
        self._bot.edit(self.cause, message.id, **changes)

    def delete(self, message: BotMessage) -> None:
        self._bot.delete(self.cause, message.id)

    # What it does

    def acknowledged(self) -> None:
        its = self.cause
        self._bot.tell(its, InteractionAnswered(nonce=its.nonce, interaction_id=its.id))

    async def acknowledge(self) -> None:
        """Answer the interaction without a lasting message: silently for a button, else with an ephemeral one."""
        await asyncio.sleep(min(self.announcing / 2, 2.5))
        self.acknowledged()
        if self.cause.parent is None:
            self.say(
                Kind.HIDDEN,
                "Your request was received.",
                flags=EPHEMERAL,
                nonce=self.cause.nonce,
                **self.tie(),
            )
        await asyncio.sleep(max(0.0, self.announcing - 2.5))

    async def unanswered(self) -> None:
        await asyncio.sleep(_CALLBACK_SECONDS)
        its = self.cause
        self._bot.tell(its, InteractionFailed(nonce=its.nonce, interaction_id=its.id, reason=2))

    def opened_form(self) -> None:
        its = self.cause
        self._bot.tell(its, FormOpened(nonce=its.nonce, interaction_id=its.id))

    async def make(self, progress: BotMessage | None) -> None:
        """Make the video, and tell of the progress in that message."""
        steps = int(self.draw * 3)
        for step in range(1, steps + 1):
            await asyncio.sleep(self.working / (steps + 1))
            if progress is not None:
                self.edit(progress, content=self.text(f"Creation job in progress: {33 * step}%"))
        await asyncio.sleep(self.working / (steps + 1))


QUEUED = "Creation job queued"
MODERATED = "Your creation was moderated: it did not pass our content filter"
FAILED = "Your creation failed, please try again later"


async def plain(work: _Work) -> None:
    """Post a queued message and later a new one with the video, both without any tie to the interaction."""
    await work.acknowledge()
    queued = work.say(Kind.UPDATE, work.text(QUEUED))
    await work.make(queued)
    work.say(**work.result())


async def respond(work: _Work) -> None:
    """Respond with the queued text, edit the response while working, follow up with the video."""
    await asyncio.sleep(min(work.announcing, 2.5))
    work.acknowledged()
    first = work.say(Kind.UPDATE, work.text(QUEUED), nonce=work.cause.nonce, **work.tie())
    await work.make(first)
    work.say(**work.result(), **work.tie(), original_response_message_id=first.id)


async def edit_in_place(work: _Work) -> None:
    """Defer, then let one message become queued, progress and result in turn."""
    await asyncio.sleep(min(work.announcing, 2.5) / 2)
    work.acknowledged()
    first = work.say(Kind.HIDDEN, "", flags=LOADING, nonce=work.cause.nonce, **work.tie())
    await asyncio.sleep(work.announcing)
    mentions = (work.cause.user_id,)
    work.edit(first, kind=Kind.UPDATE, content=work.text(QUEUED), flags=0, mentions=mentions)
    await work.make(first)
    work.edit(first, **work.result())


async def reply(work: _Work) -> None:
    """Reply to the pressed message with the queued one, and to that with the video."""
    await work.acknowledge()
    queued = work.say(Kind.UPDATE, work.text(QUEUED), referenced_message_id=work.cause.parent)
    await work.make(queued)
    work.say(**work.result(), referenced_message_id=queued.id)


async def moderated(work: _Work) -> None:
    """Refuse the request: in the queued message, or in a response that only the presser sees."""
    if work.draw < 0.5:
        await asyncio.sleep(min(work.announcing, 2.5))
        work.acknowledged()
        text = work.text(MODERATED)
        work.say(Kind.MODERATED, text, flags=EPHEMERAL, nonce=work.cause.nonce, **work.tie())
        return
    await _announce_and_end(work, Kind.MODERATED, MODERATED)


async def failed(work: _Work) -> None:
    """Queue the request and give up on it."""
    await _announce_and_end(work, Kind.FAILED, FAILED)


async def silent(work: _Work) -> None:
    """Never answer. Discord gives up on the bot after three seconds."""
    await work.unanswered()


async def modal(work: _Work) -> None:
    """Open a form, which nobody sends."""
    await asyncio.sleep(min(work.announcing, 2.5))
    work.opened_form()


async def delete_queued(work: _Work) -> None:
    """Answer plainly and tidy up: the queued message disappears before or after the video comes."""
    await work.acknowledge()
    queued = work.say(Kind.UPDATE, work.text(QUEUED))
    await work.make(queued)
    if work.draw < 0.5:
        work.delete(queued)
    work.say(**work.result())
    if work.draw >= 0.5:
        await asyncio.sleep(0.1)
        work.delete(queued)


async def _announce_and_end(work: _Work, kind: Kind, said: str) -> None:
    await work.acknowledge()
    queued = work.say(Kind.UPDATE, work.text(QUEUED))
    await asyncio.sleep(work.working / 2)
    work.edit(queued, kind=kind, content=work.text(said))


MANNERS: dict[str, Callable[[_Work], Awaitable[None]]] = {
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
