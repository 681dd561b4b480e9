"""What one stream makes of what happens to it, with a clock that stands still."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id

from iris_exporter import cli
from iris_exporter.core.failures import Failure
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import Event, EventBatch
from iris_exporter.instruments import signals
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.otel.request_spans import CURRENT, Operation
from iris_exporter.otel.stream_tracer import EVENT_SPANS_PER_SECOND, SUMMARY_SECONDS, StreamTracer
from iris_exporter.transports.connection_events import (
    Connected,
    DialFailed,
    DialStarted,
    Disconnected,
    FirstRead,
    PollAnswered,
    PollFailed,
    PollStarted,
    StateChanged,
)
from tests.fakes import FakeClock, settle
from tests.otel.receivers import attributes, http_receiver
from tests.otel.samples import Recorder, events_into, tracer_into
from tests.otel.test_end_to_end import environment, running
from tests.transports.support import serve
from tests.waiting import until

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Bench:
    """A stream's tracer, and what it emits."""

    def __init__(self, sampler: str = "always_on", *, traces: bool = True, logs: bool = True) -> None:
        self.clock = FakeClock()
        self.instruments = StreamInstruments("s")
        self.traces, self.logs = Recorder(), Recorder()
        self.stream = StreamTracer(
            "s",
            "wss://me:pw@host:9/p?key=k",
            self.instruments,
            self.clock,
            tracer_into(self.traces, sampler) if traces else None,
            events_into(self.logs) if logs else None,
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        return self.traces.records

    @property
    def minor(self) -> list[ReadableSpan]:
        return self.traces.minor

    def named(self, kind: signals.SpanType) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == kind.name]

    def summary_id(self) -> str | None:
        """The span that a delay of now leads to."""
        exemplar = self.instruments.exemplify(0.1)
        return None if exemplar is None else dict(exemplar.labels)["span_id"]

    def connect(self) -> None:
        self.stream.on_event(DialStarted())
        self.clock.now += 0.25
        self.stream.on_event(Connected("sse", "https://host:9/p", 0.25, self.clock.wall()))

    def tick(self, seconds: float) -> None:
        self.clock.now += seconds
        self.stream.tick()


def error(span: ReadableSpan) -> object:
    return attributes_of(span).get("error.type", "")


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def seconds(span: ReadableSpan) -> float:
    return ((span.end_time or 0) - (span.start_time or 0)) / 1e9


async def test_a_minute_is_summed_up_while_the_connection_lasts() -> None:
    bench = Bench()
    bench.connect()
    (connect,) = bench.named(signals.CONNECT)
    for messages in (3, 4):
        promised = bench.summary_id()
        bench.instruments.message("event", messages)
        bench.stream.on_event(StateChanged("connecting", "live", None, 0, None))
        bench.tick(SUMMARY_SECONDS - 1)
        assert bench.summary_id() == promised
        bench.tick(1)
        span = bench.named(signals.SUMMARY)[-1]
        assert format_span_id(span.context.span_id) == promised
        assert attributes_of(span)["iris.summary.messages.event"] == messages
        assert attributes_of(span)["iris.summary.state_changes"] == 1
        assert attributes_of(span)["iris.summary.cause"] == "minute"
        assert attributes_of(span)["iris.protocol"] == "sse"
        assert [link.context for link in span.links] == [connect.context]
        assert seconds(span) == pytest.approx(SUMMARY_SECONDS, abs=0.3)


async def test_a_connection_says_how_it_is_written_and_its_summary_what_was_granted() -> None:
    bench = Bench()
    bench.stream.on_event(DialStarted())
    bench.stream.on_event(Connected("websocket", "wss://host:9/p", 0.1, bench.clock.wall(), "protobuf", "deflate"))
    (connect,) = bench.named(signals.CONNECT)
    assert attributes_of(connect)["iris.encoding"] == "protobuf"
    assert attributes_of(connect)["iris.compression"] == "deflate"
    bench.stream.granted(frozenset({"delta", "batch"}))
    bench.stream.on_event(Disconnected(Failure("closed")))
    (summary,) = bench.named(signals.SUMMARY)
    assert attributes_of(summary)["iris.extensions"] == ("batch", "delta")
    bench.connect()
    bench.stream.on_event(Disconnected(Failure("closed")))
    assert "iris.extensions" not in attributes_of(bench.named(signals.SUMMARY)[1]), "of another connection"


