"""Which pages may use the API."""

import pytest
from multidict import CIMultiDict

from iris_exporter.backend.origins import describe_access, is_foreign, parse_origin

PAGE = "https://dashboard.example.com"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        (PAGE, PAGE),
        ("HTTPS://Dashboard.Example.com:443", PAGE),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_origins_are_read_as_browsers_write_them(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "null", "localhost", "//localhost", "ftp://a", "https://", "https://*.example.com"),
        *(f"{PAGE}/", f"{PAGE}/a", f"{PAGE}?", f"{PAGE}#", f"{PAGE}:", f"{PAGE}:99999", f"{PAGE}:x", f" {PAGE}"),
        *("https://user@a", "https://user:secret@a", "https://@a", "http://[::1", "http://a b", f"{PAGE},{PAGE}"),
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_origin(text)


@pytest.mark.parametrize(
    ("origin", "host", "foreign"),
    [
        (None, "iris:14748", False),
        (PAGE, "iris:14748", False),
        ("http://iris:14748", "iris:14748", False),
        ("https://IRIS:14748", "iris:14748", False),
        ("http://iris", "iris:14748", True),
        ("http://evil.test", "iris:14748", True),
        ("http://iris:14748.evil.test", "iris:14748", True),
        (f"{PAGE}.evil.test", "iris:14748", True),
        ("null", "iris:14748", True),
        ("", "iris:14748", True),
        ("http://[", "iris:14748", True),
        ("http://evil.test", None, True),
        ("null", "", True),
    ],
)
def test_pages_of_other_origins_are_told_apart(origin: str | None, host: str | None, foreign: bool) -> None:
    assert is_foreign(origin, host, (PAGE, "http://other.test")) == foreign


@pytest.mark.parametrize("origin", [None, "", "null", "http://evil.test"])
def test_an_answer_to_others_says_only_that_it_differs_by_origin(origin: str | None) -> None:
    headers = CIMultiDict({"Vary": "Accept-Encoding"})
    describe_access(headers, origin, (PAGE,))
    assert headers == {"Vary": "Accept-Encoding, Origin"}
