"""Keys and limits."""

import logging
from pathlib import Path

import pytest

from iris_exporter.backend.access import Admission, KeyFile, Limits, RateWindow, offered_key
from iris_exporter.errors import ConfigError


def test_the_key_is_the_content_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret\n")
    key = KeyFile(file)
    assert key.accepts("secret")
    assert not key.accepts("secret\n")
    assert not key.accepts("")
    assert not key.accepts("s\u00e9cret")


def test_a_changed_file_changes_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    key = KeyFile(file)
    (tmp_path / "next").write_text("two")
    (tmp_path / "next").replace(file)
    assert key.accepts("two")
    assert not key.accepts("one")


def test_a_file_that_went_away_leaves_the_last_key_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    key = KeyFile(file)
    file.unlink()
    with caplog.at_level(logging.WARNING):
        assert key.accepts("one")
    assert "key.unreadable" in caplog.text


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="--api-key-file"):
        KeyFile(file)


@pytest.mark.parametrize(
    ("header", "query", "key"),
    [
        ("Bearer abc", None, "abc"),
        ("bearer abc", "other", "abc"),
        ("Basic abc", "other", None),
        (None, "abc", "abc"),
        (None, None, None),
    ],
)
def test_where_a_key_is_offered(header: str | None, query: str | None, key: str | None) -> None:
    assert offered_key(header, query) == key


def test_a_rate_window_lets_in_again_what_has_left_it() -> None:
    window = RateWindow(2, 60.0)
    assert window.use(0.0) is None
    assert window.use(10.0) is None
    assert window.use(20.0) == pytest.approx(40.0)
    assert window.use(60.0) is None
    assert window.use(61.0) == pytest.approx(9.0)


def test_connections_are_limited_by_hour_and_address() -> None:
    admission = Admission(Limits(connections_per_hour=2))
    assert [admission.refuse("a", 0, now) for now in (0.0, 1.0)] == [None, None]
    assert admission.refuse("a", 0, 2.0) == pytest.approx(3598.0)
    assert admission.refuse("b", 0, 2.0) is None
    assert admission.refuse("a", 0, 3601.0) is None


def test_connections_are_limited_at_once() -> None:
    admission = Admission(Limits(connections_at_once=2))
    assert admission.refuse("a", 1, 0.0) is None
    assert admission.refuse("a", 2, 0.0) is not None


def test_without_limits_everybody_comes_in() -> None:
    admission = Admission(Limits())
    assert all(admission.refuse("a", 10_000, 0.0) is None for _ in range(1000))