async def test_a_stream_that_is_off_has_no_summaries() -> None:
    bench = Bench()
    for _ in range(5):
        bench.tick(SUMMARY_SECONDS)
    bench.stream.close()
    assert bench.spans == []


async def test_the_address_of_an_attempt_has_no_credentials() -> None:
    bench = Bench()
    bench.stream.on_event(DialStarted())
    bench.stream.on_event(DialFailed(Failure("dns"), 1.0))
    (span,) = bench.spans
    assert attributes_of(span)["url.full"] == "wss://host:9/p"
    assert (attributes_of(span)["server.address"], attributes_of(span)["server.port"]) == ("host", 9)
    assert error(span) == "dns"


async def test_the_first_message_ends_its_span() -> None:
    bench = Bench()
    bench.connect()
    bench.clock.now += 2
    bench.stream.on_event(PollAnswered(10, 10))  # the snapshot is no message
    assert not bench.named(signals.FIRST_MESSAGE)
    bench.stream.on_event(FirstRead())
    (first,) = bench.named(signals.FIRST_MESSAGE)
    (connect,) = bench.named(signals.CONNECT)
    assert first.parent == connect.context
    assert seconds(first) == pytest.approx(2)
    assert error(first) == ""


async def test_a_link_that_ends_before_its_first_message_has_a_reason() -> None:
    bench = Bench()
    bench.connect()
    bench.stream.on_event(Disconnected(Failure("closed")))
    (first,) = bench.named(signals.FIRST_MESSAGE)
    assert error(first) == "closed"
    assert attributes_of(bench.named(signals.SUMMARY)[0])["iris.summary.cause"] == "disconnect"


async def test_an_answer_that_cannot_be_decoded_is_a_failed_poll() -> None:
    bench = Bench()
    bench.stream.on_event(PollStarted())
    bench.stream.on_event(PollAnswered(44, 44))
    bench.stream.on_event(PollFailed(Failure("decode")))
    await settle()
    (span,) = bench.named(signals.REQUEST_SPAN)
    assert (error(span), attributes_of(span)["iris.request.bytes"]) == ("decode", 44)
    bench.stream.on_event(PollStarted())
    bench.stream.on_event(PollAnswered(45, 45))
    await settle()
    assert [error(span) for span in bench.named(signals.REQUEST_SPAN)] == ["decode", ""]


async def test_an_attempt_whose_task_is_cancelled_ends_as_requested() -> None:
    bench = Bench()

    async def dial() -> None:
        bench.stream.on_event(DialStarted())
        await asyncio.Event().wait()

    task = asyncio.create_task(dial())
    await settle()
    task.cancel()
    await settle()
    assert [error(span) for span in bench.spans] == ["requested"]


async def test_a_task_that_starts_inside_an_attempt_is_not_a_part_of_it() -> None:
    """A reader inherits the variable of the dial, but what it begins is a root, in a trace of its own."""
    bench = Bench()
    bench.connect()

    async def reader() -> Operation | None:
        bench.stream.on_event(PollStarted())
        bench.stream.on_event(PollAnswered(1, 1))
        await settle()
        return CURRENT.get()

    inner = await asyncio.create_task(reader())
    (poll,) = bench.named(signals.REQUEST_SPAN)
    (connect,) = bench.named(signals.CONNECT)
    assert inner is not None
    assert inner.context == poll.context
    assert poll.parent is None
    assert poll.context.trace_id != connect.context.trace_id


async def test_states_are_records_of_the_span_that_caused_them() -> None:
    bench = Bench()
    bench.stream.on_event(DialStarted())
    bench.stream.on_event(DialFailed(Failure("timeout", "slow"), 1.0))
    bench.stream.on_event(StateChanged("connecting", "connecting", Failure("timeout", "slow"), 2, 1.23456))
    bench.stream.on_event(StateChanged("connecting", "error", Failure("forbidden"), 2, None))
    bench.stream.on_event(StateChanged("error", "disconnected", None, 0, None))
    first, second, third = (record.log_record for record in bench.logs.records)
    assert first.span_id == bench.named(signals.CONNECT)[0].context.span_id
    assert dict(first.attributes) == {
        "iris.stream": "s", "iris.state.from": "connecting", "iris.state.to": "connecting", "iris.state.attempt": 2,
        "iris.state.reason": "timeout", "iris.state.delay": 1.235,
    }  # fmt: skip
    assert [record.severity_text for record in (first, second, third)] == ["WARN", "ERROR", "INFO"]


