import pytest

from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.bot_messages import Prose
from pikarelay.discord.wire.messages import button_name, page_ids, read_message, read_messages
from pikarelay.discord.wire.payloads import WireError
from pikarelay.jobs.messages import Kind
from tests.unit.discord.wire import recorded

PROSE = Prose()


def test_the_queue_note() -> None:
    """The published queue note is an update that mentions its presser once."""
    message = read_message(recorded.encoded("message_queued"), PROSE)

    assert Kind.UPDATE is message.kind
    assert message.mentions == ("1170000000000000001",)
    assert message.timestamp == "2026-08-01T10:00:02.100000+00:00"
    assert message.author_id == "1139001000000000001"


def test_the_result() -> None:
    """The published result has its video and the buttons that can be pressed, by their plain names."""
    message = read_message(recorded.encoded("message_result"), PROSE)

    assert Kind.RESULT is message.kind
    assert [(button.name, button.custom_id) for button in message.buttons] == [
        ("retry", "retry:1:x"),
        ("remix", "remix:1:x"),
    ]
    (video,) = message.attachments
    assert (
        video.filename,
        video.content_type,
        video.size,
        video.width,
        video.height,
    ) == ("a_red_kite.mp4", "video/mp4", 200000, 1024, 576)


def test_a_deferred_answer() -> None:
    """A loading, ephemeral answer is hidden and names nonce, interaction and presser."""
    message = read_message(recorded.encoded("message_deferred"), PROSE)

    assert Kind.HIDDEN is message.kind
    assert message.is_ephemeral
    assert message.nonce == "1573970730058514432"
    assert message.interaction_id == "1190000000000000009"
    assert message.interaction_user_id == "1170000000000000001"
    assert message.application_id == "1139001000000000000"


def test_the_older_interaction_object_serves_too() -> None:
    """Without metadata, the deprecated object names the interaction."""
    message = read_message(recorded.encoded("message_deferred", interaction_metadata=None), PROSE)

    assert message.interaction_id == "1190000000000000009"
    assert message.interaction_user_id == "1170000000000000001"


def test_a_follow_up() -> None:
    """A follow-up names the pressed message, the first answer, and what it replies to."""
    message = read_message(recorded.encoded("message_followup"), PROSE)

    assert message.nonce is None
    assert message.interacted_message_id == "1190000000000000002"
    assert message.original_response_message_id == "1190000000000000011"
    assert message.referenced_message_id == "1190000000000000011"


def test_components_version_2() -> None:
    """A button is found at any depth, and text components stand in for the missing content."""
    message = read_message(recorded.encoded("message_components_v2"), PROSE)

    assert message.content == "Your video"
    (button,) = message.buttons
    assert (button.name, button.custom_id, button.disabled) == ("retry", "r:9", True)


def test_an_unmerged_update_is_no_message() -> None:
    """An update without author says which keys it has, and none of its content."""
    with pytest.raises(WireError) as caught:
        read_message(recorded.encoded("message_update_partial"), PROSE)

    assert "attachments" in str(caught.value)
    assert "red_kite" not in str(caught.value)


def test_an_update_is_merged_with_what_it_updates() -> None:
    """What an update leaves out is as it was; what it has is new."""
    older = payloads.read("message", recorded.raw("message_queued"), payloads.Message)
    newer = payloads.read("message", recorded.raw("message_update_partial"), payloads.Message)

    merged = payloads.merge(older, newer)

    assert older.content == merged.content
    assert older.author == merged.author
    assert merged.edited_timestamp == "2026-08-01T10:00:09.000000+00:00"
    assert newer.attachments == merged.attachments


def test_an_id_is_a_number() -> None:
    """What is no snowflake is not taken for one, and is not shown."""
    with pytest.raises(WireError) as caught:
        read_message(recorded.encoded("message_queued", id="hello"), PROSE)

    assert "hello" not in str(caught.value)


def test_history_is_put_in_order() -> None:
    """A page comes newest first, is read oldest first, and loses only what cannot be read."""
    page = b"[%s,%s,%s]" % (
        recorded.encoded("message_result"),
        b'{"id":"1190000000000000001","channel_id":7}',
        recorded.encoded("message_queued", id="999"),
    )

    assert [message.id for message in read_messages(page, PROSE)] == ["999", "1190000000000000002"]
    assert page_ids(page) == ("1190000000000000002", "1190000000000000001", "999")


@pytest.mark.parametrize(
    ("name", "label", "emoji"),
    [
        ("retry", "Retry", None),
        ("retry", "🔁 Retry", "🔁"),
        ("retry", "🔁\ufe0fRetry\u200d", None),
        ("try again", " Try   AGAIN 👩🏽‍🚀", None),
        ("1 up", "1\ufe0f\u20e3 Up", None),
        ("élan", "E\u0301lan", None),
        ("c++", "C++", None),
        ("🔁", None, "🔁"),
        ("repeat", "", "Repeat"),
        ("", None, None),
    ],
)
def test_button_names(name: str, label: str | None, emoji: str | None) -> None:
    """A button goes by its label in lower case, without its pictures."""
    import unicodedata

    assert unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", button_name(label, emoji))
