"""What is fuzzed: functions that take any bytes from the wire and raise when a promise is broken.

They know nothing of the fuzzer, so the corpus is replayed by plain pytest too. Each is the promise of one module: a
result, or an error that its docstring names.
"""

import contextlib
import json
import zlib
from collections.abc import Callable

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from iris_exporter.backend.encoding import JSON, PROTOBUF
from iris_exporter.backend.graphql.operations import Parameters, RequestError, prepare
from iris_exporter.backend.graphql.protocol import Machine
from iris_exporter.backend.options import OptionError, parse_options
from iris_exporter.core import negotiation, reasons
from iris_exporter.core.failures import from_close_code, from_error_code, from_status
from iris_exporter.core.labels import clean_label
from iris_exporter.core.positions import parse_position
from iris_exporter.decoding.dialect import Binary, Frame
from iris_exporter.decoding.iris_graphql.dialect import IrisGraphql
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.iris_stream.dialect import IrisStream
from iris_exporter.decoding.messages import MESSAGE_TYPES, EventBatch, Unknown
from iris_exporter.decoding.problems import REASONS
from iris_exporter.errors import DecodeError, LimitExceededError
from iris_exporter.http.decompress import Inflater
from iris_exporter.http.retry_after import retry_after_seconds
from iris_exporter.instruments.exposition import Source
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.model.state import StreamState
from iris_exporter.transports.chunks import take_chunks, take_rest
from iris_exporter.transports.frames import take_texts, whole_frame
from iris_exporter.transports.sse_columns import columns_of
from iris_exporter.transports.sse_parser import SseEvent, SseParser
from iris_exporter.wire.objects import WireError
from iris_exporter.wire.protobuf import decode, encode
from tests.decoding.mapped.generators import Generator
from tests.decoding.mapped.specs import start
from tests.decoding.strategies import check_printable
from tests.instruments.support import exposition, link, text
from tests.settings import stream_settings

SSE_LIMIT = 200
INFLATE_LIMIT = 10_000
FRAME_LIMIT = 200
NOW = 1_700_000_000.0
SHOWN = ["iris_events_total", "iris_anomalies", "iris_project_info", "iris_project_status", "iris_projects"]


def sse(data: bytes) -> None:
    """The event-stream parser: events within the limit, the same ones however the stream is cut."""

    def parse(size: int) -> list[SseEvent]:
        parser = SseParser(SSE_LIMIT)
        events: list[SseEvent] = []
        for begin in range(0, len(data), size):
            events += parser.feed(data[begin : begin + size])
            if parser.closed:
                break
        return events

    events = parse(len(data) or 1)
    assert all(len(event.data) <= SSE_LIMIT and "\0" not in event.id for event in events)
    assert parse(1) == events
    assert parse(7) == events
    whole = data[: data.rfind(b"\n\n") + 2]
    if (
        b"\n\n" in whole
        and not (b"\r" in whole or b"\0" in whole)
        and (columns := columns_of(whole, SSE_LIMIT)) is not None
    ):
        assert columns.data == [event.data for event in events[: len(columns.data)]]
        assert columns.names >= {event.name.lower() for event in events[: len(columns.data)]} - {"message"}


def envelope(data: bytes) -> None:
    """The decoder of stream messages: a message that can be shown, or a documented error."""
    decoder = IrisJson()
    for found in decoder.decode([data]):
        if isinstance(found, DecodeError):
            assert found.reason in REASONS
            str(found).encode()
            continue
        for message in found.messages() if isinstance(found, EventBatch) else (found,):
            assert message.message_type in MESSAGE_TYPES
            if not isinstance(message, Unknown):
                check_printable(message)
    for problem in decoder.problems.take():
        assert problem.reason in REASONS
        assert problem.path.startswith("$")


def subscription(data: bytes) -> None:
    """Messages of a subscription: lines of JSON, and a frame of protobuf; the promise of `envelope` for each."""
    lines: list[Frame] = list(data.split(b"\n"))
    for subprotocol, frames in (("iris.v1+json", lines), ("iris.v1+protobuf", [Binary(data)])):
        decoder = IrisStream()
        decoder.configure(stream_settings(url="ws://iris.test/api/stream"))
        decoder.reset(subprotocol)
        granted = {"delta": True, "priority": True, "position": "e-1"}
        first = json.dumps({"type": "subscribed", "data": granted}).encode()
        assert all(frame in frames for frame in decoder.urgent(frames))
        list(decoder.peek(frames))
        for found in decoder.decode([first, *frames]):
            if isinstance(found, DecodeError):
                assert found.reason in REASONS
                continue
            for message in found.messages() if isinstance(found, EventBatch) else (found,):
                assert message.message_type in MESSAGE_TYPES
                if not isinstance(message, Unknown):
                    check_printable(message)
        noted = decoder.noted()
        assert bool(noted.losses) <= (noted.request is not None), "what was lost is asked for"


def document(data: bytes) -> None:
    """The decoder of REST documents, and merging one twice: the second time nothing is new."""
    try:
        overview = IrisJson().decode_document(data)
    except DecodeError as error:
        assert error.reason in REASONS
        return
    check_printable(overview)
    state = StreamState("fuzz", 300.0)
    state.apply_snapshot(overview, NOW)
    counted = dict(state.view(NOW).event_counts)
    assert not state.apply_snapshot(overview, NOW).events
    assert state.view(NOW).event_counts == counted


