"""One JSON value at a time; the tables list every spelling that was seen or must be expected."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.decoding import values
from iris_exporter.decoding.problems import REASONS
from iris_exporter.decoding.values import UnusableValueError

MOMENT = datetime(2026, 11, 23, 9, 15, tzinfo=UTC).timestamp()

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


def reason(convert: Callable[[object], object], value: object) -> str:
    """Why the value is refused."""
    with pytest.raises(UnusableValueError) as caught:
        convert(value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (5, 5.0),
        (0.25, 0.25),
        ("5", 5.0),
        (" 12.5 ", 12.5),
        ("+3", 3.0),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        (2**64, 2.0**64),
        (None, None),
        ("", None),
        ("  ", None),
        ("N/A", None),
        ("null", None),
        ("NaN", None),
        ("-", None),
    ],
)
def test_a_number_is_read_from_numbers_and_texts(value: object, result: float | None) -> None:
    assert values.number(value) == result


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (True, "wrong_type"),
        ([], "wrong_type"),
        ({}, "wrong_type"),
        ("many", "not_a_number"),
        ("1_000", "not_a_number"),
        ("1,000", "not_a_number"),
        ("٣", "not_a_number"),  # a digit, but not of JSON
        ("0x10", "not_a_number"),
        ("12 ms", "not_a_number"),
        ("Infinity", "not_finite"),
        ("-inf", "not_finite"),
        ("9" * 5000, "not_finite"),
        ("1e999", "not_finite"),
        (math.nan, "not_finite"),
        (-math.inf, "not_finite"),
        (10**400, "not_finite"),
    ],
)
def test_what_is_no_finite_number_is_refused(value: object, why: str) -> None:
    assert reason(values.number, value) == why


def test_a_count_and_a_duration_cannot_be_negative() -> None:
    assert values.count("0") == 0
    assert reason(values.count, -1) == "out_of_range"
    assert values.milliseconds("412.5") == 0.4125
    assert values.milliseconds("") is None
    assert reason(values.milliseconds, -1) == "out_of_range"


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (0, 0.0),
        (0.87, 0.87),
        ("0.87", 0.87),
        (1, 1.0),
        (1.0, 1.0),
        ("1", 1.0),
        (1.0000000000000002, 1.0),  # what averaging leaves
        (1.01, 0.0101),
        (2, 0.02),
        (87, 0.87),
        (87.4, 0.874),
        ("87%", 0.87),
        (" 87.4 % ", 0.874),
        ("1%", 0.01),
        ("0.5%", 0.005),
        (100, 1.0),
        (100.00000000000001, 1.0),
        ("100%", 1.0),
        (None, None),
        ("", None),
        ("N/A", None),
        ("%", None),
    ],
)
def test_a_share_is_between_0_and_1_however_it_was_written(value: object, result: float | None) -> None:
    assert values.ratio(value) == (None if result is None else pytest.approx(result, rel=1e-12))


@pytest.mark.parametrize(("value", "result"), [(1, 0.01), (0.5, 0.005), (87, 0.87), ("87%", 0.87), (100, 1.0), (0, 0)])
def test_where_the_scale_is_known_1_is_one_per_cent(value: object, result: float) -> None:
    assert values.percentage(value) == result


@pytest.mark.parametrize("value", [-0.1, -1, 101, "140%", 1e9])
@pytest.mark.parametrize("convert", [values.ratio, values.percentage])
def test_a_share_outside_its_range_is_refused(convert: Callable[[object], float | None], value: object) -> None:
    assert reason(convert, value) == "out_of_range"


@pytest.mark.parametrize(
    ("value", "proves"),
    [
        (87, True),
        ("87", True),
        (1.5, True),
        (100, True),
        (1, False),
        (0.9, False),
        (101, False),
        ("87%", False),
        (None, False),
        ("many", False),
        ([], False),
        (True, False),
    ],
)
def test_only_a_plain_number_above_1_proves_a_percentage(value: object, proves: bool) -> None:
    assert values.is_percentage(value) is proves


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("2026-11-23T09:15:00Z", MOMENT),
        ("2026-11-23T09:15:00z", MOMENT),
        ("2026-11-23t09:15:00Z", MOMENT),
        ("2026-11-23T09:15:00.5Z", MOMENT + 0.5),
        ("2026-11-23T09:15:00.123Z", MOMENT + 0.123),
        ("2026-11-23T09:15:00.123456Z", MOMENT + 0.123456),
        ("2026-11-23T09:15:00.123456789Z", MOMENT + 0.123456),
        ("2026-11-23T09:15:00+00:00", MOMENT),
        ("2026-11-23T09:15:00+0000", MOMENT),
        ("2026-11-23T11:15:00+02:00", MOMENT),
        ("2026-11-23T04:15:00-0500", MOMENT),
        ("2026-11-23T09:15:00", MOMENT),
        ("2026-11-23T09:15", MOMENT),
        ("2026-11-23 09:15:00", MOMENT),
        ("2026-11-23 09:15:00 +00:00", MOMENT),
        ("2026-11-23 09:15:00.5 UTC", MOMENT + 0.5),
        (" 2026-11-23T09:15:00Z ", MOMENT),
        ("20261123T091500Z", MOMENT),
        ("2026-11-23", MOMENT - 9.25 * 3600),
        (MOMENT, MOMENT),
        (MOMENT * 1e3, MOMENT),
        (MOMENT * 1e6, MOMENT),
        (int(MOMENT) * 10**9, MOMENT),
        (str(int(MOMENT)), MOMENT),
        (str(int(MOMENT * 1000)), MOMENT),
        (f"{MOMENT:.3f}", MOMENT),
        (0, 0.0),
        ("0001-01-01T00:00:00Z", None),  # how some languages write "never"
        (None, None),
        ("", None),
        ("N/A", None),
    ],
)
def test_a_moment_is_read_in_every_spelling(value: object, result: float | None) -> None:
    assert values.timestamp(value) == (None if result is None else pytest.approx(result, abs=1e-6))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2 minutes ago", "not_a_timestamp"),
        ("2026-13-01T00:00:00Z", "not_a_timestamp"),
        ("2026-11-23T25:00:00Z", "not_a_timestamp"),
        ("12345", "not_a_timestamp"),
        ("1960-01-01T00:00:00Z", "out_of_range"),
        (-1, "out_of_range"),
        (1e21, "out_of_range"),
        (math.nan, "not_finite"),
        (True, "wrong_type"),
        ({}, "wrong_type"),
    ],
)
def test_what_is_no_moment_is_refused(value: object, why: str) -> None:
    assert reason(values.timestamp, value) == why


def test_a_last_run_may_be_free_text_but_nothing_else() -> None:
    assert values.timestamp_if_any("2 minutes ago") is None
    assert values.timestamp_if_any("2026-11-23T09:15:00Z") == MOMENT
    assert reason(values.timestamp_if_any, []) == "wrong_type"


@given(st.integers(min_value=0, max_value=253402300799999999), st.sampled_from(["T", " "]), st.sampled_from(["Z", ""]))
def test_a_moment_keeps_its_microseconds(microseconds: int, separator: str, offset: str) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    text = moment.isoformat(sep=separator).removesuffix("+00:00") + offset
    assert values.timestamp(text) == microseconds / 10**6


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (1, "1"),
        (1.0, "1"),
        ("1", "1"),
        ("1.0", "1.0"),
        (1.5, "1.5"),
        (0, "0"),
        (-3, "-3"),
        (1763889335003, "1763889335003"),
        (2**70, str(2**70)),
        (1e300, "1e+300"),
        ("evt-1", "evt-1"),
        ("", None),
        (None, None),
    ],
)
def test_an_id_is_text(value: object, result: str | None) -> None:
    assert values.identifier(value) == result


@pytest.mark.parametrize(("value", "why"), [(True, "wrong_type"), ([], "wrong_type"), (math.inf, "not_finite")])
def test_what_cannot_be_an_id_is_refused(value: object, why: str) -> None:
    assert reason(values.identifier, value) == why


def test_a_long_id_becomes_a_short_one_that_still_tells_apart() -> None:
    assert values.identifier("x" * values.MAX_ID_CHARS) == "x" * values.MAX_ID_CHARS
    first, second = values.identifier("x" * 100_000), values.identifier("x" * 99_999)
    assert first is not None
    assert len(first) == 17
    assert first != second
    assert first == values.identifier("x" * 100_000)


def test_a_made_id_depends_on_where_one_part_ends() -> None:
    assert values.made_id("ab", "c") != values.made_id("a", "bc")
    assert values.made_id("a", "b") == values.made_id("a", "b")
    assert values.made_id("").startswith("~")


@pytest.mark.parametrize(
    ("value", "result"),
    [(True, True), (False, False), (1, True), (0, False), ("TRUE", True), ("no", False), ("", False), (None, None)],
)
def test_a_flag_is_read_from_the_usual_words(value: object, result: bool | None) -> None:
    assert values.flag(value) is result


@pytest.mark.parametrize("value", ["perhaps", [], {}])
def test_what_is_no_flag_is_refused(value: object) -> None:
    assert reason(values.flag, value) == "wrong_type"


CONVERSIONS = [
    values.number,
    values.count,
    values.milliseconds,
    values.ratio,
    values.percentage,
    values.timestamp,
    values.timestamp_if_any,
    values.text,
    values.identifier,
    values.flag,
]


@pytest.mark.parametrize("convert", CONVERSIONS)
@given(value=JSON_VALUES)
def test_any_value_gives_a_result_or_a_documented_reason(convert: Callable[[object], object], value: object) -> None:
    try:
        result = convert(value)
    except UnusableValueError as error:
        assert error.reason in REASONS
    else:
        assert not isinstance(result, float) or math.isfinite(result)


@given(value=JSON_VALUES)
def test_a_share_is_never_outside_0_to_1(value: object) -> None:
    for convert in (values.ratio, values.percentage):
        try:
            result = convert(value)
        except UnusableValueError:
            continue
        assert result is None or 0 <= result <= 1
