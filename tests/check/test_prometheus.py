"""What a Prometheus is asked, and what is made of its answers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.check.prometheus import examine_prometheus
from tests.integration.test_prometheus import followed_backend
from tests.integration.test_prometheus import prometheus as real_prometheus
from tests.ports import free_port
from tests.transports.support import serve

BUILD = [{"metric": {"__name__": "iris_exporter_build_info", "instance": "a:14747"}, "value": [1, "1"]}]
UP = [{"metric": {"__name__": "iris_up", "stream": "default"}, "value": [1, "1"]}]
RULES = [{"name": "iris-link", "rules": [{"name": "IrisStreamDown", "health": "ok"}]}]
FAILING = [{"name": "iris-link", "rules": [{"name": "IrisStreamDown", "health": "err"}]}]
OTHERS = [{"name": "node", "rules": [{"name": "NodeDown", "health": "err"}]}]


def prometheus(build: object, up: object, rules: object) -> Callable[[web.Request], object]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/prom/api/v1/rules":
            return web.json_response({"status": "success", "data": {"groups": rules}})
        assert request.path == "/prom/api/v1/query"
        result = build if request.query["query"] == "iris_exporter_build_info" else up
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    return answer


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((BUILD, UP, RULES), []),
        (([], [], RULES), ["prometheus_not_scraped"]),
        ((BUILD, [], RULES), ["prometheus_stream_missing"]),
        ((BUILD, UP, OTHERS), ["prometheus_no_rules"]),
        ((BUILD, UP, [*OTHERS, *FAILING]), ["prometheus_rules_fail"]),
        (([], [], []), ["prometheus_not_scraped", "prometheus_no_rules"]),
    ],
)
async def test_what_it_has(answers: tuple[object, object, object], expected: list[str]) -> None:
    async with serve(prometheus(*answers)) as server:  # type: ignore[arg-type]
        found = await examine_prometheus(server.url + "/prom/", ["default"])
    assert [each.id for each in found] == expected


async def test_answers_of_another_form() -> None:
    async with serve(prometheus([7], [], [])) as server:  # type: ignore[arg-type]
        assert [each.id for each in await examine_prometheus(server.url + "/prom", [])] == ["prometheus_unreachable"]


async def test_what_is_no_prometheus() -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>hello</h1>", content_type="text/html")

    async with serve(page) as server:
        assert [each.id for each in await examine_prometheus(server.url, [])] == ["prometheus_unreachable"]
    found = await examine_prometheus(f"http://127.0.0.1:{free_port()}", [])
    assert [(each.id, each.detail.partition(":")[0]) for each in found] == [
        ("prometheus_unreachable", "connection_refused")
    ]


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(60)
@pytest.mark.needs("prometheus")
async def test_a_real_one(tmp_path: Path) -> None:
    """It scrapes the exporter, whose stream is called default, and has no rules."""
    async with (
        followed_backend() as (_, exporter),
        real_prometheus(tmp_path, exporter.url.removeprefix("http://")) as server,
    ):
        await server.becomes("iris_up", 1)
        found = await examine_prometheus(server.url, ["default", "elsewhere"])
        assert [(each.id, each.detail) for each in found] == [
            ("prometheus_stream_missing", "elsewhere"),
            ("prometheus_no_rules", ""),
        ]
