"""Discord's side of a press: what it does with one, and what it answers."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random

from chaos.simulation.book import Attempt, Book, Interaction
from chaos.simulation.bot import Bot
from chaos.simulation.channels import APPLICATION, BOT, Channels
from chaos.simulation.loop import VirtualLoop
from chaos.simulation.plan import Plan
from chaos.simulation.streams import Streams
from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.messages import InteractionAccepted
from pikarelay.services.ports import ButtonPress, Command, CommandRun

#: Fates in which the press is taken, whatever is answered.
_TAKEN = frozenset({"", "lost_after", "5xx_after", "false_429"})


class Interactions:
    """Takes presses and commands, and has the bot work on them."""

    def __init__(
        self, plan: Plan, book: Book, loop: VirtualLoop, channels: Channels, streams: Streams, bot: Bot
    ) -> None:
        self._plan = plan
        self._book = book
        self._loop = loop
        self._channels = channels
        self._streams = streams
        self._bot = bot
        self._chance = Random(f"{plan.seed} interactions")
        #: What the command index says; its version changes when the bot is deployed anew.
        self.command = command(1)
        #: By message: the `custom_id` that its button has now, when it is another than it had.
        self.renamed: dict[str, str] = {}
        #: How many of them the bot works on.
        self.at_work = 0

    async def post(self, user_id: str, sent: ButtonPress | CommandRun) -> Exception | None:
        """
        Take in one POST, and return what it is answered with: what the server's client raises, or nothing.

        Runs in the world: what has left a server arrives, whatever becomes of the server.
        """
        chance = self._chance
        await asyncio.sleep(chance.choice((0.02, 0.1, 0.1, 0.5)))
        fate = self._fate(sent)
        has_happened = fate in _TAKEN
        self._book.attempts.append(Attempt(sent.nonce, self._book.now, fate, has_happened))
        self._book.note("discord", "gets press {} and does: {}", sent.nonce, fate or "204")
        if has_happened:
            self._take(user_id, sent)
        self._book.moment("press arrives")
        await asyncio.sleep(chance.choice((0.02, 0.1, 0.3, 3.0)))
        self._book.moment("press answered")
        return self._answer(fate)

    def _fate(self, sent: ButtonPress | CommandRun) -> str:
        plan = self._plan
        if self._is_stale(sent):
            return "stale"
        if self._book.calm is not None or self._chance.random() >= plan.press_trouble:
            return ""
        fate = self._chance.choice(plan.press_fates)
        if fate != "stale":
            return fate
        # From now on the button, or the command, is not what it was.
        if isinstance(sent, ButtonPress):
            self.renamed[sent.message_id] = f"{sent.custom_id}+"
            message = self._channels.message(sent.channel_id, sent.message_id)
            return "stale" if message is not None else "refused"
        self.command = command(int(self.command.version) + 1)
        return "stale"

    def _is_stale(self, sent: ButtonPress | CommandRun) -> bool:
        if isinstance(sent, CommandRun):
            return sent.command.version != self.command.version
        return sent.custom_id != self.renamed.get(sent.message_id, sent.custom_id)

    def _take(self, user_id: str, sent: ButtonPress | CommandRun) -> None:
        cause = Interaction(
            id=self._channels.new_id(),
            nonce=sent.nonce,
            user_id=user_id,
            channel=sent.channel_id,
            prompt=self._prompt_of(sent),
            at=self._book.now,
            parent=sent.message_id if isinstance(sent, ButtonPress) else None,
            manner=self._bot.manner(),
        )
        self._begin(cause)

    def _begin(self, cause: Interaction) -> None:
        self._book.interactions.append(cause)
        self._bot.tell(cause, InteractionAccepted(nonce=cause.nonce, interaction_id=cause.id))
        self.at_work += 1
        work = self._loop.in_world(self._bot.work(cause))
        work.add_done_callback(self._finished)

    def _finished(self, work: "asyncio.Task[None]") -> None:
        self.at_work -= 1
        work.result()

    async def by_hand(self, user_id: str, channel: str, prompt: str) -> None:
        """Let the account's owner have used the bot, from the first word to the last."""
        cause = Interaction(
            id=self._channels.new_id(),
            nonce=f"hand-{self._channels.new_id()}",
            user_id=user_id,
            channel=channel,
            prompt=prompt,
            at=self._book.now,
            parent=None,
            manner=self._bot.manner(),
            is_by_hand=True,
        )
        self._book.interactions.append(cause)
        await self._bot.finish_before(cause)

    def _prompt_of(self, sent: ButtonPress | CommandRun) -> str:
        if isinstance(sent, CommandRun):
            return str(sent.options.get("prompt", ""))
        cause = self._book.cause_of_message.get(sent.message_id)
        return cause.prompt if cause is not None else ""

    def _answer(self, fate: str) -> Exception | None:
        make = _ANSWERS.get(fate)
        return None if make is None else make(self._chance)


def _lost(_chance: Random) -> Exception:
    return DiscordUnavailable("The answer was lost", may_have_happened=True)


def _failed(chance: Random) -> Exception:
    status = chance.choice((500, 502))
    return DiscordUnavailable(f"HTTP {status}", may_have_happened=True, status=status, details="{}")


def _limited(_chance: Random) -> Exception:
    return DiscordRateLimited('{"message":"You are being rate limited.","retry_after":2.0}', 2.0)


_ANSWERS: dict[str, Callable[[Random], Exception]] = {
    "lost_after": _lost,
    "lost_before": _lost,
    "unsent": lambda _: DiscordUnavailable("No connection", may_have_happened=False),
    "5xx_after": _failed,
    "5xx_before": _failed,
    "429": _limited,
    "false_429": _limited,
    "refused": lambda _: DiscordRefused(403, '{"message":"Missing Access","code":50001}'),
    "stale": lambda _: DiscordRefused(400, '{"message":"Invalid Form Body","code":50035}', is_stale=True),
    "blocked": lambda _: AccountUnusable("Discord wants a captcha solved", status=400, details="{}"),
}


def command(version: int) -> Command:
    """Return the bot's `create` as the command index lists it."""
    options: Mapping[str, int] = {"prompt": 3, "image": 11}
    return Command(
        name="create",
        command_id="600",
        version=str(version),
        application_id=APPLICATION,
        bot_id=BOT,
        options=options,
    )
