"""Spelling of values and labels, held to `prometheus_client`'s."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from iris_exporter.instruments.text import (
    Exemplar,
    clean_label,
    escape_help,
    escape_label,
    exemplar_text,
    format_value,
    format_values,
)


@given(st.one_of(st.floats(), st.integers(-(10**18), 10**18)))
def test_a_value_is_spelled_as_the_client_library_does(value: float) -> None:
    assert format_value(value) == floatToGoString(value)


@given(st.lists(st.floats() | st.floats(-1e6, 1e6), min_size=1))
def test_many_values_are_spelled_like_each_of_them(values: list[float]) -> None:
    assert format_values(values) == list(map(format_value, values))


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (0, "0.0"), (True, "1.0"), (999_999.5, "999999.5"), (1_000_000, "1e+06"),
        (1_700_000_000.25, "1.70000000025e+09"),
        (-1_000_000.0, "-1000000.0"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1e-05, "1e-05"),
    ],
)  # fmt: skip
def test_values_by_hand(value: float, spelled: str) -> None:
    assert format_value(value) == spelled


UNCHANGED = {
    "plain": "plain",
    "empty": "",
    "several lines, tabs, quotes, braces": 'a\nb\t"{}\\',
    "other scripts": "é проект 项目 مشروع",
    "Persian, spelled with a joiner": "می\u200cشود",
    "an emoji of several": "\U0001f469\u200d\U0001f680\ufe0f",
    "a blank of another width": "a\u00a0b\u3000c",
    "as long as it may be": "x" * 200,
}


@pytest.mark.parametrize("raw", UNCHANGED.values(), ids=UNCHANGED)
def test_what_is_seen_stays_as_it_is(raw: str) -> None:
    assert clean_label(raw) == raw


UNSEEN = {
    "NUL": "\0", "escape": "\x1b", "carriage return": "\r", "delete": "\x7f", "next line": "\x85",
    "soft hyphen": "\xad", "right-to-left mark": "\u200f", "right-to-left override": "\u202e",
    "isolate": "\u2067", "line separator": "\u2028", "zero width blank": "\u200b", "byte order mark": "\ufeff",
    "tag": "\U000e0041", "lone surrogate": "\ud800", "other lone surrogate": "\udfff",
}  # fmt: skip


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_is_replaced_and_the_name_is_marked(character: str) -> None:
    clean = clean_label(f"pay{character}ments")
    assert re.fullmatch("pay\ufffdments~[0-9a-f]{16}", clean)
    clean.encode()


@pytest.mark.parametrize("limit", [32, 200])
def test_what_is_too_long_is_cut_and_marked(limit: int) -> None:
    clean = clean_label("é" * (limit + 1), limit)
    assert len(clean) == limit
    assert re.fullmatch("é+~[0-9a-f]{16}", clean)


def test_different_names_stay_different() -> None:
    long = "x" * 10_000
    names = [
        *UNCHANGED.values(),
        *UNSEEN.values(),
        long,
        long + "y",
        *(long + character for character in UNSEEN.values()),
    ]
    assert len({clean_label(name) for name in names}) == len(names)


@given(st.text(alphabet=st.characters(exclude_categories=[])), st.text(alphabet=st.characters(exclude_categories=[])))
def test_two_names_are_shown_alike_only_when_they_are_the_same(one: str, two: str) -> None:
    assert (clean_label(one) == clean_label(two)) is (one == two)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_whatever_comes_can_be_encoded_and_never_leaves_its_quotes(raw: str) -> None:
    escaped = escape_label(clean_label(raw))
    escaped.encode()
    assert "\n" not in escaped
    assert escaped.replace(r"\\", "").replace(r"\"", "").count('"') == 0


def test_help_escapes_the_quote_in_openmetrics_only() -> None:
    assert escape_help('a "b" \\ \n', openmetrics=True) == r"a \"b\" \\ \n"
    assert escape_help('a "b" \\ \n', openmetrics=False) == r'a "b" \\ \n'


def test_an_exemplar_longer_than_the_standard_allows_does_not_fit() -> None:
    short = Exemplar((("trace_id", "a" * 120),), 1.0)
    assert short.fits()
    assert not Exemplar((("trace_id", "a" * 121),), 1.0).fits()
    assert exemplar_text(Exemplar((("b", "2"), ("a", "1")), 0.5, 12.25)) == ' # {a="1",b="2"} 0.5 12.25'
