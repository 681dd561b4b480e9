"""Detection, headers, failures and inflation: the pure decisions around a connection."""

import gzip
import zlib

import pytest

from iris_exporter.core import detection
from iris_exporter.core.detection import Answer, Probe
from iris_exporter.core.failures import (
    CLOSE_CODE,
    ERROR_CODE,
    HTTP_STATUS,
    REMEDIES,
    Remedy,
    from_close_code,
    from_error_code,
    from_status,
)
from iris_exporter.core.headers import retry_after_seconds
from iris_exporter.core.inflate import Inflater
from iris_exporter.errors import LimitExceededError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://h/x", Probe.UPGRADE),
        ("wss://h/x", Probe.UPGRADE),
        ("http://h/ws/x", Probe.UPGRADE),
        ("https://h/api/iris/ws", Probe.UPGRADE),
        ("http://h/ws?x=1", Probe.UPGRADE),
        ("http://h/news", Probe.NEGOTIATE),
        ("http://h/x?path=/ws", Probe.NEGOTIATE),
        ("http://ws/x", Probe.NEGOTIATE),
    ],
)
def test_the_address_alone_says_websocket(url: str, expected: Probe) -> None:
    assert detection.first_probe("auto", url, None) is expected


def test_the_option_and_the_memory_decide_before_the_address() -> None:
    assert detection.first_probe("websocket", "http://h/x", "sse") is Probe.UPGRADE
    assert detection.first_probe("sse", "http://h/ws", "websocket") is Probe.STREAM
    assert detection.first_probe("poll", "ws://h/x", None) is Probe.POLL
    assert detection.first_probe("auto", "http://h/x", "websocket") is Probe.UPGRADE
    assert detection.first_probe("auto", "http://h/x", "sse") is Probe.NEGOTIATE


@pytest.mark.parametrize(
    ("probe", "status", "content_type", "expected"),
    [
        (Probe.NEGOTIATE, 200, "text/event-stream", Answer.EVENT_STREAM),
        (Probe.NEGOTIATE, 200, "application/json", Answer.JSON),
        (Probe.NEGOTIATE, 200, "application/problem+json", Answer.JSON),
        (Probe.NEGOTIATE, 200, "text/html", Answer.NOT_A_STREAM),
        (Probe.STREAM, 200, "application/json", Answer.NOT_A_STREAM),
        (Probe.NEGOTIATE, 426, "", Answer.TRY_UPGRADE),
        (Probe.NEGOTIATE, 400, "", Answer.TRY_UPGRADE),
        (Probe.NEGOTIATE, 404, "", Answer.TRY_UPGRADE),
        (Probe.NEGOTIATE, 405, "", Answer.TRY_UPGRADE),
        (Probe.STREAM, 404, "", Answer.FAILED),
        (Probe.NEGOTIATE, 401, "", Answer.FAILED),
        (Probe.NEGOTIATE, 503, "", Answer.FAILED),
        (Probe.NEGOTIATE, 204, "", Answer.FAILED),
    ],
)
def test_an_answer_decides_the_protocol(probe: Probe, status: int, content_type: str, expected: Answer) -> None:
    assert detection.read_answer(probe, status, content_type) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://h:1/api/stream/overview", ("http://h:1/api/overview", "http://h:1/api/iris/overview")),
        ("https://h/iris/api/stream/x?k=1", ("https://h/iris/api/overview", "https://h/iris/api/iris/overview")),
        ("wss://h/api/iris/ws", ("https://h/api/iris/overview", "https://h/api/overview")),
        ("http://h/stream", ("http://h/api/overview", "http://h/api/iris/overview")),
    ],
)
def test_the_snapshot_is_looked_for_beside_the_stream(url: str, expected: tuple[str, str]) -> None:
    assert detection.snapshot_addresses(url) == expected


def test_every_mapped_failure_has_a_remedy_and_the_documented_one() -> None:
    reasons = {*HTTP_STATUS.values(), *CLOSE_CODE.values(), *ERROR_CODE.values()}
    assert reasons <= set(REMEDIES)
    expected = {
        401: Remedy.RENEW,
        403: Remedy.REFUSE,
        404: Remedy.REFUSE,
        410: Remedy.STOP,
        418: Remedy.REFUSE,
        429: Remedy.RETRY_LATER,
        500: Remedy.RETRY,
        502: Remedy.RETRY,
        503: Remedy.POLL,
        599: Remedy.RETRY,
        302: Remedy.REFUSE,
    }
    assert {status: from_status(status).remedy for status in expected} == expected


def test_close_codes_and_error_codes() -> None:
    assert from_close_code(None).reason == "abnormal_closure"
    assert from_close_code(1008, "bad").detail == "close code 1008 (bad)"
    assert from_close_code(4711).remedy is Remedy.RETRY
    failure = from_error_code("RATE_LIMIT_EXCEEDED", "slow down", 12.0)
    assert failure is not None
    assert (failure.remedy, failure.retry_after_seconds) == (Remedy.RETRY_LATER, 12.0)
    assert from_error_code("SOMETHING_NEW") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("1.5", None),
        ("\u00b2", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:10 GMT", None),
        ("9" * 400, 999999999999.0),
    ],
)
def test_retry_after_is_digits_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after_seconds(value, 60.0) == expected


def test_inflates_gzip_and_deflate_in_pieces() -> None:
    text = b"telemetry " * 100
    for encoding, body in (("gzip", gzip.compress(text)), ("deflate", zlib.compress(text)), ("", text)):
        inflater = Inflater(encoding)
        assert b"".join(inflater.feed(body[i : i + 7], 10_000) for i in range(0, len(body), 7)) == text
        assert inflater.complete


def test_a_compressed_body_says_when_it_is_cut_short() -> None:
    body = gzip.compress(b"telemetry " * 100)
    for missing in (1, 8, len(body) - 1):
        inflater = Inflater("gzip")
        inflater.feed(body[:-missing], 10_000)
        assert not inflater.complete
    assert not Inflater("deflate").complete
    assert Inflater("").complete


def test_a_bomb_is_refused_before_it_exists() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(LimitExceededError):
        Inflater("gzip").feed(bomb, 1_000_000)
    with pytest.raises(LimitExceededError):
        Inflater("").feed(b"x" * 11, 10)


def test_an_encoding_nobody_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="br"):
        Inflater("br")
