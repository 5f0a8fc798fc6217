import json
from typing import Any

import pytest

from pikarelay.discord.wire.commands import ListedCommand, read_index
from pikarelay.discord.wire.interactions import UnfitOption, Uploaded, command_body, press_body
from pikarelay.discord.wire.payloads import WireError
from tests.unit.discord.wire import recorded


def press(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "nonce": "9",
        "session_id": "s",
        "application_id": "a",
        "channel_id": "c",
        "guild_id": None,
        "message_id": "m",
        "message_flags": 64,
        "custom_id": "retry:1",
        "component_type": 2,
    }
    return json.loads(press_body(**(values | changes)))


def command(**options: int) -> ListedCommand:
    return ListedCommand(
        name="create", command_id="71", version="81", application_id="a", bot_id="b", options=options
    )


def run(listed: ListedCommand, **options: str | Uploaded) -> Any:
    body = command_body(
        nonce="9", session_id="s", channel_id="c", guild_id=None, command=listed, options=options
    )
    return json.loads(body)


def test_a_press_in_a_direct_message() -> None:
    """A press carries everything Discord asks for, and no guild."""
    assert press() == {
        "type": 3,
        "application_id": "a",
        "channel_id": "c",
        "message_id": "m",
        "message_flags": 64,
        "session_id": "s",
        "nonce": "9",
        "data": {"component_type": 2, "custom_id": "retry:1"},
    }


def test_a_press_in_a_guild() -> None:
    """In a guild's channel the guild is named."""
    assert press(guild_id="g")["guild_id"] == "g"


def test_a_command_with_text_and_file() -> None:
    """A file's option holds its place as a number, its attachment the same as a text."""
    picture = Uploaded("in.png", "uuid/in.png")

    body = run(command(prompt=3, image=11), prompt="waves", image=picture)

    assert body["type"] == 2
    assert "guild_id" not in body["data"]
    assert body["data"]["options"] == [
        {"type": 3, "name": "prompt", "value": "waves"},
        {"type": 11, "name": "image", "value": 0},
    ]
    assert body["data"]["attachments"] == [
        {"id": "0", "filename": "in.png", "uploaded_filename": "uuid/in.png"}
    ]


def test_two_files_keep_their_places() -> None:
    """The second file is number 1, in both spellings."""
    body = run(command(one=11, two=11), one=Uploaded("a", "u/a"), two=Uploaded("b", "u/b"))

    assert [option["value"] for option in body["data"]["options"]] == [0, 1]
    assert [attachment["id"] for attachment in body["data"]["attachments"]] == ["0", "1"]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(4, "24", 24), (10, "1.5", 1.5), (5, "True", True), (3, "24", "24"), (6, "7", "7")],
)
def test_options_are_typed(kind: int, text: str, value: object) -> None:
    """A text is sent as what the command's option wants."""
    (option,) = run(command(x=kind), x=text)["data"]["options"]

    assert value == option["value"]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({}, {"x": "1"}),
        ({"x": 4}, {"x": "many"}),
        ({"x": 5}, {"x": "perhaps"}),
        ({"x": 11}, {"x": "text"}),
        ({"x": 3}, {"x": Uploaded("a", "b")}),
    ],
)
def test_an_unfit_option_is_not_sent(options: dict[str, int], given: dict[str, str | Uploaded]) -> None:
    """An option that the command does not have, or not so, is found before Discord is asked."""
    with pytest.raises(UnfitOption, match="create takes no option x"):
        run(command(**options), **given)


def test_the_index_by_name() -> None:
    """The application is found by its name in any letter case; a guild's own command hides the global one."""
    commands = read_index(recorded.encoded("command_index"), application_id=None, application_name="pika")

    assert {"create"} == set(commands)
    assert (commands["create"].command_id, commands["create"].guild_id) == ("72", "1200000000000000001")
    assert commands["create"].bot_id == "1139001000000000001"


def test_the_index_by_id() -> None:
    """A configured id is taken at its word, whatever the application is called."""
    commands = read_index(recorded.encoded("command_index"), application_id="5", application_name="Pika")

    assert (commands["animate"].name, commands["animate"].bot_id) == ("animate", "6")


def test_no_such_application() -> None:
    """An index without the application offers nothing."""
    index = recorded.encoded("command_index")

    assert read_index(index, application_id="404", application_name="Pika") == {}


def test_options_of_the_index_are_kept() -> None:
    """Each option is listed with its type."""
    payload = recorded.payload("command_index")
    del payload["application_commands"][1]
    commands = read_index(json.dumps(payload).encode(), application_id=None, application_name="Pika")

    assert commands["create"].options == {"prompt": 3, "image": 11, "frames": 4, "guidance": 10, "loop": 5}


def test_an_index_that_is_none() -> None:
    """Something else in the index's place is an error of the wire."""
    with pytest.raises(WireError, match="command index"):
        read_index(b"[]", application_id=None, application_name="Pika")
