"""Counters and histograms: what is counted, under which label, and when text is written anew."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.instruments import catalog
from iris_exporter.instruments.primitives import Counter, Histogram
from iris_exporter.instruments.text import Exemplar

TAIL = 'stream="s"} '
BOUNDS = [timedelta(seconds=bound) for bound in catalog.MESSAGE_DELAY.buckets]
NOW = datetime(2025, 11, 1, tzinfo=UTC)
TRACE = Exemplar((("trace_id", "abc"),), 0.3, 10.0)


def lines(instrument: Counter | Histogram, *, exemplars: bool = False) -> list[str]:
    return (instrument.text_with_exemplars(TAIL) if exemplars else instrument.text(TAIL)).decode().splitlines()


def test_known_label_values_start_at_zero() -> None:
    assert lines(Counter(catalog.RESUMES)) == [
        f'iris_stream_resumes_total{{outcome="{outcome}",stream="s"}} 0.0'
        for outcome in ("full", "partial", "none", "restarted", "unknown")
    ]


def test_a_known_value_without_a_zero_gets_a_series_when_it_occurs_and_an_unknown_one_is_other() -> None:
    counter = Counter(catalog.MESSAGES)
    counter.inc(2, "system_alert")
    for surprise in ("x", "y", "z" * 999, "\ud800"):
        counter.inc(1, surprise)
    assert counter.counts()["system_alert"] == 2
    assert counter.counts()["other"] == 4
    assert lines(counter)[-2:] == [
        'iris_stream_messages_total{message_type="system_alert",stream="s"} 2.0',
        'iris_stream_messages_total{message_type="other",stream="s"} 4.0',
    ]


def test_a_counter_without_labels_of_its_own() -> None:
    counter = Counter(catalog.POLLS)
    assert lines(counter) == ['iris_stream_polls_total{stream="s"} 0.0']
    counter.inc()
    counter.inc(2)
    assert lines(counter) == ['iris_stream_polls_total{stream="s"} 3.0']
    assert counter.counts()[""] == 3


def test_text_is_kept_only_until_something_is_counted() -> None:
    counter = Counter(catalog.RECEIVED_BYTES)
    first = lines(counter)
    assert lines(counter) == first
    counter.inc(5, "sse")
    assert lines(counter)[1] == 'iris_stream_received_bytes_total{protocol="sse",stream="s"} 5.0'
    histogram = Histogram(catalog.HEARTBEAT_RTT)
    before = lines(histogram)
    histogram.observe(0.0)
    assert lines(histogram) != before


def test_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram(catalog.MESSAGE_DELAY)
    for value in (0.005, 0.0050001, 60.0, 60.1, math.inf):
        histogram.observe(value)
    printed = lines(histogram)
    assert printed[0] == 'iris_stream_message_delay_seconds_bucket{le="0.005",stream="s"} 1.0'
    assert printed[1] == 'iris_stream_message_delay_seconds_bucket{le="0.01",stream="s"} 2.0'
    assert printed[-4:] == [
        'iris_stream_message_delay_seconds_bucket{le="60.0",stream="s"} 3.0',
        'iris_stream_message_delay_seconds_bucket{le="+Inf",stream="s"} 5.0',
        'iris_stream_message_delay_seconds_count{stream="s"} 5.0',
        'iris_stream_message_delay_seconds_sum{stream="s"} +Inf',
    ]


@pytest.mark.parametrize("value", [-1.0, -0.0, math.nan, -math.inf])
def test_a_delay_before_its_time_counts_as_zero_and_the_sum_never_falls(value: float) -> None:
    one, many = Histogram(catalog.MESSAGE_DELAY), Histogram(catalog.MESSAGE_DELAY)
    one.observe(value)
    many.observe_many([value])
    assert one.sum == many.sum == 0.0
    assert lines(one) == lines(many)
    assert one.total == 1


@given(st.lists(st.floats(-1, 100)))
def test_many_at_once_are_the_same_as_one_by_one(values: list[float]) -> None:
    one, many = Histogram(catalog.MESSAGE_DELAY), Histogram(catalog.MESSAGE_DELAY)
    for value in values:
        one.observe(value)
    many.observe_many(values)
    assert lines(one)[:-1] == lines(many)[:-1]
    assert one.sum == pytest.approx(many.sum)


@given(st.lists(st.timedeltas(timedelta(seconds=-1), timedelta(seconds=100)) | st.sampled_from(BOUNDS)))
def test_times_at_once_are_the_same_as_the_seconds_since_them_one_by_one(durations: list[timedelta]) -> None:
    one, many = Histogram(catalog.MESSAGE_DELAY), Histogram(catalog.MESSAGE_DELAY)
    for duration in durations:
        one.observe(duration.total_seconds())
    many.observe_since(sorted(NOW - duration for duration in durations), NOW)
    assert lines(one)[:-1] == lines(many)[:-1]
    assert one.sum == pytest.approx(many.sum)


def test_exemplars_appear_in_openmetrics_alone() -> None:
    histogram = Histogram(catalog.MESSAGE_DELAY)
    histogram.observe(0.3)
    histogram.mark(0.3, TRACE)
    (marked,) = [line for line in lines(histogram, exemplars=True) if "#" in line]
    assert marked.endswith(' 1.0 # {trace_id="abc"} 0.3 10.0')
    assert not any("#" in line for line in lines(histogram))


def test_an_exemplar_that_is_too_long_is_left_out() -> None:
    histogram = Histogram(catalog.MESSAGE_DELAY)
    histogram.observe(0.3)
    histogram.mark(0.3, Exemplar((("trace_id", "a" * 200),), 0.3))
    assert not any("#" in line for line in lines(histogram, exemplars=True))
    assert histogram.total == 1
