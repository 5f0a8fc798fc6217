"""The bot's commands."""

import pytest

from pikarelay.jobs.commands import command_name, command_options
from pikarelay.jobs.job import Upload, Verb
from tests.factories import a_job

IMAGE = Upload(size=3, type="image/png", key="k1")
HIDDEN = Upload(size=4, type="image/png", key="k2")


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (Verb.CREATE, "create"),
        (Verb.ANIMATE, "animate"),
        (Verb.ENCRYPT_TEXT, "encrypt_text"),
        (Verb.ENCRYPT_IMAGE, "encrypt_image"),
    ],
)
def test_names(verb: Verb, name: str) -> None:
    """Each verb is the command of its name."""
    assert name == command_name(a_job(verb=verb))


def test_only_what_was_given_is_an_option() -> None:
    """Values that the caller left out are no options."""
    assert command_options(a_job(prompt="p")) == {"prompt": "p"}
    assert command_options(a_job(prompt=None, image=IMAGE)) == {"image": IMAGE}


def test_message_is_a_text_or_a_file() -> None:
    """What is hidden in a video is one option, of either type."""
    assert command_options(a_job(message="hi", font="RETRO"))["message"] == "hi"
    assert command_options(a_job(message_image=HIDDEN))["message"] == HIDDEN
    assert command_options(a_job(message="hi", font="RETRO"))["font"] == "RETRO"
