"""Which `replyUrl`s can ever be delivered to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.contract.urls import is_deliverable


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com/hook?ref=1#there",
        "HTTPS://Example.COM/",
        "http://example.com.:8080/",
        "http://localhost:4000/",
        "http://127.0.0.1/",
        "http://10.0.0.7:65535/x",
        "http://[::1]:8080/",
        "https://bücher.example/ü",
        "http://my_service.internal/",
        "https://example.com/@handle",
    ],
)
def test_possible_targets_are_accepted(url: str) -> None:
    """A spelling that names a reachable kind of place passes, private ones included."""
    assert is_deliverable(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "//example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "http:",
        "http://",
        "http:///path",
        "http://:8080/",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:port/",
        "http://example.com:-1/",
        "http://exa mple.com/",
        "http://example.com/a b",
        " http://example.com/",
        "http://example.com/\n",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\u2028",
        "http://example.com\\@evil.example/",
        "http://a..b/",
        "http://./",
        "http://-a.example/",
        "http://a%2fb/",
        "http://[::1/",
        "http://[::1%25eth0]/",
        "http://[127.0.0.1]/",
        "http://[v1.x]/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
    ],
)
def test_impossible_targets_are_refused(url: str) -> None:
    """What can never be delivered to is told to the caller at once."""
    assert not is_deliverable(url)


@given(st.text(max_size=60))
def test_no_text_makes_it_raise(text: str) -> None:
    """Any text gets an answer."""
    assert is_deliverable(f"http://{text}") in {True, False}
    assert is_deliverable(text) in {True, False}
