"""Headers of the operator's choice: what is one, what stays ours, and that no error quotes a value."""

import pytest

from iris_exporter.core.request_headers import (
    MAX_HEADERS_FILE_BYTES,
    BadHeaderError,
    has_authorization,
    parse,
    parse_file,
)


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("X-Tenant: a", ("X-Tenant", "a")),
        ("X-Tenant:a", ("X-Tenant", "a")),
        ("X-Tenant:  a b \t", ("X-Tenant", "a b")),
        ("Cookie: a=1; b=2", ("Cookie", "a=1; b=2")),
        ("User-Agent: mine", ("User-Agent", "mine")),
        ("X-Time: 12:00", ("X-Time", "12:00")),
        ("Authorization: Basic eA==", ("Authorization", "Basic eA==")),
    ],
)
def test_a_line_is_a_name_and_a_value(line: str, header: tuple[str, str]) -> None:
    assert parse(line) == header


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hidden",
        ": hidden",
        "X Tenant: hidden",
        "X-Tenant : hidden",
        " X-Tenant: hidden",
        "X-\u00e9: hidden",
        "X-Tenant:",
        "X-Tenant: hidden\r\nX-Admin: 1",
        "X-Tenant: hidden\n",
        "X-Tenant: hidden\0",
        "X-Tenant: hidden\u00e9",
        "X-Tenant: hidden\ud800",
        "X-Tenant: " + "hidden" * 2000,
        "X" * 300 + ": hidden",
    ],
)
def test_what_is_no_header_is_refused_without_its_value(line: str) -> None:
    with pytest.raises(BadHeaderError) as caught:
        parse(line)
    assert "hidden" not in str(caught.value)


SET_BY_US = ["Host", "upgrade", "CONNECTION", "Sec-WebSocket-Key", "sec-fetch-mode", "Content-Length", "Last-Event-ID"]
SET_BY_US += [
    "Accept",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Keep-Alive",
    "Proxy-Authorization",
    "If-None-Match",
    "Range",
]


@pytest.mark.parametrize("name", SET_BY_US)
def test_names_that_are_set_by_the_exporter_are_refused(name: str) -> None:
    with pytest.raises(BadHeaderError, match="set by the exporter"):
        parse(f"{name}: x")


def test_a_file_has_one_header_in_each_line() -> None:
    content = b"# ours\r\nX-Tenant: a\r\n\r\n  \nCookie: b=1\n"
    assert parse_file(content) == (("X-Tenant", "a"), ("Cookie", "b=1"))
    assert parse_file(b"") == ()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"X-A: 1\nhidden\n", "line 2"),
        (b"X-A: 1\nx-a: hidden\n", "line 2: x-a a second time"),
        (b"X-A: hidden\xc3\xa9\n", "line 1"),
        (b"X-A: hidden\rX-B: 1\n", "line 1"),
        (b"X" * (MAX_HEADERS_FILE_BYTES + 1), "more than"),
    ],
)
def test_the_error_of_a_broken_file_names_the_line(content: bytes, why: str) -> None:
    with pytest.raises(BadHeaderError) as caught:
        parse_file(content)
    assert why in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_the_header_that_the_key_file_is_for_is_found_in_any_case() -> None:
    assert has_authorization([("X", "1"), ("aUTHORIZATION", "x")])
    assert not has_authorization([("X-Authorization", "1")])
