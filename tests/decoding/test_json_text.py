"""Corners of JSON that standards leave open, seen through whole messages."""

import pytest

from iris_exporter.decoding.json_text import MAX_INTEGER_DIGITS
from iris_exporter.decoding.messages import (
    EventMessage,
    Ping,
    Update,
)
from tests.decoding.envelopes import (
    decode,
    decode_event,
    decode_in_part,
    envelope,
    event_with,
    refusal,
)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", ("not_json", "$")),
        (b"   ", ("not_json", "$")),
        (b"<!doctype html>", ("not_json", "$")),
        (b'{"type":"ping"', ("not_json", "$")),
        (b'{"type":"ping"} x', ("not_json", "$")),
        (b'{"type":"ping",}', ("not_json", "$")),
        (b'{"type":"event","data":{"id":"a\nb"}}', ("not_json", "$")),
        (b'\x00{"type":"ping"}', ("not_json", "$")),
        (b"\xff\xfe{\x00}\x00", ("not_utf8", "$")),
        (b'{"type":"event","data":{"id":"\xff"}}', ("not_utf8", "$")),
        (b'{"type":"event","data":{"id":"a","project":"b","event_type":"c","new":"\xff"}}', ("not_utf8", "$")),
        (
            b'{"type":"event","data":{"id":"a","project":"b","event_type":"c","metadata":{"a":"\xff"}}}',
            ("not_utf8", "$"),
        ),
        (b"null", ("not_an_object", "$")),
        (b'"ping"', ("not_an_object", "$")),
        (b"{}", ("no_type", "$.type")),
        (b'{"type":null}', ("no_type", "$.type")),
        (b'{"type":5}', ("wrong_type", "$.type")),
        (b'{"type":["event"]}', ("wrong_type", "$.type")),
        (b'{"type":"event"}', ("no_data", "$.data")),
        (b'{"type":"update","data":null}', ("no_data", "$.data")),
        (b'{"type":"update","data":[]}', ("not_an_object", "$.data")),
        (b'{"type":"system_alert","data":7}', ("not_an_object", "$.data")),
        (b"[" * 200_000, ("too_deep", "$")),
        (b'{"type":"event","data":' + b'{"a":' * 100_000, ("too_deep", "$")),
        (b'{"type":"event","data":{"id":"a","metadata":' + b"[" * 200_000, ("too_deep", "$")),
    ],
)
def test_a_message_that_is_lost_says_why_and_where(data: bytes, why: tuple[str, str]) -> None:
    assert refusal(data) == why


def test_a_byte_order_mark_is_ignored() -> None:
    assert decode(b"\xef\xbb\xbf" + envelope()) == decode(envelope())


def test_of_equal_keys_the_last_one_counts() -> None:
    assert decode(b'{"type":"update","data":3,"type":"ping"}') == Ping()
    assert decode_event(b'{"type":"event","data":{"id":"a","id":"b","project":"p","event_type":"e"}}').id == "b"
    assert refusal(b'{"type":"ping","type":5}') == ("wrong_type", "$.type")


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"-" + b"9" * 5000])
def test_numbers_that_no_double_holds_are_missing(token: bytes) -> None:
    data = b'{"type":"update","data":{"metrics":{"active_experts":%b,"total_projects":4}}}' % token
    message, problems = decode_in_part(data)
    assert isinstance(message, Update)
    assert message.overview.metrics is not None
    assert message.overview.metrics.active_experts is None
    assert message.overview.metrics.projects == 4
    assert problems == [("not_finite", "$.data.metrics.active_experts")]


def test_an_id_of_thousands_of_digits_is_no_id() -> None:
    message, problems = decode_in_part(b'{"type":"event","data":{"id":%b,"project":"p"}}' % (b"9" * 5000))
    assert isinstance(message, EventMessage)
    assert message.event.id.startswith("~")
    assert problems == [("not_finite", "$.data.id")]
    assert decode_event(b'{"type":"event","data":{"id":%b}}' % (b"9" * MAX_INTEGER_DIGITS)).id.startswith("~")


def test_non_finite_numbers_in_metadata_become_null() -> None:
    data = b'{"type":"event","data":{"id":"a","metadata":{"x":NaN,"y":[-Infinity]}}}'
    assert decode_event(data).metadata == b'{"x":null,"y":[null]}'


@pytest.mark.parametrize("escape", [b"\\ud800", b"\\udc00", b"\\u0000"])
def test_what_cannot_be_shown_becomes_a_replacement_character(escape: bytes) -> None:
    data = envelope().replace(b"triage-bot", b"a" + escape).replace(b'{"run":7}', b'{"k%b":"%b"}' % (escape, escape))
    event = decode_event(data)
    assert event.project == "a\ufffd"
    assert event.metadata == '{"k\ufffd":"\ufffd"}'.encode()


def test_a_surrogate_pair_is_one_character() -> None:
    assert decode_event(envelope().replace(b"18 of 20", b"\\ud83d\\ude80")).message == "\U0001f680"


def test_an_escaped_backslash_before_u0000_is_not_nul() -> None:
    assert decode_event(envelope().replace(b"18 of 20", b"\\\\u0000")).message == "\\u0000"


def test_line_separators_of_unicode_are_plain_characters() -> None:
    assert decode_event(event_with(message="a\u2028b\u0085c")).message == "a\u2028b\u0085c"
