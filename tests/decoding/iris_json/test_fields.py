"""Which fields of messages and documents are read: the tables of the diagnosis are those of the decoder."""

import json
from typing import Any

import pytest

from iris_exporter.decoding.dialect import Binary, NamedEvent
from iris_exporter.decoding.fields import MessageFields
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.iris_json.objects import READ_NAMES, anomaly_from, event_from, project_from, read_fields
from iris_exporter.decoding.iris_protobuf.fields import envelope_fields
from iris_exporter.decoding.problems import Problems
from iris_exporter.wire.iris.v1 import iris_pb2 as pb


def of_frame(message: Any) -> list[MessageFields]:
    return list(IrisJson().fields(json.dumps(message).encode()))


def unread(found: MessageFields) -> set[tuple[str, str]]:
    return {(each.place, name) for each in found.objects for name in each.unread}


def read(found: MessageFields) -> set[tuple[str, str]]:
    return {(each.place, name) for each in found.objects for name in each.read}


def of_document(document: Any) -> MessageFields:
    found = IrisJson().document_fields(json.dumps(document).encode())
    assert found is not None
    return found


def test_an_event_with_fields_that_mean_nothing() -> None:
    data = {"id": "a", "eventType": "run", "sevrity": "info", "note": None, "metadata": {"own": 1}}
    (found,) = of_frame({"type": "event", "data": data, "trace": 1})
    assert found.shape == "message"
    assert unread(found) == {("events", "sevrity"), ("message", "trace")}
    assert {("events", "id"), ("events", "event_type"), ("events", "metadata")} <= read(found)


def test_an_update_with_its_objects_and_the_scale_of_its_shares() -> None:
    data = {
        "metrics": {"totalProjects": 1, "avgSuccessRate": 0.5, "uptime": 3},
        "projects": [{"id": "a", "health_score": 87, "owner": "x"}, {"id": "b", "health_score": 1}],
        "anomalies": [{"id": "a", "metric": "m"}, 7],
        "regions": [],
    }
    (found,) = of_frame({"type": "update", "data": data})
    assert unread(found) == {("metrics", "uptime"), ("projects", "owner"), ("overview", "regions")}
    shares = [(share.name, share.value, share.is_percentage) for each in found.objects for share in each.shares]
    assert shares == [("avgSuccessRate", 0.5, False), ("health_score", 87, True), ("health_score", 1, True)]


def test_the_older_shape_has_fields_of_projects_and_none_of_events() -> None:
    """The data of an event is its metadata there, whatever is in it."""
    project, event, anomaly, single = of_frame(
        [
            {"type": "project_update", "data": {"project": {"id": "a", "color": "red"}}},
            {"type": "reflexion_created", "data": {"anything": 1}},
            {"type": "anomaly_detected", "data": {"id": "b", "cause": "?"}},
            {"type": "project_update", "data": {"message": "no project"}},
        ]
    )
    assert [each.shape for each in (project, event, anomaly, single)] == ["older message"] * 4
    assert [unread(each) for each in (project, event, anomaly, single)] == [
        {("projects", "color")},
        set(),
        {("anomalies", "cause")},
        set(),
    ]


@pytest.mark.parametrize("message", [{"type": "ping", "data": {"clock": 1}}, {"type": "ping", "clock": 1}])
def test_a_message_that_is_its_fields(message: Any) -> None:
    (found,) = of_frame(message)
    assert {name for _, name in unread(found)} == {"clock"}


def test_messages_of_a_batch_are_each_their_own() -> None:
    found = of_frame(
        {"type": "batch", "messages": [{"type": "event", "data": {"x": 1}}, {"type": "event", "data": {}}]}
    )
    assert [unread(each) for each in found] == [{("events", "x")}, set()]


@pytest.mark.parametrize(
    ("document", "shape"),
    [
        ({"metrics": {}, "extra": 1}, "overview"),
        ({"success": True, "data": {"metrics": {}, "extra": 1}}, "overview in data"),
        ([{"id": "a", "status": "x", "extra": 1}], "list"),
        ({"success": True, "data": [{"id": "a", "status": "x", "extra": 1}]}, "list in data"),
        ({"id": "a", "status": "x", "extra": 1}, "single object"),
    ],
)
def test_documents_have_a_shape_and_unread_fields(document: Any, shape: str) -> None:
    found = of_document(document)
    assert found.shape == shape
    assert {name for _, name in unread(found)} == {"extra"}


@pytest.mark.parametrize("frame", [b"", b"{", b"7", b"\xff", b'{"type": 7}', b"[1, []]", Binary(b"x"), b"[" * 100_000])
def test_what_is_no_message_has_no_fields(frame: bytes | Binary) -> None:
    assert list(IrisJson().fields(frame)) == []
    assert not isinstance(frame, bytes) or IrisJson().document_fields(frame) is None


def test_a_named_event_is_its_data() -> None:
    (found,) = IrisJson().fields(NamedEvent("ping", b'{"type":"ping","clock":1}'))
    assert {name for _, name in unread(found)} == {"clock"}


def test_the_tables_are_those_of_the_decoder() -> None:
    """A name that is listed as read changes what is made of an object, and no other name does."""
    makers = {
        "projects": lambda data: project_from({"id": "base", **data}, Problems()),
        "events": lambda data: event_from(data, Problems()),
        "anomalies": lambda data: anomaly_from(data, Problems()),
    }
    samples = ("2023-11-14T22:13:20Z", 0.25, "text", {"a": 1}, True)
    for kind, make in makers.items():
        plain = make({})
        for spellings in READ_NAMES[kind]:
            for name in spellings:
                # "id" is there in the base; "project" of a project is another name of it.
                is_read = name == "id" or any(make({name: sample}) != plain for sample in samples)
                assert is_read or (kind == "projects" and spellings[0] == "id"), (kind, name)
        assert make({"unheard_of": 1}) == plain
    assert read_fields({"unheard_of": 1}, (), Problems()) == {}


def test_numbers_that_the_binary_schema_lacks_are_unread() -> None:
    event = pb.Event(id="a")
    event.MergeFromString(b"\xf8\x3e\x07")  # field 1007, a varint
    frame = pb.Envelope(event=event).SerializeToString() + b"\xc0\x3e\x01"  # and 1000 of the envelope
    (found,) = envelope_fields(frame)
    assert unread(found) == {("event", "field 1007"), ("message", "field 1000")}
    assert ("events", "id") in read(found)
    batch = pb.Envelope(batch=pb.Batch(messages=[pb.Envelope.FromString(frame)] * 2)).SerializeToString()
    assert [unread(each) for each in envelope_fields(batch)] == [unread(found)] * 2
    assert list(envelope_fields(b"\xff\xff")) == []
