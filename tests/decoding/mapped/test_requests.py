"""Where a mapped source is asked, and with what."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from iris_exporter.decoding.mapped import requests
from iris_exporter.mapping.spec import Authorize, Rewind

WIKIMEDIA = '[{"topic":"a","partition":0,"timestamp":1760000000123},{"topic":"b","partition":0,"offset":-1}]'


@pytest.mark.parametrize(
    ("cursor", "pattern", "by", "expected"),
    [
        ("1760000000", None, 5, "1759999995"),
        ("3", None, 5, "0"),
        ("not a number", None, 5, "not a number"),
        ("\u0661\u0662", None, 5, "\u0661\u0662"),
        ("9" * 31, None, 5, "9" * 31),
        (WIKIMEDIA, '"timestamp":([0-9]+)', 5000, WIKIMEDIA.replace("1760000000123", "1759999995123")),
        ('"timestamp":7 "timestamp":9', '"timestamp":([0-9]+)', 8, '"timestamp":0 "timestamp":1'),
        ("abc", "([0-9]+)", 5, "abc"),
        ("t=1.5", "t=([0-9.]+)", 1, "t=1.5"),
    ],
)
def test_the_numbers_that_are_named_are_lowered(cursor: str, pattern: str | None, by: int, expected: str) -> None:
    assert requests.rewound(cursor, Rewind(None if pattern is None else re.compile(pattern), by)) == expected
    assert requests.rewound(cursor, None) == cursor


@pytest.mark.parametrize(
    ("url", "pairs", "expected"),
    [
        ("https://a.example/s", [("since", "x y&z")], "https://a.example/s?since=x%20y%26z"),
        ("https://a.example/s?since=all&poll=1#f", [("since", "9")], "https://a.example/s?poll=1&since=9#f"),
        ("wss://a.example/?q=%2F", [], "wss://a.example/?q=%2F"),
        ("https://a.example?since", [("since", "")], "https://a.example?since="),
    ],
)
def test_a_parameter_takes_the_place_of_its_namesake(url: str, pairs: list[tuple[str, str]], expected: str) -> None:
    assert requests.with_query(url, pairs) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_cursor_arrives_as_it_is(cursor: str) -> None:
    assert URL(requests.with_query("https://a.example/s?a=1", [("cursor", cursor)]), encoded=True).query["cursor"] in (
        cursor,
        cursor.replace("+", " "),
    )


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ('<https://a.example/s?page=2>; rel="next", <https://a.example/s?page=9>; rel="last"', "/s?page=2"),
        ('<https://a.example/1>; rel="prev", </s?page=3>; rel=next', "/s?page=3"),
        ('<?page=4>; title="a; rel=next"; rel="first next"', "/s?page=4"),
        ('<https://other.example/s?page=2>; rel="next"', None),
        ('<http://a.example/s?page=2>; rel="next"', None),
        ('<https://a.example/s?page=2>; rel="nextish"', None),
        ('<https://a.example/s>; rel="last"', None),
        ("", None),
        ("<" * 100_000 + 'rel="next"', None),
    ],
)
def test_pages_are_followed_at_the_same_origin_alone(link: str, expected: str | None) -> None:
    found = requests.next_page("https://a.example/s?page=1", {"Link": link})
    assert found == (None if expected is None else f"https://a.example{expected}")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("60", 60), (" 2.5 ", 2.5), ("99999", 3600), ("-1", None), ("nan", None), ("", None), (None, None)],
)
def test_pauses_are_seconds(value: str | None, seconds: float | None) -> None:
    assert requests.pause_seconds(value) == seconds


def test_the_key_goes_where_the_mapping_says() -> None:
    assert requests.key_header(Authorize("header")) == "Authorization"
    assert requests.key_header(Authorize("header", "X-Key")) == "X-Key"
    assert requests.key_header(Authorize("query", "key")) is None
    assert requests.key_header(Authorize("message")) is None
