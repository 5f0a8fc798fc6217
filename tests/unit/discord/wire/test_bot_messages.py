import pytest

from pikarelay.discord.wire.bot_messages import (
    EPHEMERAL,
    LOADING,
    Look,
    Pattern,
    Prose,
    is_video,
    spoken,
)
from pikarelay.jobs.messages import Kind

VIDEO = [("video/mp4", "a.mp4")]
QUEUED = "<@1>  Creation job queued. (Prompt: {}  Author: <@1>)"


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        (Kind.UPDATE, Look(QUEUED.format("a red kite"), 0)),
        (Kind.UPDATE, Look("<@1> Prompt: a red kite  Author: <@1>)", 0)),
        (Kind.RESULT, Look("<@1> Prompt: a red kite  Author: <@1>)", 0, VIDEO)),
        (Kind.RESULT, Look("", 0, [(None, "A.MP4")])),
        (Kind.UPDATE, Look("", 0, [("image/png", "a.mp4")])),
        (Kind.HIDDEN, Look("", LOADING, VIDEO)),
        (Kind.HIDDEN, Look("", 0)),
        (Kind.HIDDEN, Look("", LOADING)),
        (Kind.HIDDEN, Look("Your request was received.", EPHEMERAL)),
        (Kind.UPDATE, Look("", 0, has_buttons=True)),
        (Kind.MODERATED, Look("Your creation was moderated", 0)),
        (Kind.MODERATED, Look("This prompt violates our guidelines.", EPHEMERAL)),
        (Kind.MODERATED, Look("", 0, embed_texts=["Content moderation"])),
        (Kind.FAILED, Look("<@1> Your creation failed, please try again later. (Prompt: x)", 0)),
        (Kind.FAILED, Look("Something went wrong", EPHEMERAL | LOADING)),
        (Kind.FAILED, Look("We couldn\u2019t generate your video", 0)),
        (Kind.FAILED, Look("This creation is no longer available, please start a new one.", EPHEMERAL)),
        (Kind.UPDATE, Look("<@1> Prompt: a castle that no longer exists  Author: <@1>)", 0)),
    ],
)
def test_kind(kind: Kind, look: Look) -> None:
    """A message's kind follows from its shape, and from the bot's own words."""
    assert kind is Prose().kind_of(look)


@pytest.mark.parametrize(
    "prompt", ["a failed heist", "moderated debate", 'x" flagged "y', "error\nerror\nfailed", "nsfw"]
)
def test_a_prompt_is_not_the_bots_prose(prompt: str) -> None:
    """Whatever a caller asks for, its echo in the queue note is no refusal."""
    assert Kind.UPDATE is Prose().kind_of(Look(QUEUED.format(prompt), 0))
    assert Kind.UPDATE is Prose().kind_of(Look(f"<@1> Prompt: {prompt}  Author: <@1>)", 0))
    assert Kind.RESULT is Prose().kind_of(Look(f"<@1> Prompt: {prompt}  Author: <@1>)", 0, VIDEO))


def test_operators_patterns_come_first() -> None:
    """A pattern from outside wins over the table, and reaches what the table does not know."""
    prose = Prose([Pattern(Kind.FAILED, "out of credits"), Pattern(Kind.UPDATE, "failed over")])

    assert Kind.FAILED is prose.kind_of(Look("You are OUT of credits.", 0))
    assert Kind.UPDATE is prose.kind_of(Look("Worker failed over, hold on", 0))


@pytest.mark.parametrize(
    "pattern", [Pattern(Kind.FAILED, "("), Pattern(Kind.RESULT, "x"), Pattern(Kind.HIDDEN, "x")]
)
def test_a_useless_pattern_is_refused(pattern: Pattern) -> None:
    """A pattern that cannot work is refused when it is given, not when a message comes."""
    with pytest.raises(ValueError, match=r"regular expression|no pattern"):
        Prose([pattern])


def test_spoken_leaves_the_bots_words() -> None:
    """Mentions, quotations and the prompt are not the bot's words."""
    assert spoken("<@!1> I say “failed” today. Prompt: error") == "I say   today."


def test_content_type_beats_the_name() -> None:
    """A file name only counts when Discord did not say what the file is."""
    assert is_video("video/quicktime", "x")
    assert not is_video("image/webp", "x.mp4")
