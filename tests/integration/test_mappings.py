"""Streams with a mapping, from a configuration file to /metrics: a sidecar process against servers that record all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import WSMsgType, web

from iris_exporter.mapping import presets
from tests.integration.harness import Scrape, Sidecar, sidecar
from tests.integration.programs import wait_until
from tests.mapping import samples
from tests.mapping.samples import Sample

pytestmark = [pytest.mark.integration, pytest.mark.time_limit(120)]

SECRET = "s3cr3t-of-the-source"
PARAMETERS = {
    "coinbase": {"products": "AAA-BBB"},
    "graphql": {"query": "subscription { orders { id } }"},
    "kraken": {"symbols": "AAA/BBB"},
}
MESSAGES = "iris_stream_messages_total"
OF_ARRIVAL = ("bluesky_record_age_seconds_sum",)
"""Depends on when a message arrives."""


class Source:
    """Serves each sample once, at a path of its name, in the way that its mapping expects; notes all it is asked."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.sent: dict[str, list[str]] = {}
        self.url = ""
        self._over = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Source"]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            self._over.set()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.strip("/").partition("/")[2]
        if name not in samples.NAMES:
            self.requests.append(request.path)
            return web.Response(status=404)
        sample = samples.load(name)
        is_first = name not in self.sent
        self.sent.setdefault(name, [])
        if request.headers.get("Upgrade"):
            return await self._socket(request, sample, name, is_first=is_first)
        if sample.form == "json":
            return web.Response(body=sample.content, content_type="application/json", headers={"ETag": '"1"'})
        return await self._stream(request, sample, is_first=is_first)

    async def _socket(self, request: web.Request, sample: Sample, name: str, *, is_first: bool) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=sample.mapping.subprotocols)
        await socket.prepare(request)
        for line in sample.lines if is_first else ():
            await socket.send_str(line.decode())
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.sent[name].append(message.data)
        return socket

    async def _stream(self, request: web.Request, sample: Sample, *, is_first: bool) -> web.StreamResponse:
        media_type = "text/event-stream" if sample.form == "sse" else "application/x-ndjson"
        response = web.StreamResponse(headers={"Content-Type": media_type})
        await response.prepare(request)
        await response.write(sample.content.rstrip() + b"\n\n" if is_first else b"\n")
        await self._over.wait()
        return response


def configuration(directory: Path, url: str) -> str:
    """A file with a stream for each sample; mappings that are no presets are in files of their own."""
    (directory / "key").write_text(SECRET)
    own = [name for name in samples.NAMES if name not in presets.names()]
    streams: list[dict[str, Any]] = []
    for name in samples.NAMES:
        stream: dict[str, Any] = {"name": name, "url": f"{url}/feed/{name}", "mapping": name}
        if name == "mastodon-websocket":
            stream["protocol"] = "websocket"
        if name == "home-assistant":
            stream["api-key-file"] = "key"
        streams.append(stream | ({"parameters": PARAMETERS[name]} if name in PARAMETERS else {}))
    files = [str(samples.DIRECTORY / name / "mapping.yaml") for name in own]
    defaults = {"max-connections-per-hour": 0, "poll-interval": "200ms"}
    path = directory / "iris-exporter.yaml"
    path.write_text(yaml.safe_dump({"streams": streams, "defaults": defaults, "mapping-files": files}))
    return str(path)


def of_stream(text: str, stream: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if f'stream="{stream}"' in line)


async def heard(exporter: Sidecar, name: str, messages: dict[str, int]) -> Scrape:
    """The first scrape with so many messages of each kind."""

    async def check() -> Scrape | None:
        scrape = await exporter.scrape()
        found = {kind: scrape.value(MESSAGES, stream=name, message_type=kind) or 0 for kind in messages}
        return scrape if all(found[kind] >= count for kind, count in messages.items()) else None

    found = await wait_until(check, f"{messages} of {name}", 20)
    assert found is not None
    return found


async def test_every_worked_configuration_gives_its_series_from_a_real_source(tmp_path: Path) -> None:
    async with Source().serving() as source:
        options = (f"--config.file={configuration(tmp_path, source.url)}",)
        async with sidecar(*options, secrets=[SECRET]) as exporter:
            for name in samples.NAMES:
                await heard(exporter, name, samples.load(name).summary["messages"])
            scrape = await exporter.scrape()
            assert {name: difference(scrape.text, name) for name in samples.NAMES} == {
                name: [] for name in samples.NAMES
            }
            assert_nothing_of_iris(source)
            assert scrape.value("iris_stream_guarantee", stream="wikimedia", guarantee="exactly_once") == 1
            states = {name: scrape.state(name) for name in ("wikimedia", "status-page", "binance", "jetstream")}
            assert states == {"wikimedia": "live", "status-page": "polling", "binance": "error", "jetstream": "live"}
            answer = await exporter.stream("binance")
            assert answer["failure"]["reason"] == "misconfigured"
            assert await exporter.events("wikimedia") == []
            overview = json.loads(await exporter.get("/api/v1/streams/wikimedia/overview"))
            assert (overview["stale"], overview["metrics"], overview["projects"]) == (False, None, [])


def difference(text: str, name: str) -> list[str]:
    """Series of a stream that should not be there, and those that are missing."""
    sample = samples.load(name)
    found = set(samples.short(of_stream(text, name), sample.mapping.namespace))
    return sorted(line for line in found ^ set(samples.sorted_expected(sample)) if not line.startswith(OF_ARRIVAL))


def assert_nothing_of_iris(source: Source) -> None:
    """No address of IRIS was asked, and no message of IRIS was sent."""
    assert source.requests == []
    for name, messages in source.sent.items():
        heartbeat = samples.mapping_of(name).heartbeat
        for message in messages:
            assert '"resume"' not in message
            assert heartbeat is not None or message not in ('{"type":"ping"}', '{"type":"pong"}') or name == "graphql"
