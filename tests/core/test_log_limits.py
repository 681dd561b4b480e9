"""How many lines of a kind are logged, and what is made of a library's message."""

import logging

import pytest

from iris_exporter.core.log_limits import (
    LIBRARIES,
    LINES_PER_KIND,
    LINES_PER_LIBRARY,
    MOST_KINDS,
    WINDOW_SECONDS,
    LibraryMessages,
    LineLimit,
    fitting_level,
    kind_of,
    library_of,
    raw_line,
)


def test_messages_that_differ_in_numbers_share_a_limit_and_the_rest_is_reported_a_minute_later() -> None:
    limit = LibraryMessages()
    admitted = [limit.admit("asyncio", f"accept failed on fd={n}\nsocket {n}", 0.0) for n in range(5000)]
    assert admitted == [0] * LINES_PER_KIND + [None] * (5000 - LINES_PER_KIND)
    assert limit.admit("asyncio", "accept failed on fd=1", WINDOW_SECONDS) == 5000 - LINES_PER_KIND


def test_a_library_with_ever_new_messages_is_limited_as_a_whole_and_holds_no_other_one_back() -> None:
    limit = LibraryMessages()
    texts = [f"{chr(97 + n // 26)}{chr(97 + n % 26)} failed" for n in range(600)]
    assert sum(limit.admit("aiohttp", text, 0.0) is not None for text in texts) == LINES_PER_LIBRARY
    assert limit.admit("grpc", "down", 0.0) == 0
    assert len(limit._kinds["aiohttp"]._windows) <= MOST_KINDS + 1


def test_kinds_of_a_past_minute_make_room() -> None:
    limit = LineLimit(1)
    for n in range(MOST_KINDS):
        assert limit.admit(str(n), 0.0) == 0
    assert limit.admit("one more", 0.0) == 0
    assert limit.admit("and another", 0.0) is None, "those beyond the bound share one limit"
    assert limit.admit("one more", WINDOW_SECONDS) == 0
    assert len(limit._windows) <= 2


def test_a_kind_is_the_first_line_without_its_numbers() -> None:
    assert kind_of("Task at 0xdeadBEEF, 17 ms\nmore 5") == "Task at #, # ms"
    assert len(kind_of("x" * 100_000)) <= 80


@pytest.mark.parametrize(
    ("logger", "library"),
    [
        ("asyncio", "asyncio"), ("aiohttp.server", "aiohttp"), ("iris_exporter.web.http", "aiohttp"),
        ("urllib3.connectionpool", "urllib3"), ("py.warnings", "python"), ("opentelemetry.sdk", "opentelemetry"),
        ("grpc._plugin", "grpc"), ("stderr", "stderr"), ("somebody.else", "other"), ("root", "other"),
    ],
)  # fmt: skip
def test_libraries_are_known_by_their_logger(logger: str, library: str) -> None:
    assert library_of(logger) == library
    assert library in LIBRARIES


def test_a_client_that_has_gone_is_no_error() -> None:
    assert fitting_level(logging.ERROR, ConnectionResetError()) == logging.DEBUG
    assert fitting_level(logging.ERROR, OSError(24, "Too many open files")) == logging.ERROR
    assert fitting_level(logging.WARNING, None) == logging.WARNING


@pytest.mark.parametrize(
    ("letter", "level"),
    [("I", logging.INFO), ("W", logging.WARNING), ("E", logging.ERROR), ("F", logging.ERROR)],
)
def test_lines_of_grpc_say_their_level(letter: str, level: int) -> None:
    line = f"{letter}1129 07:11:38.169903   30515 ssl_transport_security.cc:2563] Handshake failed: [a] b"
    assert raw_line(line) == ("grpc", level, "Handshake failed: [a] b")


def test_any_other_line_is_a_warning() -> None:
    assert raw_line("E is no level: ] x") == ("stderr", logging.WARNING, "E is no level: ] x")
