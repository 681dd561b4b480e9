"""The fields of IRIS's messages and documents in JSON, by the tables that the decoder reads them by. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from iris_exporter.decoding import values
from iris_exporter.decoding.fields import MessageFields, ObjectFields, Share
from iris_exporter.decoding.iris_json.documents import payload_of
from iris_exporter.decoding.iris_json.objects import (
    EVENT_LISTS,
    METRICS_SHARES,
    PROJECT_ID,
    READ_NAMES,
    SHARES,
    fields_of,
    percentages,
)
from iris_exporter.decoding.messages import OLDER_EVENT_TYPES, Dropped, Ping, Pong, Resumed
from iris_exporter.decoding.problems import Problems
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.errors import DecodeError

Names = Iterable[tuple[str, ...]]
"""Fields, each with all the names that it may have."""

_ENVELOPE: Names = [
    (name,)
    for name in ("type", "data", "timestamp", "id", "replay", "priority", "traceparent", "seq", "messages", "error")
]
_OF_FIELDS: dict[str, type[msgspec.Struct]] = {
    "ping": Ping, "heartbeat": Ping, "pong": Pong, "resumed": Resumed, "dropped": Dropped,
}  # fmt: skip
_OVERVIEWS = frozenset({"update", "telemetry", "delta"})
_PARTS = {"projects": "projects", "anomalies": "anomalies", **dict.fromkeys(EVENT_LISTS, "events")}
_SINGLE = {"project_update": "project", "anomaly_detected": "anomaly"}


def message_fields(envelope: object) -> Iterator[MessageFields]:
    """Of an envelope, or of each one in a list or a batch; nothing for what is none."""
    if isinstance(envelope, list):
        for each in envelope:
            yield from message_fields(each) if isinstance(each, dict) else ()
        return
    if not isinstance(envelope, dict):
        return
    kind = envelope.get("type")
    if kind == "batch" and isinstance(envelope.get("messages"), list):
        yield from message_fields(envelope["messages"])
    elif isinstance(kind, str):
        is_older = kind in OLDER_EVENT_TYPES or kind in _SINGLE
        yield MessageFields("older message" if is_older else "message", tuple(_of_message(kind, envelope)))


def _of_message(kind: str, envelope: Mapping[str, Any]) -> Iterator[ObjectFields]:
    data, names = envelope.get("data"), _ENVELOPE
    fields = _OF_FIELDS.get(kind)
    own = [] if fields is None else [spellings for _, spellings, _ in fields_of(fields)]
    if isinstance(data, dict):
        yield from [_object(kind, data, own)] if fields is not None else _of_data(kind, data)
    else:
        names = [*_ENVELOPE, *own]
    yield _object("message", envelope, names)


def _of_data(kind: str, data: Mapping[str, Any]) -> Iterator[ObjectFields]:
    """The data of an event in the older shape has none of its own: it is metadata, whatever is in it."""
    if kind in _OVERVIEWS:
        yield from _of_overview(data)
    elif kind == "event":
        yield _object("events", data, READ_NAMES["events"])
    elif (inner := _SINGLE.get(kind)) is not None:
        yield from _of_single(inner, data[inner] if isinstance(data.get(inner), dict) else data)


def _of_single(kind: str, data: Mapping[str, Any]) -> Iterator[ObjectFields]:
    if kind == "anomaly":
        yield _object("anomalies", data, READ_NAMES["anomalies"])
    elif any(data.get(name) not in (None, "") for name in PROJECT_ID):
        yield _object("projects", data, READ_NAMES["projects"], tuple(_shares(data, SHARES, frozenset())))


def document_fields(document: object) -> MessageFields | None:
    """Of a document; None for one that has another shape than those that are known."""
    try:
        payload, shape = payload_of(document, Problems())
    except DecodeError:
        return None
    return MessageFields(shape, tuple(_of_overview(payload)))


def _of_overview(data: Mapping[str, Any]) -> Iterator[ObjectFields]:
    yield _object("overview", data, READ_NAMES["overview"])
    if isinstance(metrics := data.get("metrics"), dict):
        yield _object("metrics", metrics, READ_NAMES["metrics"], tuple(_shares(metrics, METRICS_SHARES, frozenset())))
    percent = percentages(data.get("projects"))
    for name, kind in _PARTS.items():
        elements = data.get(name)
        for each in elements if isinstance(elements, list) else ():
            if isinstance(each, dict):
                shares = tuple(_shares(each, SHARES, percent)) if kind == "projects" else ()
                yield _object(kind, each, READ_NAMES[kind], shares)


def _object(place: str, data: Mapping[str, Any], names: Names, shares: tuple[Share, ...] = ()) -> ObjectFields:
    known = {name: spellings[0] for spellings in names for name in spellings}
    there = frozenset(str(name) for name, value in data.items() if value is not None)
    read = there & known.keys()
    return ObjectFields(place, known, frozenset(known[name] for name in read), there - read, read, shares)


def _shares(data: Mapping[str, Any], names: Iterable[str], percent: frozenset[str]) -> Iterator[Share]:
    """The shares that are plain numbers; a text with a per cent sign has a scale of its own."""
    for name in names:
        value = data.get(name)
        if value is None or isinstance(value, str):
            continue
        try:
            number = values.number(value)
        except UnusableValueError:
            continue
        if number is not None:
            yield Share(name, number, name in percent or values.is_percentage(value))
