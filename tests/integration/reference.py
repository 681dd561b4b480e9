"""The reference backend as a process, and a client of it that writes down what was sent."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from tests.integration.programs import Program, running
from tests.waiting import BUSY

ADDRESS = re.compile(r"http://127\.0\.0\.1:[1-9]\d*")


class Sent:
    """What a listener on a stream was told, merged as the wire document says."""

    def __init__(self) -> None:
        self.metrics: dict[str, Any] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        self.event_ids: set[str] = set()
        self.arrived = asyncio.Event()

    def merge(self, data: dict[str, Any]) -> None:
        """Take the `data` of an update."""
        self.metrics |= data.get("metrics") or {}
        for project in data.get("projects") or []:
            self.projects[project["id"]] = project
        self.event_ids |= {event["id"] for event in data.get("events") or []}
        self.arrived.set()


class ReferenceBackend:
    """A running backend."""

    def __init__(self, program: Program, url: str, http: aiohttp.ClientSession) -> None:
        self.program = program
        self.url = url
        self._http = http

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def stream(self, channel: str) -> str:
        """The address of a stream endpoint."""
        return f"{self.url}/api/stream/{channel}"

    async def faults(self, **faults: object) -> None:
        """Turn faults on (or off, with False); no fault at all clears all of them. Underscores stand for dashes."""
        body = {name.replace("_", "-"): value for name, value in faults.items()}
        async with self._http.post(f"{self.url}/-/faults", json=body) as response:
            assert response.status in (200, 204), await response.text()

    async def event_ids(self) -> list[str]:
        """Ids of all events that it has made, oldest first."""
        async with self._http.get(f"{self.url}/api/events?limit=10000") as response:
            assert response.status == 200, await response.text()
            return [event["id"] for event in reversed(await response.json())]

    @asynccontextmanager
    async def overheard(self) -> AsyncIterator[Sent]:
        """Listen to the overview stream with a client of the test's own, from its first full update on."""
        sent = Sent()

        async def listen() -> None:
            async for message in socket:
                document = json.loads(message.data)
                if document["type"] == "update":
                    sent.merge(document["data"])

        async with self._http.ws_connect(self.stream("overview")) as socket:
            listener = asyncio.create_task(listen())
            await asyncio.wait_for(sent.arrived.wait(), 5 * BUSY)
            yield sent
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener


@asynccontextmanager
async def reference_backend(*options: str, port: int = 0) -> AsyncIterator[ReferenceBackend]:
    """Start `iris-exporter backend`; it is killed when the block ends."""
    command = (sys.executable, "-m", "iris_exporter", "backend", f"--web.listen-address=127.0.0.1:{port}")

    def address(line: str) -> str | None:
        match = ADDRESS.search(line)
        return match and match[0]

    async with running(*command, *options) as program, aiohttp.ClientSession() as http:
        yield ReferenceBackend(program, await program.printed(address), http)
