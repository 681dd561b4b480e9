"""How well messages fit: counted, bounded, without values; and what of it is a warning."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from iris_exporter.check import report
from iris_exporter.check.diagnosis import diagnose, main_finding
from iris_exporter.check.findings import Found
from iris_exporter.check.fit import MAX_NAME_CHARS, MAX_UNREAD, Fit
from iris_exporter.check.observations import Observation
from iris_exporter.check.probes import examine
from iris_exporter.clock import SystemClock
from iris_exporter.decoding.iris_json.dialect import IrisJson
from tests.check.sources import answering, backend, stream

SECRET = "secret-value-of-a-field"


def fit_of(*messages: Any) -> Fit:
    fit, dialect = Fit(), IrisJson()
    for message in messages:
        for found in dialect.fields(json.dumps(message).encode()):
            fit.add(found)
    return fit


def event(**data: Any) -> dict[str, Any]:
    return {"type": "event", "data": {"id": "a", **data}}


def update(**data: Any) -> dict[str, Any]:
    return {"type": "update", "data": data}


def test_an_unread_field_is_counted_by_messages() -> None:
    fit = fit_of(
        event(region="x"), event(region="y", tags=[]), update(projects=[{"id": "a", "z": 1}, {"id": "b", "z": 1}])
    )
    assert fit.unread == {("events", "region"): 2, ("events", "tags"): 1, ("projects", "z"): 1}
    assert fit.messages == 3


def test_names_are_bounded_in_number_and_length() -> None:
    fit = fit_of(*(event(**{f"user-{number}-{'x' * 100}": 1}) for number in range(MAX_UNREAD + 50)))
    assert len(fit.unread) == MAX_UNREAD
    assert fit.unlisted == 50
    assert max(len(name) for _, name in fit.unread) == MAX_NAME_CHARS


@pytest.mark.parametrize(
    ("messages", "misspelled"),
    [
        ([event(sevrity="x")], [("events", "sevrity", "severity")]),
        ([event(Severity="x")], [("events", "Severity", "severity")]),
        ([event(**{"event-type": "x"})], [("events", "event-type", "event_type")]),
        ([event(mesage="x")], [("events", "mesage", "message")]),
        ([update(metrics={"total_project": 1})], [("metrics", "total_project", "total_projects")]),
        ([update(projects=[{"id": "a", "healthscore": 1}])], [("projects", "healthscore", "health_score")]),
        ([update(anomalys=[])], [("overview", "anomalys", "anomalies")]),
        # The field itself comes, too, sooner or later: it is another one.
        ([event(sevrity="x", severity="y")], []),
        ([event(sevrity="x"), event(severity="y")], []),
        # Far enough from all that is read.
        ([event(updated_at="x", error_rate=1)], []),
        ([update(projects=[{"id": "a", "max_latency": 1, "p95_latency": 1, "health_status": "x"}])], []),
        ([event(region="x", level=1, seq=4, source="s", host="h", trace_id="t", tags=[])], []),
        ([update(regions=[], version=1, generated_at="x", metrics={"uptime": 1, "p95": 2})], []),
    ],
)
def test_a_near_miss_of_a_field_that_never_comes_is_a_misspelling(
    messages: list[Any], misspelled: list[tuple[str, str, str]]
) -> None:
    assert [each[:3] for each in fit_of(*messages).misspelled()] == misspelled


@pytest.mark.parametrize(
    ("values", "is_mixed"),
    [((87, 0.5), True), ((87, 1), True), ((87, 0), False), ((0.9, 1, 0), False), ((87, 12), False)],
)
def test_one_share_on_two_scales_is_read_wrongly(values: tuple[float, ...], is_mixed: bool) -> None:
    """Each in a message of its own, so that nothing beside it shows the scale."""
    fit = fit_of(*(update(projects=[{"id": "a", "health_score": value}]) for value in values))
    assert fit.scales["projects", "health_score"].is_mixed == is_mixed


def test_shares_beside_each_other_show_their_scale() -> None:
    fit = fit_of(update(projects=[{"id": "a", "health_score": 87}, {"id": "b", "health_score": 0.5}]))
    assert not fit.scales["projects", "health_score"].is_mixed


def sending(*messages: Any, document: Any = None) -> Any:
    """A source whose stream has these messages, a few times."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if "text/event-stream" not in request.headers.get("Accept", ""):
            return web.json_response(document or {"metrics": {"totalProjects": 3}})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for message in messages:
            await response.write(f"data: {json.dumps(message)}\n\n".encode())
        while request.transport is not None:
            await response.write(b": alive\n\n")
            await asyncio.sleep(0.05)
        return response

    return answering(handler, protocol="sse")


