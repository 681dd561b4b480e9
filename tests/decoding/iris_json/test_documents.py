"""REST documents in every shape that is known."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import Overview
from iris_exporter.decoding.problems import REASONS
from iris_exporter.errors import DecodeError
from tests.decoding.strategies import JSON_VALUES, KNOWN, OVERVIEWS, check_printable

PROJECT = {"id": "a", "name": "A", "status": "healthy", "health_score": 93}
DEPLOYED = {"project": "a", "overallHealth": "healthy", "latestHealthScore": 93, "totalRuns": 5}
EVENT = {"id": 1, "timestamp": "2026-11-23T09:15:00Z", "project": "a", "event_type": "info", "message": "hello"}
ANOMALY = {"id": "x", "project": "a", "type": "drift", "severity": "low", "metric": "m", "value": 1, "resolved": False}
OVERVIEW = {"metrics": {"total_projects": 1}, "projects": [PROJECT], "events": [EVENT], "anomalies": [ANOMALY]}


def decode(document: Any) -> Overview:
    """Decode a document in which nothing may be left out."""
    decoder = IrisJson()
    overview = decoder.decode_document(json.dumps(document).encode())
    assert decoder.problems.take() == []
    return overview


def wrapped(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data, "count": 1, "projectId": "a", "timestamp": "2026-11-23T09:15:00Z"}


def carried(overview: Overview) -> set[str]:
    """The parts that an overview says anything about."""
    return {name for name in overview.__struct_fields__ if getattr(overview, name) is not None}


@pytest.mark.parametrize("document", [OVERVIEW, wrapped(OVERVIEW)])
def test_a_whole_overview(document: Any) -> None:
    overview = decode(document)
    assert carried(overview) == {"metrics", "projects", "events", "anomalies"}
    assert overview == decode(OVERVIEW)


def test_projects_read_alike_in_the_shape_of_the_stream_and_of_rest() -> None:
    stream, rest = (decode({"projects": [shape]}).projects for shape in (PROJECT, DEPLOYED))
    assert stream is not None
    assert rest is not None
    assert (stream[0].id, stream[0].status, stream[0].health_ratio) == ("a", "healthy", 0.93)
    assert (rest[0].id, rest[0].status, rest[0].health_ratio, rest[0].runs) == ("a", "healthy", 0.93, 5)


def test_an_overall_health_may_be_a_share() -> None:
    projects = decode([{**DEPLOYED, "overallHealth": 88, "latestHealthScore": None}]).projects
    assert projects is not None
    assert (projects[0].status, projects[0].health_ratio) == (None, 0.88)
    both = decode([{**DEPLOYED, "overallHealth": 88, "latestHealthScore": 90}]).projects
    assert both is not None
    assert both[0].health_ratio == 0.9


@pytest.mark.parametrize(
    ("element", "kind"),
    [
        (PROJECT, "projects"),
        (DEPLOYED, "projects"),
        (EVENT, "events"),
        ({**EVENT, "event_type": "anomaly_detected", "metric": "m"}, "events"),
        (ANOMALY, "anomalies"),
        ({**ANOMALY, "message": "drifts"}, "anomalies"),
    ],
)
def test_a_bare_list_is_told_apart_by_its_fields(element: dict[str, Any], kind: str) -> None:
    for document in ([element], wrapped([element]), element, wrapped(element)):
        overview = decode(document)
        assert carried(overview) == {kind}
        assert len(getattr(overview, kind)) == 1


@pytest.mark.parametrize("document", [{**OVERVIEW, "cursor": "k-7"}, {**wrapped([EVENT]), "cursor": "k-7"}])
def test_a_cursor_stands_at_the_top(document: Any) -> None:
    assert decode(document).cursor == "k-7"


def test_elements_of_no_kind_are_left_out() -> None:
    decoder = IrisJson()
    overview = decoder.decode_document(json.dumps([EVENT, {"colour": "red"}, 7]).encode())
    assert len(overview.events or ()) == 1
    assert [(problem.reason, problem.path) for problem in decoder.problems.take()] == [
        ("unknown_shape", "$[1]"),
        ("unknown_shape", "$[2]"),
    ]


@pytest.mark.parametrize(
    ("body", "reason", "path"),
    [
        (b"<html>", "not_json", "$"),
        (b"", "not_json", "$"),
        (b"\xff", "not_utf8", "$"),
        (b"3", "not_an_object", "$"),
        (b"null", "not_an_object", "$"),
        (b'{"colour":"red"}', "unknown_shape", "$"),
        (b'{"success":true,"data":{"colour":"red"}}', "unknown_shape", "$.data"),
        (b'{"success":false,"error":"no such project"}', "upstream_error", "$.success"),
        (b'{"ok":false,"error":{"code":5}}', "upstream_error", "$.ok"),
        (b"[" * 100_000, "too_deep", "$"),
    ],
)
def test_a_document_that_says_nothing_usable_is_refused(body: bytes, reason: str, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        IrisJson().decode_document(body)
    assert (caught.value.reason, caught.value.path) == (reason, path)


@given(
    st.binary()
    | (OVERVIEWS | KNOWN | st.lists(KNOWN | JSON_VALUES) | JSON_VALUES).map(lambda v: json.dumps(v).encode())
)
def test_any_body_is_an_overview_or_a_documented_error(body: bytes) -> None:
    decoder = IrisJson()
    try:
        overview = decoder.decode_document(body)
    except DecodeError as error:
        assert error.reason in REASONS
        str(error).encode()
    else:
        check_printable(overview)
    for problem in decoder.problems.take():
        assert problem.reason in REASONS


def test_an_empty_list_of_unknown_kind_says_nothing() -> None:
    assert decode([]) == decode(wrapped([])) == decode({}) == Overview()
