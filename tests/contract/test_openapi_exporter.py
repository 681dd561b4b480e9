"""docs/openapi-exporter.yaml: a valid document, of every route of the server, that its answers keep to."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.core.positions import Outcome
from iris_exporter.decoding.messages import Event
from tests.integration.harness import sidecar
from tests.web.http_servers import http_server
from tests.web.support import FakeContext, serving
from tests.web.test_follow import arrive, following

FILE = Path(__file__).parents[2] / "docs/openapi-exporter.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))


def check(name: str, value: object) -> None:
    """Fail unless a value fits the schema of this name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(value)


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


async def test_it_has_every_route_and_no_other() -> None:
    async with http_server() as running:
        served = {
            (route.method.lower(), route.resource.canonical)
            for route in running.server.app.router.routes()
            if route.method != "HEAD" and route.resource is not None and route.resource.canonical != "/large"
        }
    methods = {"get", "post", "put"}
    assert served == {(method, path) for path, item in DOCUMENT["paths"].items() for method in methods & item.keys()}


async def test_answers_and_messages_fit_their_schemas() -> None:
    context = FakeContext()
    context.controls["main"].last_resume = Outcome.PARTIAL
    async with serving(context) as get:
        check("Stream", json.loads((await get("/api/v1/streams/main")).body))
        check("Overview", json.loads((await get("/api/v1/streams/main/overview")).body))
        for event in json.loads((await get("/api/v1/streams/main/events")).body):
            check("Event", event)
        check("BadParameter", json.loads((await get("/api/v1/follow?severity=x")).body))
        check("Error", json.loads((await get("/api/v1/streams/x")).body))
    async with http_server() as running, following(running) as reader:
        check("Snapshot", (await reader.message())[1])
        arrive(running, *(Event(str(number)) for number in range(1001)))
        kind, lost = await reader.message()
        assert kind == "lost"
        check("Lost", lost)
        check("FollowedEvent", (await reader.message())[1])


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(300)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """All but `/api/v1/follow`, whose answer has no end: its messages are checked above."""
    async with (
        Backend(BackendSettings(port=0, rate=20)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream/events") as exporter,
    ):
        await exporter.reaches("live")
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", str(FILE), f"--url={exporter.url}"),
            *("--exclude-path=/api/v1/follow", "--checks=all", "--max-examples=30", "--seed=1", "--no-color"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,  # it leaves a cache behind
        )
        output, _ = await program.communicate()
    assert program.returncode == 0, output.decode()
    assert b"No issues found" in output, output.decode()
