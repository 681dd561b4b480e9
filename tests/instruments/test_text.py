"""Spelling of values and labels, held to `prometheus_client`'s."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from iris_exporter.core.labels import clean_label
from iris_exporter.instruments.text import (
    Exemplar,
    escape_help,
    escape_label,
    exemplar_text,
    format_value,
    format_values,
)


@given(st.one_of(st.floats(), st.integers(-(10**18), 10**18)))
def test_a_value_is_spelled_as_the_client_library_does(value: float) -> None:
    assert format_value(value) == floatToGoString(value)


_TIMES = st.floats(1e9, 1e10) | st.integers(10**9, 10**10).map(float)


@given(st.lists(st.floats() | st.floats(-1e6, 1e6), min_size=1) | st.lists(_TIMES, min_size=1))
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
