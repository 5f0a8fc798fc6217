"""The bot itself: finds out what an interaction asks for, picks the manner of answering, and lets it run."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, cast

from localdiscord.apps.application import File, Interaction, JsonObject, Responder
from localdiscord.apps.pika import texts, video
from localdiscord.apps.pika.behaviours import BEHAVIOURS
from localdiscord.apps.pika.commands import commands
from localdiscord.apps.pika.finish_order import FinishOrder
from localdiscord.apps.pika.job import EPHEMERAL, Job
from localdiscord.apps.pika.runs import Memory, Request, Run, pressed
from localdiscord.apps.pika.settings import Behaviour, Choice, Settings
from localdiscord.clock import Clock

#: Videos encoded side by side; more only slow each other and the rest of the process down.
RENDERERS = 2


class Pika:
    """The simulated Pika. It knows the interactions it is given, and keeps nothing but its own results in mind."""

    name = "Pika"
    commands: Sequence[JsonObject] = commands()

    def __init__(self, *, clock: Clock, seed: int, speed: float = 5.0, behaviour: str = "plain") -> None:
        self._clock = clock
        self._memory = Memory()
        self._renderers = asyncio.Semaphore(RENDERERS)
        self._settings = Settings(seed=seed, speed=speed, behaviour="plain")
        self._durations: deque[float] = deque()
        self._order = FinishOrder(())
        self.configure({"seed": seed, "speed": speed, "behaviour": behaviour})

    def settings(self) -> dict[str, Any]:
        """Return all settings by name; see `Settings`."""
        return self._settings.as_dict()

    def configure(self, changes: Mapping[str, Any]) -> None:
        """
        Change settings, for interactions that come from now on; what is not named stays.

        Naming `seed`, `durations` or `finish_order` starts that sequence from its beginning, whether or not the
        value differs. Raises ValueError when a name or value does not exist, and then changes nothing.
        """
        self._settings = self._settings.changed(changes)
        if "seed" in changes:
            # Repeatable on purpose; guards nothing.
            self._chance = Random(self._settings.seed)  # noqa: S311
        if "durations" in changes:
            self._durations = deque(self._settings.durations)
        if "finish_order" in changes:
            self._order.dissolve()
            self._order = FinishOrder(self._settings.finish_order)

    async def on_interaction(self, interaction: Interaction, respond: Responder) -> None:
        """Answer a command, a button or a sent form."""
        if interaction.type == 2:
            request = await self._requested(interaction, respond)
            await self._answer(str(interaction.command), request, interaction, respond)
            return
        button, run_id = pressed(interaction.custom_id or "")
        run = self._memory.recall(run_id)
        if run is None:
            await respond.callback(4, {"content": texts.say("forgotten"), "flags": EPHEMERAL})
        elif interaction.type == 5:
            await self._answer(button, _remixed(run.request, interaction), interaction, respond)
        else:
            await self._answer(button, run.request, interaction, respond)

    async def _answer(
        self, action: str, request: Request, interaction: Interaction, respond: Responder
    ) -> None:
        behaviour = self._behaviour(action, request, interaction)
        job = Job(
            interaction=interaction,
            respond=respond,
            run=Run(f"{self._chance.getrandbits(64):016x}", request, self._chance.getrandbits(31)),
            settings=self._settings,
            duration=self._duration() if behaviour not in {"silent", "modal"} else 0,
            chance=self._chance.random(),
            clock=self._clock,
            order=self._order,
            finish=self._finish,
        )
        if behaviour == "modal":
            # The form's custom_id leads back to the request.
            self._memory.keep(job.run)
        await BEHAVIOURS[behaviour](job)

    def _behaviour(self, action: str, request: Request, interaction: Interaction) -> Behaviour:
        settings = self._settings
        is_form = interaction.type == 5
        usual: Choice = "modal" if action == "remix" and not is_form else settings.behaviour
        chosen = cast("Mapping[str, Choice]", settings.per_action).get(action, usual)
        if chosen == "random":
            (chosen,) = self._chance.choices(list(settings.weights), list(settings.weights.values()))
        if is_form and chosen == "modal":
            # Discord has no form that answers a form.
            chosen = "plain"
        if chosen not in {"silent", "modal"} and _names_any(settings.moderation_words, request):
            return "moderated"
        return chosen

    def _duration(self) -> float:
        return self._durations.popleft() if self._durations else self._settings.speed

    async def _requested(self, interaction: Interaction, respond: Responder) -> Request:
        said: dict[str, str] = {}
        shown: dict[str, bytes] = {}
        for name, value in interaction.options.items():
            if str(value) in interaction.attachments:
                shown[name] = await respond.download(str(value))
            else:
                said[name] = str(value)
        return Request(str(interaction.command), said, shown)

    async def _finish(self, run: Run, settings: Settings) -> File:
        film = _film(settings)
        if settings.video == "stamped":
            # Nothing is drawn, so no picture has to be kept.
            request = replace(
                run.request, pictures=dict.fromkeys(run.request.pictures, b""), is_prepared=True
            )
            data = video.stamp(_scene(request, run.seed))
        else:
            async with self._renderers:
                request = await asyncio.to_thread(_prepared, run.request, film)
                data = await asyncio.to_thread(video.render, _scene(request, run.seed), film)
        self._memory.keep(replace(run, request=request))
        return File(f"pika_{run.seed}.mp4", video.CONTENT_TYPE, data, film.width, film.height)


def _film(settings: Settings) -> video.Film:
    if settings.video != "full":
        return video.TINY
    return video.Film(settings.width, settings.height, settings.length)


def _prepared(request: Request, film: video.Film) -> Request:
    """Return the request with its files made small pictures, which takes processor time the first time."""
    if request.is_prepared:
        return request
    small = {name: video.shrink(data, film) for name, data in request.pictures.items()}
    return replace(request, pictures=small, is_prepared=True)


def _scene(request: Request, seed: int) -> video.Scene:
    pictures = request.pictures
    return video.Scene(request.prompt, seed, pictures.get("image") or pictures.get("message", b""))


def _remixed(request: Request, interaction: Interaction) -> Request:
    """Return the request with the prompt that the form was sent with; none at all when that was left empty."""
    prompt = str(interaction.options.get("prompt", ""))
    rest = {name: text for name, text in request.texts.items() if name != "prompt"}
    return replace(request, texts={**rest, "prompt": prompt} if prompt else rest)


def _names_any(words: list[str], request: Request) -> bool:
    said = " ".join(request.texts.values()).casefold()
    return any(word.casefold() in said for word in words)