async def of_source(source: Any, directory: Path) -> tuple[list[Found], str, dict[str, Any]]:
    async with source(directory) as settings:
        seen = await examine(settings, 0.4, SystemClock(), lambda _: None)
    found = diagnose(seen, settings)
    return found, report.as_text(seen, found, settings), report.as_values(seen, found, settings)


async def test_unknown_fields_are_shown_by_name_and_are_no_trouble(tmp_path: Path) -> None:
    messages = [event(id=f"e{number}", region=SECRET, tags=[SECRET]) for number in range(3)]
    found, text, values = await of_source(sending(*messages, document={"metrics": {}, "site": SECRET}), tmp_path)
    assert main_finding(found) is None
    assert "events.region (3 messages)" in text
    assert "overview.site (1 message)" in text
    assert {"place": "events", "name": "tags", "messages": 3} in values["fit"]["unknown"]
    assert values["fit"]["shapes"] == {"message": 3, "overview": 1}
    assert "severity" in values["fit"]["fields"]["events"]["missing"]
    assert SECRET not in text + json.dumps(values)


async def test_a_misspelled_field_is_a_warning(tmp_path: Path) -> None:
    found, text, _ = await of_source(sending(event(id="1", mesage="x"), event(id="2", mesage="x")), tmp_path)
    assert [(each.id, each.detail) for each in found if each.id == "misspelled_field"] == [
        ("misspelled_field", "events.mesage for message (2 messages)")
    ]
    assert text.count("\ndiagnosis: misspelled_field") == 1


async def test_a_share_on_two_scales_is_a_warning(tmp_path: Path) -> None:
    messages = [update(projects=[{"id": "a", "health_score": value}]) for value in (87, 0.5)]
    found, _, values = await of_source(sending(*messages), tmp_path)
    assert [each.detail for each in found if each.id == "share_scale"] == ["projects.health_score"]
    assert values["fit"]["shares"]["projects.health_score"] == {"lowest": 0.5, "highest": 87.0, "scale": "mixed"}


@pytest.mark.parametrize("path", ["/api/stream", "/api/stream/overview", "/api/stream/telemetry", "/api/iris/ws"])
async def test_of_the_reference_backend_every_field_is_known(path: str, tmp_path: Path) -> None:
    """Over JSON, protobuf, batches and changes: what it sends is what is read."""
    protocol = "sse" if path == "/api/stream/overview" else "websocket"
    source = backend(path=path, source={"telemetry_interval_seconds": 0.1}, protocol=protocol)
    found, _, values = await of_source(source, tmp_path)
    assert main_finding(found) is None
    assert values["fit"]["unknown"] == []
    assert values["fit"]["messages"] > 2


async def test_of_graphql_every_field_is_known(tmp_path: Path) -> None:
    found, _, values = await of_source(
        backend(path="/api/graphql", protocol="graphql", connect_timeout_seconds=20.0), tmp_path
    )
    assert main_finding(found) is None
    assert (values["fit"]["unknown"], values["fit"]["messages"] > 2) == ([], True)


def test_limits_that_are_near_are_named_with_their_option() -> None:
    settings, seen = stream("http://127.0.0.1:1", max_projects=10, max_label_values=10), Observation("default", "x")
    seen.projects, seen.event_types, seen.severities = 8, 9, 7
    (found,) = diagnose(seen, settings)
    assert found.id == "near_entity_limit"
    assert found.detail == "projects 8 of 10, --stream.max-projects, event types 9 of 10, --stream.max-label-values"
