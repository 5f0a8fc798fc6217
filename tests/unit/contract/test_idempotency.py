"""The header Idempotency-Key, and which requests are the same."""

from collections.abc import Mapping

import pytest

from pikarelay.contract.idempotency import parse_key, request_key
from pikarelay.errors import InvalidValue
from pikarelay.jobs.job import Upload, Verb

IMAGE = Upload(size=3, type="image/png", key="k1", digest="aa")


def digest(
    verb: Verb = Verb.CREATE,
    texts: Mapping[str, str] | None = None,
    files: Mapping[str, Upload] | None = None,
) -> bytes:
    key = request_key("k", verb, texts or {"prompt": "a", "replyRef": "b"}, files or {"image": IMAGE})
    assert key is not None
    return key.digest


@pytest.mark.parametrize("value", [b"k", b"x" * 255, b"a key, with ~ and !", b'"quoted"'])
def test_key(value: bytes) -> None:
    """A key is 1 to 255 printable ASCII characters, taken as they are."""
    assert value.decode() == parse_key([value])


@pytest.mark.parametrize(
    "values", [[b""], [b"x" * 256], [b"a\tb"], [b"a\x7f"], ["schlüssel".encode()], [b"a", b"a"], [b"a\x00"]]
)
def test_no_key(values: list[bytes]) -> None:
    """An empty, long, unprintable or repeated key is refused."""
    with pytest.raises(InvalidValue, match=r"^Idempotency-Key is not valid$"):
        parse_key(values)


def test_absent() -> None:
    """Without the header there is no key, and no digest is made."""
    assert parse_key([]) is None
    assert request_key(None, Verb.CREATE, {}, {}) is None


def test_same_request() -> None:
    """The order of fields, an empty text, and a file's name and declared type make no other request of it."""
    renamed = Upload(size=3, type="image/jpeg", key="k2", digest="aa")

    assert digest() == digest(texts={"replyRef": "b", "prompt": "a", "discord": ""}, files={"image": renamed})


@pytest.mark.parametrize(
    "other",
    [
        digest(Verb.ANIMATE),
        digest(texts={"prompt": "a"}),
        digest(texts={"prompt": "b", "replyRef": "a"}),
        digest(texts={"prompt": "ab", "replyRef": ""}),
        digest(texts={"prompt": "a", "replyRef": "b", "channel": "1"}),
        digest(files={"image": Upload(size=3, type="image/png", key="k1", digest="ab")}),
        digest(files={"message": IMAGE}),
        digest(files={"image": IMAGE, "message": IMAGE}),
    ],
)
def test_other_request(other: bytes) -> None:
    """Another verb, text or file is another request."""
    assert digest() != other
