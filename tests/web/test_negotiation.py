"""Headers in, format and coding out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.instruments.text import Format
from iris_exporter.web.negotiation import accepts_gzip, choose_format, parse, prefers_html

TEXT_004 = "text/plain; version=0.0.4; charset=utf-8"
TEXT_100 = "text/plain; version=1.0.0; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_54 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_NATIVE = (
    f"{PROTOBUF};q=0.7,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5"
)


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", TEXT_004),
        ("*/*", TEXT_004),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT_004),
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_2_54, OPENMETRICS),
        (PROMETHEUS_3, f"{OPENMETRICS}; escaping=allow-utf-8"),
        (PROMETHEUS_3_NATIVE, f"{TEXT_100}; escaping=allow-utf-8"),
        (PROTOBUF, TEXT_004),
        # Weights, not order.
        ("application/openmetrics-text;q=0.3,text/plain;q=0.5", TEXT_004),
        ("text/plain;q=0.3,application/openmetrics-text;q=0.5", OPENMETRICS),
        ("text/plain;version=0.0.4;q=0.3,text/plain;version=1.0.0;q=0.4", TEXT_100),
        ("application/openmetrics-text;version=1.0.0;q=0,text/plain", TEXT_004),
        ("application/openmetrics-text;version=1.0.0;q=0,*/*", TEXT_004),
        ("text/plain;version=1.0.0;q=0.0,text/plain;q=0.9", TEXT_004),
        ("text/plain,application/openmetrics-text", OPENMETRICS),
        # The closest range gives the weight.
        ("text/plain;q=0.9,text/plain;version=0.0.4;q=0.1,application/openmetrics-text;q=0.5", OPENMETRICS),
        ("*/*;q=1,application/openmetrics-text;version=1.0.0;q=0.5", TEXT_004),
        # Versions.
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1", TEXT_004),
        ("application/openmetrics-text;version=2.0.0", TEXT_004),
        ("application/openmetrics-text;version=9.9.9,text/plain;version=1.0.0;q=0.1", TEXT_100),
        ("application/openmetrics-text;version=abc", TEXT_004),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ("text/plain;version=2.0.0", TEXT_004),
        ("text/plain", TEXT_004),
        ("text/*;q=0.5", TEXT_004),
        ("application/*", TEXT_004),
        ("*/*;version=1.0.0", TEXT_004),
        ("APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5", OPENMETRICS),
        # Escaping: echoed where we know it and our names survive it.
        ("text/plain;version=1.0.0;escaping=values", f"{TEXT_100}; escaping=values"),
        ("text/plain;version=1.0.0;escaping=underscores", f"{TEXT_100}; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=dots", f"{TEXT_100}; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=evil", TEXT_100),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", TEXT_004),
        # Nonsense is no error.
        (",,;;q=,", TEXT_004),
        ("application/openmetrics-text;q=nonsense", TEXT_004),
        ("application/openmetrics-text;q=2", TEXT_004),
        ('text/html;x="a,application/openmetrics-text"', TEXT_004),
        ("application/json", TEXT_004),
    ],
)  # fmt: skip
def test_accept(accept: str, answer: str) -> None:
    choice = choose_format(accept)
    assert choice.content_type == answer
    assert choice.format is (Format.OPENMETRICS if "openmetrics" in answer else Format.TEXT)


@given(st.text(alphabet='abptexlinmrcsv*/,;=q.01 "\\', max_size=60))
def test_no_header_is_an_error_and_every_answer_is_one_of_ours(header: str) -> None:
    assert choose_format(header).content_type.partition("; escaping=")[0] in (TEXT_004, TEXT_100, OPENMETRICS)
    accepts_gzip(header)
    prefers_html(header)


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False), ("gzip", True), ("GZIP", True), ("x-gzip", True), ("deflate, gzip;q=0.5", True),
        ("gzip;q=0", False), ("gzip;q=0.0, *;q=1", False), ("*", True), ("*;q=0", False), ("identity", False),
        ("deflate, br, zstd", False), ("gzip;q=0.5, identity;q=0.8", False), ("gzip;q=0.8, identity;q=0.5", True),
        ("gzip, identity", True), ("identity;q=0, *;q=0.1", True), ("gzip;q=many", False), ("gzipped", False),
    ],
)  # fmt: skip
def test_accept_encoding(accept_encoding: str, gzip: bool) -> None:
    assert accepts_gzip(accept_encoding) is gzip


def test_a_quoted_comma_does_not_end_an_element() -> None:
    found = parse('a/b;x="1,2;3\\"4";q=0.25, c/d')
    assert [(item.value, item.parameters, item.weight) for item in found] == [
        ("a/b", {"x": '1,2;3"4'}, 0.25),
        ("c/d", {}, 1.0),
    ]
