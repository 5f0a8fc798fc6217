import pytest
from msgspec import Raw

from pikarelay.discord.wire.bot_messages import Prose
from pikarelay.discord.wire.dispatches import REMEMBERED, REMEMBERED_SECONDS, DispatchReader, Ignored
from pikarelay.discord.wire.payloads import WireError
from pikarelay.jobs.messages import (
    BotMessage,
    FormOpened,
    InteractionAccepted,
    InteractionAnswered,
    InteractionFailed,
    Kind,
    MessagesDeleted,
)
from tests.unit.discord.wire import recorded

CHANNEL = "1180000000000000001"
NONCE = "1573970730058514432"
INTERACTION = "1190000000000000009"


@pytest.fixture
def reader() -> DispatchReader:
    return DispatchReader(Prose(), {CHANNEL}.__contains__)


def test_a_watched_message(reader: DispatchReader) -> None:
    """A bot's message in a watched channel becomes the core's."""
    message = reader.read("MESSAGE_CREATE", recorded.raw("message_queued"), 0.0)

    assert isinstance(message, BotMessage)
    assert not message.is_edit


def test_an_unwatched_message_is_not_even_read(reader: DispatchReader) -> None:
    """Of a message elsewhere only the channel is looked at."""
    unreadable = Raw(b'{"channel_id":"7","id":5,"author":"nobody"}')

    assert Ignored("MESSAGE_CREATE") == reader.read("MESSAGE_CREATE", unreadable, 0.0)


def test_a_persons_message_is_ignored(reader: DispatchReader) -> None:
    """Only bots say anything about jobs."""
    said = recorded.raw("message_queued", author={"id": "1"})

    assert Ignored("MESSAGE_CREATE") == reader.read("MESSAGE_CREATE", said, 0.0)


def test_a_partial_update_is_completed_from_memory(reader: DispatchReader) -> None:
    """An update that only brings the video is the queue note with a video."""
    reader.read("MESSAGE_CREATE", recorded.raw("message_queued"), 0.0)

    edited = reader.read("MESSAGE_UPDATE", recorded.raw("message_update_partial"), 7.0)

    assert isinstance(edited, BotMessage)
    assert Kind.RESULT is edited.kind
    assert edited.is_edit
    assert "queued" in edited.content


@pytest.mark.parametrize("later", [REMEMBERED_SECONDS + 1, None])
def test_memory_ends(reader: DispatchReader, later: float | None) -> None:
    """After an hour, or 256 other messages, a partial update cannot be completed and is ignored."""
    reader.read("MESSAGE_CREATE", recorded.raw("message_queued"), 0.0)
    if later is None:
        for other in range(REMEMBERED):
            reader.read("MESSAGE_CREATE", recorded.raw("message_queued", id=str(other)), 1.0)

    edited = reader.read("MESSAGE_UPDATE", recorded.raw("message_update_partial"), later or 1.0)

    assert Ignored("MESSAGE_UPDATE") == edited


def test_deletions(reader: DispatchReader) -> None:
    """Both kinds of deletion tell which messages are gone from a watched channel."""
    one = reader.read("MESSAGE_DELETE", Raw(f'{{"id":"1","channel_id":"{CHANNEL}"}}'.encode()), 0.0)
    many = reader.read(
        "MESSAGE_DELETE_BULK", Raw(f'{{"ids":["1","2"],"channel_id":"{CHANNEL}"}}'.encode()), 0.0
    )
    elsewhere = reader.read("MESSAGE_DELETE", Raw(b'{"id":"1","channel_id":"7"}'), 0.0)

    assert MessagesDeleted(channel_id=CHANNEL, message_ids=("1",)) == one
    assert MessagesDeleted(channel_id=CHANNEL, message_ids=("1", "2")) == many
    assert Ignored("MESSAGE_DELETE") == elsewhere


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("INTERACTION_CREATE", InteractionAccepted(nonce=NONCE, interaction_id=INTERACTION)),
        ("INTERACTION_SUCCESS", InteractionAnswered(nonce=NONCE, interaction_id=INTERACTION)),
        ("INTERACTION_FAILURE", InteractionFailed(nonce=NONCE, interaction_id=INTERACTION, reason=2)),
        ("INTERACTION_MODAL_CREATE", FormOpened(nonce=NONCE, interaction_id=INTERACTION)),
        ("INTERACTION_IFRAME_MODAL_CREATE", Ignored("INTERACTION_IFRAME_MODAL_CREATE")),
        ("TYPING_START", Ignored("TYPING_START")),
    ],
)
def test_interactions(reader: DispatchReader, name: str, expected: object) -> None:
    """Each interaction event has its own sighting; any other event is ignored."""
    assert expected == reader.read(name, recorded.raw("interaction_failure"), 0.0)


def test_an_interaction_without_nonce_is_not_ours(reader: DispatchReader) -> None:
    """An event that names no nonce cannot be about a press of this server."""
    event = recorded.raw("interaction_failure", nonce=None)

    assert Ignored("INTERACTION_SUCCESS") == reader.read("INTERACTION_SUCCESS", event, 0.0)


def test_a_message_without_channel_is_an_error(reader: DispatchReader) -> None:
    """What we cannot do without is missed loudly."""
    with pytest.raises(WireError):
        reader.read("MESSAGE_CREATE", Raw(b'{"id":"1"}'), 0.0)
