"""The four forms of `pikarelay.contract.commands`, row by row of the contract."""

import pytest

from pikarelay.contract.commands import (
    ANIMATE,
    COMMAND_FORMS,
    CREATE,
    ENCRYPT_IMAGE,
    ENCRYPT_TEXT,
    FONTS,
    CommandForm,
    parse_command,
)
from pikarelay.errors import ApiError, InvalidValue, MissingValue, TooLong
from pikarelay.jobs.job import Upload, Verb

IMAGE = Upload(size=3, type="image/png", key="a.png")
OTHER = Upload(size=4, type="image/gif", key="b.gif")


def refusal(form: CommandForm, texts: dict[str, str], uploads: dict[str, Upload]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_command(form, texts, uploads)
    return caught.value


@pytest.mark.parametrize(
    ("form", "texts", "uploads", "names"),
    [
        (CREATE, {}, {"image": IMAGE}, "prompt, discord or channel"),
        (ANIMATE, {"prompt": "x"}, {}, "image, discord or channel"),
        (ENCRYPT_TEXT, {"prompt": "x"}, {}, "message, prompt, discord or channel"),
        (ENCRYPT_TEXT, {"message": "x", "prompt": ""}, {}, "message, prompt, discord or channel"),
        (ENCRYPT_IMAGE, {"prompt": "x"}, {"image": IMAGE}, "message, prompt, discord or channel"),
        (ENCRYPT_IMAGE, {}, {"message": IMAGE}, "message, prompt, discord or channel"),
    ],
)
def test_missing(form: CommandForm, texts: dict[str, str], uploads: dict[str, Upload], names: str) -> None:
    """What a form needs and lacks, or has empty, is named in the contract's words."""
    found = refusal(form, texts, uploads)

    assert isinstance(found, MissingValue)
    assert f"{names} value is missing" == found.message


@pytest.mark.parametrize(
    ("form", "texts", "names"),
    [
        (CREATE, {"prompt": "x" * 1501}, "prompt, replyRef or replyUrl"),
        (CREATE, {"prompt": "🎬" * 751}, "prompt, replyRef or replyUrl"),
        (ENCRYPT_TEXT, {"prompt": "x", "message": "y" * 21}, "message, prompt, replyRef or replyUrl"),
        (ENCRYPT_IMAGE, {"prompt": "x", "replyRef": "y" * 1025}, "prompt, replyRef or replyUrl"),
    ],
)
def test_too_long(form: CommandForm, texts: dict[str, str], names: str) -> None:
    """A text beyond its limit, counted in UTF-16 units, is refused in the contract's words."""
    found = refusal(form, texts, {"message": IMAGE} if "message" in form.files else {})

    assert isinstance(found, TooLong)
    assert f"{names} is too long" == found.message


def test_limits_are_inclusive() -> None:
    """A prompt of 1,500 units and a message of 20 pass."""
    request = parse_command(ENCRYPT_TEXT, {"prompt": "🎬" * 750, "message": "m" * 20}, {})

    assert ("🎬" * 750, "m" * 20) == (request.prompt, request.message)


@pytest.mark.parametrize("font", FONTS)
def test_fonts(font: str) -> None:
    """The five fonts of the contract are taken as they are."""
    assert font == parse_command(ENCRYPT_TEXT, {"prompt": "x", "message": "y", "font": font}, {}).font


@pytest.mark.parametrize("font", ["modern", "Comic Sans", "SANS-SERIF"])
def test_unknown_font(font: str) -> None:
    """Any other font is refused by its name."""
    found = refusal(ENCRYPT_TEXT, {"prompt": "x", "message": "y", "font": font}, {})

    assert isinstance(found, InvalidValue)
    assert f"font {font} not supported" == found.message


def test_encrypt_image_has_two_files() -> None:
    """The hidden image and the reference image are told apart by their fields."""
    request = parse_command(ENCRYPT_IMAGE, {"prompt": "x"}, {"message": IMAGE, "image": OTHER})

    assert (Verb.ENCRYPT_IMAGE, IMAGE, OTHER) == (request.verb, request.message_image, request.image)


def test_animate_needs_no_prompt() -> None:
    """An image alone can be animated; an empty prompt is none."""
    assert None is parse_command(ANIMATE, {"prompt": ""}, {"image": IMAGE}).prompt


def test_every_verb_but_button_has_a_form() -> None:
    """There is one form for each command."""
    assert set(Verb) - {Verb.BUTTON} == {form.verb for form in COMMAND_FORMS}
