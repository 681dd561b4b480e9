"""Durations and sizes, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("0s", 0.0), ("500ms", 0.5), ("3s", 3.0), ("1.5s", 1.5), ("1s500ms", 1.5), ("1m", 60.0),
        ("1m30s", 90.0), ("1m5ms", 60.005), ("2h", 7200.0), ("1d", 86400.0), ("1d2h3m4s5ms", 93784.005), ("90s", 90.0),
        ("0.2s", 0.2), ("1ms", 0.001),
    ],
)  # fmt: skip
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "30", "1.5", "s", "1 s", " 1s", "1s ", "-1s", "+1s", "1s1m", "1s1s", "1.5m", "1e3s", "1S", "1sec", "infs",
     "٣s", "1s\n", "9" * 40 + "s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        units.parse_duration(text)


@given(st.integers(min_value=0, max_value=10**10))
def test_every_duration_survives_being_written(milliseconds: int) -> None:
    assert units.parse_duration(units.format_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(
    ("seconds", "text"), [(90.0, "1m30s"), (0.5, "500ms"), (0.0, "0"), (300.0, "5m"), (1.5, "1s500ms")]
)
def test_a_duration_is_written_in_its_largest_units(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1048576", 1 << 20), ("10B", 10), ("100KiB", 102400), ("1MiB", 1 << 20), ("1MB", 10**6), ("1kB", 1000),
     ("1KB", 1000), ("2GiB", 2 << 30), ("1GB", 10**9)],
)  # fmt: skip
def test_a_size_is_bytes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1 MiB", "1.5MiB", "-1", "1mib", "1M", "1XB", "٣", "1\n", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        units.parse_size(text)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_every_size_survives_being_written(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size
