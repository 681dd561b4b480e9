"""Detection, headers, failures and inflation: the pure decisions around a connection."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from iris_exporter.core import negotiation
from iris_exporter.core.failures import ERROR_CODE, Failure, from_close_code, from_error_code, from_status
from iris_exporter.core.negotiation import Answer, Probe
from iris_exporter.core.reasons import REASONS, Remedy
from iris_exporter.errors import LimitExceededError
from iris_exporter.http.decompress import Inflater
from iris_exporter.http.retry_after import retry_after_seconds
from scripts.generate_failures import REMEDIES


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
    assert negotiation.first_probe("auto", url, None) is expected


def test_the_option_and_the_memory_decide_before_the_address() -> None:
    assert negotiation.first_probe("websocket", "http://h/x", "sse") is Probe.UPGRADE
    assert negotiation.first_probe("sse", "http://h/ws", "websocket") is Probe.STREAM
    assert negotiation.first_probe("poll", "ws://h/x", None) is Probe.POLL
    assert negotiation.first_probe("auto", "http://h/x", "websocket") is Probe.UPGRADE
    assert negotiation.first_probe("auto", "http://h/x", "sse") is Probe.NEGOTIATE


@pytest.mark.parametrize(
    ("probe", "status", "content_type", "expected"),
    [
        (Probe.NEGOTIATE, 200, "text/event-stream", Answer.EVENT_STREAM),
        (Probe.NEGOTIATE, 200, "application/json", Answer.DOCUMENT),
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
    assert (
        negotiation.read_answer(probe, status, content_type, is_document=content_type == "application/json") is expected
    )


def test_every_status_code_and_reason_leads_to_a_row_with_a_remedy_and_words() -> None:
    reasons = {from_status(status).reason for status in range(1000)}
    reasons |= {from_close_code(code).reason for code in range(70_000)}
    reasons |= set(ERROR_CODE.values())
    assert reasons <= set(REASONS)
    for name, reason in REASONS.items():
        assert reason.meaning[0].islower(), name
        assert reason.meaning[-1] not in ".?!", name
        assert reason.advice[-1] == ".", name
    assert set(REMEDIES) == set(Remedy)


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        (100, "protocol_error", Remedy.RETRY),
        (101, "handshake", Remedy.RETRY),
        (202, "not_a_stream", Remedy.REFUSE),
        (204, "no_content", Remedy.STOP),
        (302, "redirect", Remedy.REFUSE),
        (304, "not_a_stream", Remedy.REFUSE),
        (400, "http_client_error", Remedy.REFUSE),
        (401, "unauthorized", Remedy.RENEW),
        (402, "forbidden", Remedy.RENEW),
        (403, "forbidden", Remedy.RENEW),
        (404, "not_found", Remedy.REFUSE),
        (407, "proxy_refused", Remedy.REFUSE),
        (408, "timeout", Remedy.RETRY),
        (409, "conflict", Remedy.RETRY),
        (410, "gone", Remedy.STOP),
        (418, "http_client_error", Remedy.REFUSE),
        (421, "misdirected", Remedy.RETRY),
        (423, "try_again_later", Remedy.RETRY_LATER),
        (425, "try_again_later", Remedy.RETRY_LATER),
        (426, "upgrade_refused", Remedy.REFUSE),
        (429, "rate_limited", Remedy.RETRY_LATER),
        (431, "http_client_error", Remedy.REFUSE),
        (451, "forbidden", Remedy.RENEW),
        (500, "http_server_error", Remedy.RETRY),
        (502, "http_server_error", Remedy.RETRY),
        (503, "unavailable", Remedy.POLL),
        (504, "http_server_error", Remedy.RETRY),
        (511, "proxy_refused", Remedy.REFUSE),
        (521, "http_server_error", Remedy.RETRY),
        (599, "http_server_error", Remedy.RETRY),
        (999, "other", Remedy.RETRY),
    ],
)
def test_an_http_status_has_its_remedy(status: int, reason: str, remedy: Remedy) -> None:
    failure = from_status(status)
    assert (failure.reason, failure.remedy) == (reason, remedy)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, "abnormal_closure"),
        (1000, "closed"),
        (1004, "protocol_error"),
        (1005, "closed"),
        (1008, "policy_violation"),
        (1009, "message_too_large"),
        (1013, "try_again_later"),
        (1015, "tls"),
        (1016, "other"),
        (2999, "other"),
        (3000, "unauthorized"),
        (3001, "other"),
        (3003, "forbidden"),
        (4000, "other"),
        (4399, "other"),
        (4400, "http_client_error"),
        (4401, "unauthorized"),
        (4403, "forbidden"),
        (4404, "not_found"),
        (4408, "timeout"),
        (4409, "conflict"),
        (4429, "rate_limited"),
        (4500, "http_server_error"),
        (4503, "unavailable"),
        (4600, "other"),
        (4711, "other"),
    ],
)
def test_a_close_code_has_its_reason(code: int | None, reason: str) -> None:
    assert from_close_code(code).reason == reason


def test_what_is_unknown_is_retried() -> None:
    assert Failure("made up").remedy is Remedy.RETRY
    assert from_close_code(4711).remedy is Remedy.RETRY
    assert from_status(999).remedy is Remedy.RETRY


def test_a_failure_carries_its_words_and_the_sources_hint() -> None:
    assert from_close_code(1008, "bad").detail == "close code 1008 (bad)"
    failure = from_error_code("RATE_LIMIT_EXCEEDED", "slow down", 12.0)
    assert failure is not None
    assert (failure.remedy, failure.retry_after_seconds) == (Remedy.RETRY_LATER, 12.0)
    assert from_error_code("SOMETHING_NEW") is None
    assert "api-key-file" in Failure("unauthorized").explanation.advice


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


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_inflates_a_body_of_several_members(size: int) -> None:
    body = b"".join(gzip.compress(part) for part in (b"one ", b"", b"two"))
    inflater = Inflater("gzip")
    assert b"".join(inflater.feed(body[i : i + size], 100) for i in range(0, len(body), size)) == b"one two"
    assert inflater.complete


def test_members_share_one_limit() -> None:
    with pytest.raises(LimitExceededError):
        Inflater("gzip").feed(gzip.compress(b"x" * 60) + gzip.compress(b"x" * 60), 100)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_data_after_the_end_of_a_body_is_damage_and_not_buffered(compress: Callable[[bytes], bytes]) -> None:
    inflater = Inflater("gzip")
    assert inflater.feed(compress(b"x"), 100) == b"x"
    with pytest.raises(zlib.error):
        inflater.feed(b"junk that is no member", 100)


def test_inflates_gzip_and_deflate_in_pieces() -> None:
    text = b"telemetry " * 100
    for encoding, body in (("gzip", gzip.compress(text)), ("deflate", zlib.compress(text)), ("", text)):
        inflater = Inflater(encoding)
        assert b"".join(inflater.feed(body[i : i + 7], 10_000) for i in range(0, len(body), 7)) == text
        assert inflater.complete


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_deflate_without_the_zlib_header_is_inflated_in_any_pieces(size: int, level: int) -> None:
    text = b'{"events":[]}' * 300
    bare = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    body = bare.compress(text) + bare.flush()
    inflater = Inflater("deflate")
    assert b"".join(inflater.feed(body[at : at + size], 10_000) for at in range(0, len(body), size)) == text
    assert inflater.complete


def test_what_came_before_the_damage_is_rescued() -> None:
    packed = zlib.compressobj(wbits=31)
    good = packed.compress(b"data: 1\n\n") + packed.flush(zlib.Z_SYNC_FLUSH)
    inflater = Inflater("gzip")
    with pytest.raises(zlib.error):
        inflater.feed(good + b"\xff" * 40, 1000)
    assert inflater.rescued.startswith(b"data: 1\n\n")


def test_a_compressed_body_that_is_cut_short_is_incomplete() -> None:
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


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://iris.example/api/stream", "https://iris.example/api/graphql"),
        ("https://iris.example/a/b/api/stream/events?api_key=k#f", "https://iris.example/a/b/api/graphql?api_key=k"),
        ("wss://iris.example", "wss://iris.example/api/graphql"),
        ("https://iris.example/graphql", "https://iris.example/graphql"),
        ("https://iris.example/v2/graphql/", "https://iris.example/v2/graphql/"),
    ],
)
def test_graphql_is_where_the_address_says_or_beside_the_stream(url: str, address: str) -> None:
    assert negotiation.graphql_address(url) == address
    assert negotiation.first_probe("graphql", url, None) is negotiation.Probe.GRAPHQL
    assert negotiation.is_graphql("auto", url) == (url == address)
    assert not negotiation.is_graphql("sse", url)
    assert negotiation.first_probe("auto", url, None, graphql=False) is not negotiation.Probe.GRAPHQL