def event(number: int, traceparent: str = "") -> Event:
    return Event(str(number), 1.0, "p", "evaluation", traceparent=traceparent)


def batch(*contexts: str) -> EventBatch:
    message = b'{"type":"event","timestamp":"2025-11-24T15:59:58Z","data":{"id":"%d","project":"p","event_type":"t",'
    message += b'"timestamp":"2025-11-24T15:59:58Z","metadata":{"traceparent":"%s"}}}'
    messages = [message % (number, context.encode()) for number, context in enumerate(contexts)]
    (found,) = IrisJson().decode(messages)
    assert isinstance(found, EventBatch)
    return found


async def test_an_event_with_a_context_has_a_linked_span() -> None:
    bench = Bench()
    assert [event.id for event in bench.stream.wanted(batch("", TRACEPARENT))] == ["0", "1"]
    bench.stream.arrived([event(1, TRACEPARENT), event(2, TRACEPARENT), event(3)], 5.0)
    assert [attributes_of(span)["iris.event.id"] for span in bench.minor] == ["1", "2"]
    assert {format_span_id(span.links[0].context.span_id) for span in bench.minor} == {"b7ad6b7169203331"}
    assert len({span.context.trace_id for span in bench.minor}) == 2
    (exemplar,) = bench.instruments.event_exemplars.values()
    assert dict(exemplar.labels)["span_id"] == format_span_id(bench.minor[-1].context.span_id)


async def test_events_without_a_context_are_not_wanted_by_traces_alone() -> None:
    bench = Bench(logs=False)
    assert not bench.stream.wanted(batch("", "", ""))
    assert [event.id for event in bench.stream.wanted(batch("", TRACEPARENT))] == ["1"]
    assert len(Bench(traces=False).stream.wanted(batch("", ""))) == 2
    assert not Bench(traces=False, logs=False).stream.wanted(batch(TRACEPARENT))


async def test_spans_of_events_have_a_rate() -> None:
    bench = Bench(logs=False)
    events = [event(number, TRACEPARENT) for number in range(2 * EVENT_SPANS_PER_SECOND)]
    bench.stream.arrived(events, 5.0)
    assert len(bench.minor) == EVENT_SPANS_PER_SECOND
    assert not bench.stream.wanted(batch(TRACEPARENT))
    bench.clock.now += 1
    assert bench.stream.wanted(batch(TRACEPARENT))
    bench.stream.arrived(events[:1], 6.0)
    assert len(bench.minor) == EVENT_SPANS_PER_SECOND + 1


async def test_a_trace_that_is_not_sampled_has_no_spans_and_no_exemplars() -> None:
    bench = Bench("always_off")
    bench.connect()
    bench.stream.on_event(FirstRead())
    bench.stream.arrived([event(1, TRACEPARENT)], 5.0)
    bench.stream.on_event(Disconnected(Failure("closed")))
    assert bench.spans == bench.minor == []
    assert bench.summary_id() is None
    assert bench.instruments.event_exemplars == {}


async def test_a_key_in_an_event_is_not_exported(tmp_path: Path) -> None:
    """A source that repeats our key, in a message or in its metadata, does not get it into anybody's log store."""
    key = tmp_path / "key"
    key.write_text("k3y-of-this-test-alone")

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        sent = request.headers["Authorization"].partition(" ")[2]
        data = {"id": "e", "event_type": "info", "project": "p", "message": f"key {sent}", "metadata": {"k": sent}}
        await response.write(f"data: {json.dumps({'type': 'event', 'data': data})}\n\n".encode())
        return response

    with http_receiver() as receiver:
        async with (
            serve(stream) as server,
            running(f"{server.url}/s", environment(receiver), protocol="sse", api_key_file=key),
        ):
            await until(lambda: any(r.event_name == "iris.event" for r in receiver.received.records))
    (record,) = (r for r in receiver.received.records if r.event_name == "iris.event")
    assert record.body.string_value == "key <redacted>"
    assert attributes(record.attributes)["iris.event.metadata.k"] == "<redacted>"


@pytest.mark.parametrize("arguments", [["--config.check"], []])
def test_bad_variables_are_refused_at_the_start_with_everything_else(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user@h")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "nowhere")
    assert cli.main(["serve", "--stream.url=ftp://x", *arguments]) == 2
    output = capsys.readouterr().err
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "stream.url"):
        assert name in output
