"""A small application for the tests: it answers each command in one of the ways bots answer."""

from collections.abc import Sequence

from localdiscord.apps.application import File, Interaction, JsonObject, Responder

IMAGE = File(
    "out.png",
    "image/png",
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x04\x00\x00\x00\x03" + bytes(100),
)


def buttons(*names: str) -> list[JsonObject]:
    children = [{"type": 2, "style": 1, "label": name, "custom_id": name} for name in names]
    return [{"type": 1, "components": children}]


class Parrot:
    """Says what it hears."""

    name = "Parrot"
    commands: Sequence[JsonObject] = [
        {
            "name": "say",
            "description": "Say it",
            "options": [
                {"type": 3, "name": "text", "description": "what", "required": True},
                {"type": 11, "name": "image", "description": "picture"},
            ],
        },
        {"name": "defer", "description": "Think, then say it"},
        {"name": "plain", "description": "Acknowledge, then post a plain message"},
        {"name": "break", "description": "Fail"},
    ]

    def __init__(self) -> None:
        self.configured: dict[str, object] = {}
        self.heard: list[Interaction] = []

    def configure(self, settings: dict[str, object]) -> None:
        self.configured |= settings

    async def on_interaction(self, interaction: Interaction, respond: Responder) -> None:
        self.heard.append(interaction)
        await getattr(self, f"_{interaction.command or interaction.custom_id}")(interaction, respond)

    async def _say(self, interaction: Interaction, respond: Responder) -> None:
        text = str(interaction.options["text"])
        if image := interaction.options.get("image"):
            text += f" with {len(await respond.download(str(image)))} bytes"
        await respond.callback(
            4, {"content": text, "components": buttons("again", "quietly", "form", "update")}
        )

    async def _defer(self, interaction: Interaction, respond: Responder) -> None:
        await respond.callback(5)
        await respond.edit_original({"content": "thought"}, [IMAGE])

    async def _plain(self, interaction: Interaction, respond: Responder) -> None:
        await respond.callback(4, {"content": "queued", "flags": 64})
        posted = await respond.send_message({"content": f"<@{interaction.user_id}> done"}, [IMAGE])
        respond.record("result", message_id=posted["id"])

    async def _again(self, interaction: Interaction, respond: Responder) -> None:
        await respond.callback(6)
        await respond.followup({"content": "again"})

    async def _quietly(self, interaction: Interaction, respond: Responder) -> None:
        await respond.callback(4, {"content": "psst", "flags": 64})

    async def _form(self, interaction: Interaction, respond: Responder) -> None:
        row = {"type": 1, "components": [{"type": 4, "custom_id": "t", "style": 1, "label": "Text"}]}
        await respond.callback(9, {"custom_id": "filled", "title": "Form", "components": [row]})

    async def _filled(self, interaction: Interaction, respond: Responder) -> None:
        await respond.callback(4, {"content": "thanks"})

    async def _update(self, interaction: Interaction, respond: Responder) -> None:
        await respond.callback(7, {"content": "updated"})

    async def _break(self, interaction: Interaction, respond: Responder) -> None:
        raise RuntimeError("broken on purpose")
