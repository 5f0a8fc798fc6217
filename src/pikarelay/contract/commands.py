"""
The forms of create, animate, encrypt_text and encrypt_image.

One table, from which they are read, checked and documented.
"""

from collections.abc import Mapping

import msgspec

from pikarelay.contract.requests import COMMON_FIELDS, is_channel_id, parse_common
from pikarelay.errors import InvalidValue, MissingValue
from pikarelay.jobs.job import Upload, Verb
from pikarelay.jobs.requests import CommandRequest

PROMPT_LIMIT = 1500
MESSAGE_LIMIT = 20
FONTS = ("MODERN", "COMICS", "SANS SERIF", "BAUHAUS", "RETRO")


class CommandForm(msgspec.Struct, frozen=True, kw_only=True):
    """What one command's form holds beside the fields that all have."""

    verb: Verb
    summary: str
    #: Texts with their limits in UTF-16 units.
    texts: Mapping[str, int]
    files: frozenset[str]
    required: tuple[str, ...]
    #: The texts that the contract's sentence on length names, in its order.
    measured: tuple[str, ...] = ("prompt",)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.verb.value.removeprefix("pika-")

    @property
    def fields(self) -> frozenset[str]:
        return COMMON_FIELDS | self.files | self.texts.keys()

    @property
    def missing(self) -> str:
        """What the contract's 400 names when something is missing, an account included."""
        return ", ".join([*self.required, "discord"]) + " or channel"


CREATE = CommandForm(
    verb=Verb.CREATE,
    summary="Create a video from a prompt, and from an image if there is one",
    texts={"prompt": PROMPT_LIMIT},
    files=frozenset({"image"}),
    required=("prompt",),
)
ANIMATE = CommandForm(
    verb=Verb.ANIMATE,
    summary="Animate an image",
    texts={"prompt": PROMPT_LIMIT},
    files=frozenset({"image"}),
    required=("image",),
)
ENCRYPT_TEXT = CommandForm(
    verb=Verb.ENCRYPT_TEXT,
    summary="Hide a text in a video",
    texts={"message": MESSAGE_LIMIT, "prompt": PROMPT_LIMIT, "font": 64},
    files=frozenset({"image"}),
    required=("message", "prompt"),
    measured=("message", "prompt"),
)
ENCRYPT_IMAGE = CommandForm(
    verb=Verb.ENCRYPT_IMAGE,
    summary="Hide an image in a video",
    texts={"prompt": PROMPT_LIMIT},
    files=frozenset({"message", "image"}),
    required=("message", "prompt"),
)
COMMAND_FORMS = (CREATE, ANIMATE, ENCRYPT_TEXT, ENCRYPT_IMAGE)


def parse_command(
    form: CommandForm, texts: Mapping[str, str], uploads: Mapping[str, Upload]
) -> CommandRequest:
    """Return the request, or raise in the order missing, too long, invalid. An empty text is as good as none."""
    given = {name: text for name in form.texts if (text := texts.get(name))}
    if any(name not in given and name not in uploads for name in form.required):
        raise MissingValue(form.missing)
    names = ", ".join([*form.measured, "replyRef"]) + " or replyUrl"
    measured = {name: (given[name], form.texts[name]) for name in form.measured if name in given}
    common = parse_common(texts, names, measured.values())
    font = given.get("font")
    if font is not None and font not in FONTS:
        raise InvalidValue(f"font {font[:64]} not supported")
    if common.channel is not None and not is_channel_id(common.channel):
        raise InvalidValue(f"channel {common.channel[:32]} is not a Discord channel id")
    return CommandRequest(
        verb=form.verb,
        prompt=given.get("prompt"),
        message=given.get("message"),
        message_image=uploads.get("message"),
        font=font,
        image=uploads.get("image"),
        common=common,
    )