def websocket(data: bytes) -> None:
    """Text messages (here: lines), one after the other, through to /metrics: what is printed can be read."""
    decoder, state = IrisJson(), StreamState("fuzz", 300.0)
    new = 0
    for found in decoder.decode(data.split(b"\n")):
        if not isinstance(found, DecodeError):
            messages = found.messages() if isinstance(found, EventBatch) else (found,)
            new += sum(len(state.apply(message, NOW).events) for message in messages)
    view = state.view(NOW)
    page = text(exposition(Source(StreamInstruments("fuzz"), link(), view)), names=SHOWN)
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert sum(sample.value for sample in samples if sample.name == "iris_events_total") == new
    assert len({(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}) == len(samples)


def headers(data: bytes) -> None:
    """Header values, statuses, codes and addresses: a decision, never an exception."""
    value = data.decode("latin-1")
    wait = retry_after_seconds(value, NOW)
    assert wait is None or wait >= 0
    number = int.from_bytes(data[:2], "big")
    assert from_status(number, value, wait).reason in reasons.REASONS
    assert from_close_code(number, value).reason in reasons.REASONS
    failure = from_error_code(value, value, wait)
    assert failure is None or failure.reason in reasons.REASONS
    for probe in (negotiation.Probe.STREAM, negotiation.Probe.NEGOTIATE):
        negotiation.read_answer(probe, number, value.lower(), is_document=bool(number % 2))
    position = parse_position(value)
    assert position is None or position.offset >= 0


def inflate(data: bytes) -> None:
    """Compressed bodies: within the limit, or an error that says so."""
    for encoding in ("gzip", "deflate", ""):
        with contextlib.suppress(zlib.error, LimitExceededError):
            inflater = Inflater(encoding)
            size = 0
            for begin in range(0, len(data), 50):
                size += len(inflater.feed(data[begin : begin + 50], INFLATE_LIMIT - size))
            assert size <= INFLATE_LIMIT
            assert isinstance(inflater.complete, bool)


def framing(data: bytes) -> None:
    """What is cut of a WebSocket and of a chunked body: parts of what came, and where the rest begins."""
    texts, start = take_texts(data, 0, FRAME_LIMIT, len(data) + 1)
    assert 0 <= start <= len(data)
    assert all(len(text) <= FRAME_LIMIT and text in data for text in texts)
    size = whole_frame(data, start, FRAME_LIMIT)
    assert size is None or size <= FRAME_LIMIT + 10
    pieces: list[bytes] = []
    start, left = take_chunks(data, 0, pieces)
    assert left == 0 or start == len(data)
    assert sum(map(len, pieces)) <= start <= len(data)
    if take_rest(data, 1 + len(data) // 2, pieces) is not None:
        assert pieces[-1] in data


def client_message(data: bytes) -> None:
    """What a client sends to the backend, in JSON or binary: read or refused, and so are its options."""
    for encoding in (JSON, PROTOBUF):
        try:
            message = encoding.decode(data)
        except ValueError as problem:
            str(problem).encode("utf-8", "backslashreplace")
            continue
        with contextlib.suppress(OptionError):
            grant = parse_options(message.get("data")).grant
            assert parse_options(grant.document()).grant == grant


def protobuf(data: bytes) -> None:
    """The binary encoding: an error, or a message that JSON can carry and that encoding it again does not change."""
    try:
        message = decode(data, "fuzz")
        msgspec.json.encode(message)
        # The first time, nulls that mean nothing are lost.
        once = decode(encode(message), "fuzz")
        twice = decode(encode(once), "fuzz")
    except WireError as problem:
        str(problem).encode("utf-8", "backslashreplace")
        return
    assert msgspec.json.encode(once, order="sorted") == msgspec.json.encode(twice, order="sorted")


def graphql(data: bytes) -> None:
    """GraphQL, both ends: what a client sends is an action or a refusal, what a source sends messages or errors."""
    text = data.decode("utf-8", "replace")
    machine = Machine()
    machine.feed('{"type":"connection_init"}')
    machine.feed(text)
    try:
        operation = prepare(Parameters(text))
    except RequestError as problem:
        msgspec.json.encode(problem.errors)
    else:
        msgspec.json.encode(operation.result({}))
    dialect = IrisGraphql()
    dialect.configure(stream_settings(url="http://iris.example/graphql"))
    dialect.request_for((data,))
    for found in dialect.decode((data,)):
        if isinstance(found, DecodeError):
            assert found.reason in REASONS
            continue
        for message in found.messages() if isinstance(found, EventBatch) else (found,):
            assert message.message_type in MESSAGE_TYPES
            if not isinstance(message, Unknown):
                check_printable(message)


def mapped(data: bytes) -> None:
    """Lines through any mapping: both ways of decoding come to the same, and nothing raises."""
    generator = Generator(int.from_bytes(data[:4], "big"))
    found = start(generator.mapping())
    for line in data[4:].split(b"\n\n"):
        found.feed(*line.split(b"\n"))
    for labels in found.series().values():
        assert all(len(text) <= 200 and clean_label(text) == text for key in labels for text in key)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(sse, envelope, subscription, document, websocket, headers, inflate, framing),
        *(client_message, protobuf, graphql, mapped),
    )
}
