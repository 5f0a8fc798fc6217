"""Form fields into requests, and the order of their refusals."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.contract import commands
from pikarelay.contract.commands import parse_command
from pikarelay.contract.requests import is_channel_id, parse_button, utf16_length
from pikarelay.errors import ApiError, ButtonNotSupported, InvalidValue, MissingValue, TooLong
from pikarelay.jobs.job import Upload, Verb
from pikarelay.jobs.requests import ButtonRequest, CommonFields
from pikarelay.jobs.secret import Secret

BUTTON = {"jobid": "J1", "button": "retry"}
CREATE = {"prompt": "a red kite"}
TOO_LONG = "x" * 1025
IMAGE = Upload(size=1, type="image/png", key="k")


def refusal(texts: dict[str, str], *, create: bool = False) -> str:
    with pytest.raises(ApiError) as refused:
        parse_command(commands.CREATE, texts, {}) if create else parse_button(texts)
    assert refused.value.code == 400
    return refused.value.message


def test_smallest_button() -> None:
    """A job and its button are all that is needed."""
    assert ButtonRequest(job_id="J1", button="retry", common=CommonFields()) == parse_button(BUTTON)


def test_all_of_a_button() -> None:
    """Every field of the contract is read; unknown ones are ignored."""
    common = {
        "discord": "tok",
        "channel": "1180000000000000001",
        "maxJobs": "3",
        "replyUrl": "https://e.org",
        "replyRef": "r",
    }

    assert (
        CommonFields(
            discord_token=Secret("tok"),
            channel="1180000000000000001",
            max_jobs=3,
            reply_url="https://e.org",
            reply_ref="r",
        )
        == parse_button(BUTTON | common | {"other": "x"}).common
    )


def test_empty_is_absent() -> None:
    """Empty parts, which one client sends for values that it does not have, count as absent."""
    empty = dict.fromkeys(["discord", "channel", "maxJobs", "replyUrl", "replyRef"], "")

    assert CommonFields() == parse_button(BUTTON | empty).common


@pytest.mark.parametrize(
    "texts", [{}, {"jobid": "J1"}, {"button": "retry"}, {"jobid": "", "button": "retry"}]
)
def test_button_missing(texts: dict[str, str]) -> None:
    """Without job or button, the contract's sentence names both."""
    assert refusal(texts) == "jobid or button value is missing"


@pytest.mark.parametrize("button", ["remix", "Retry", " retry", "U1"])
def test_button_not_supported(button: str) -> None:
    """Only `retry`, spelt exactly, is a button."""
    assert f"button {button} not supported" == refusal(BUTTON | {"button": button})


def test_order_of_refusals() -> None:
    """Missing comes before too long, too long before an impossible URL, and that before the button."""
    everything = {"button": "remix", "replyUrl": "ftp://e.org", "replyRef": TOO_LONG}

    assert refusal(everything) == "jobid or button value is missing"
    assert refusal(everything | {"jobid": "J1"}) == "replyRef or replyUrl is too long"
    assert refusal(everything | {"jobid": "J1", "replyRef": ""}) == "replyUrl is not a valid URL"
    assert refusal({"jobid": "J1", "button": "remix"}) == "button remix not supported"


@pytest.mark.parametrize("unit", ["x", "\u00e9", "\U0001f3ac"], ids=["ascii", "accent", "astral"])
def test_reply_ref_limit_is_1024_utf16_units(unit: str) -> None:
    """1,024 UTF-16 units pass and come through unchanged, 1,025 do not; a character beyond the first plane is two."""
    most = unit * (1024 // utf16_length(unit))

    assert most == parse_button(BUTTON | {"replyRef": most}).common.reply_ref
    assert refusal(BUTTON | {"replyRef": most + "x"}) == "replyRef or replyUrl is too long"


def test_reply_url_limit_is_inclusive() -> None:
    """A URL of 1,024 units passes, of 1,025 does not."""
    most = "https://e.org/".ljust(1024, "x")

    assert most == parse_button(BUTTON | {"replyUrl": most}).common.reply_url
    assert refusal(BUTTON | {"replyUrl": most + "x"}) == "replyRef or replyUrl is too long"


@given(st.text())
def test_length_is_javascripts(text: str) -> None:
    """Length is what UTF-16 has in units."""
    assert len(text.encode("utf-16-le", "surrogatepass")) // 2 == utf16_length(text)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5", "1e3", "+3", " 3", "\u0663", "9" * 19, "null"])
def test_max_jobs_that_is_no_number_is_not_given(text: str) -> None:
    """What is no positive whole number counts as not given."""
    assert None is parse_button(BUTTON | {"maxJobs": text}).common.max_jobs


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("10", 10), ("11", 11), ("007", 7), ("9" * 18, 1_000_000)]
)
def test_max_jobs_is_taken_as_given(text: str, number: int) -> None:
    """Numbers above ten are taken as they are, absurd ones as a million."""
    assert number == parse_button(BUTTON | {"maxJobs": text}).common.max_jobs


@pytest.mark.parametrize("token", ["a\r\nX-Forged: 1", "a b", "caf\u00e9", "a\x00b"])
def test_token_that_forges_a_header(token: str) -> None:
    """A token that could not stand in a header alone is refused."""
    assert refusal(BUTTON | {"discord": token}) == "discord is not a valid token"


def test_token_is_stripped() -> None:
    """White space around a pasted token is dropped."""
    assert Secret("tok") == parse_button(BUTTON | {"discord": " tok\n"}).common.discord_token


def test_create() -> None:
    """A prompt is all that is needed; a file may come with it."""
    asked = parse_command(commands.CREATE, CREATE, {"image": IMAGE})

    assert (asked.verb, asked.prompt, asked.image) == (Verb.CREATE, "a red kite", IMAGE)
    assert None is parse_command(commands.CREATE, CREATE, {}).image


@pytest.mark.parametrize("texts", [{}, {"prompt": ""}])
def test_create_missing(texts: dict[str, str]) -> None:
    """Without a prompt, the sentence names everything that create needs."""
    assert refusal(texts, create=True) == "prompt, discord or channel value is missing"


def test_prompt_limit_is_1500() -> None:
    """A prompt of 1,500 units passes, of 1,501 does not."""
    assert parse_command(commands.CREATE, {"prompt": "x" * 1500}, {}).prompt == "x" * 1500
    assert refusal({"prompt": "x" * 1501}, create=True) == "prompt, replyRef or replyUrl is too long"


@pytest.mark.parametrize("channel", ["1", "x" * 18, "1180000000000000001/../x", "\u0661" * 18, "1" * 21])
def test_channel_must_be_an_id(channel: str) -> None:
    """What is no Discord id is refused, for it would become a part of a path."""
    assert "is not a Discord channel id" in refusal(CREATE | {"channel": channel}, create=True)
    assert not is_channel_id(channel)


@given(
    st.dictionaries(
        st.sampled_from([*BUTTON, "discord", "channel", "maxJobs", "replyUrl", "replyRef"]), st.text()
    )
)
def test_any_texts_are_read_or_refused(texts: dict[str, str]) -> None:
    """Whatever a caller sends is a request or one of the contract's refusals."""
    with suppress(MissingValue, TooLong, InvalidValue, ButtonNotSupported):
        asked = parse_button(texts)
        assert (texts["jobid"], "retry") == (asked.job_id, asked.button)
