"""The sidecar pushes to Grafana Live: how soon, in lines that a strict reader accepts, and only if asked.

The receiver is the test's own: a server with the one address of Grafana that is used, and the grammar of the protocol.
"""

import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.integration.harness import sidecar
from tests.integration.programs import wait_until
from tests.waiting import BUSY

pytestmark = pytest.mark.integration

TOKEN = "glsa_0123456789abcdef"
TARGET_SECONDS = 0.2
"""On a quiet machine."""
EVENTS = 40

# Names and tags: no line end, and comma, equals sign and space only behind a backslash. Fields: what their type says.
_NAME = r"(?:[^\\,= \n]|\\[,= ])+"
_FIELD = r'"(?:[^"\\\n]|\\["\\])*"|-?\d+i|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|true|false'
_LINE = re.compile(
    rf"(?P<name>{_NAME})(?P<tags>(?:,{_NAME}={_NAME})*) (?P<fields>{_NAME}=(?:{_FIELD})(?:,{_NAME}=(?:{_FIELD}))*)"
    r" (?P<at>\d{19})"
)


@dataclass(frozen=True)
class Point:
    """One line, and when it came: both in Unix seconds."""

    name: str
    tags: dict[str, str]
    fields: dict[str, str]
    at: float
    arrived: float


def parse(line: str, arrived: float) -> Point:
    """A point, as the protocol defines it; fails on anything else."""
    match = _LINE.fullmatch(line)
    assert match, f"not a line of the protocol: {line!r}"
    tags = dict(re.findall(rf",({_NAME})=({_NAME})", match["tags"]))
    pairs = re.findall(rf"({_NAME})=({_FIELD})(?:,|$)", match["fields"])
    assert len(pairs) == len({key for key, _ in pairs}), f"a field twice: {line!r}"
    return Point(match["name"], tags, dict(pairs), int(match["at"]) / 1e9, arrived)


@dataclass
class Receiver:
    """What was pushed."""

    url: str = ""
    points: list[Point] = field(default_factory=list)
    requests: int = 0

    def named(self, name: str) -> list[Point]:
        return [point for point in self.points if point.name == name]

    async def take(self, request: web.Request) -> web.Response:
        arrived = time.time()
        self.requests += 1
        if request.path != "/api/live/push/iris" or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        body = (await request.read()).decode("utf-8", "strict")
        self.points += [parse(line, arrived) for line in body.split("\n")]
        return web.Response()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


def publish(backend: Backend, number: int) -> float:
    """An event, now, with a text that a careless writer of lines would stumble over; when that was, in Unix seconds."""
    text = f'run {number}, "late"=true \\ done'
    now = datetime.now(UTC)
    moment = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    backend.service.publish([Event(f"n{number}", moment, "p, q=1", "info", "info", text, {})])
    return now.timestamp()


@pytest.mark.parametrize(
    "line", ["iris_state", 'a b="c" 1', "a b=c 1700000000000000000", 'a,b c="d" 1700000000000000000']
)
def test_the_reader_is_strict(line: str) -> None:
    with pytest.raises(AssertionError, match="not a line"):
        parse(line, 0.0)


async def test_a_message_is_pushed_within_200_milliseconds(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    async with Backend(BackendSettings(port=0, rate=0)) as backend, receiver() as grafana:
        options = (f"--live.url={grafana.url}", f"--live.token-file={token}")
        async with sidecar(f"--stream.url={backend.url}/api/stream/events", *options, secrets=[TOKEN]) as exporter:
            await exporter.reaches("live")
            sent: dict[str, float] = {}
            # Each event leaves just after the push of the one before it: it waits for a whole interval, the longest.
            for number in range(EVENTS):
                sent[f'"n{number}"'] = publish(backend, number)

                async def pushed(number: int = number) -> bool:
                    return any(point.fields["id"] == f'"n{number}"' for point in grafana.named("iris_event"))

                await wait_until(pushed, f"event {number} is pushed", 5)
            events = [point for point in grafana.named("iris_event") if point.fields["id"] in sent]
            assert [point.fields["id"] for point in events] == list(sent), "each once, in order"
            delays = [point.arrived - sent[point.fields["id"]] for point in events]
            median, worst = statistics.median(delays), max(delays)
            print(f"source to Grafana: median {median * 1000:.0f} ms, longest {worst * 1000:.0f} ms of {len(delays)}")
            assert median < TARGET_SECONDS * BUSY
            # The event's own timestamp is the point's time; it has milliseconds on the wire.
            assert all(abs(point.at - sent[point.fields["id"]]) < 0.0011 for point in events)
            assert events[3].fields["message"] == r'"run 3, \"late\"=true \\ done"'
            assert events[3].fields["project"] == '"p, q=1"'
            assert '"live"' in {point.fields["state"] for point in grafana.named("iris_state")}
            assert {"runs_today", "success_ratio"} <= set(grafana.named("iris_cards")[-1].fields)
            scrape = await exporter.scrape()
            assert scrape.value("iris_exporter_live_dropped_lines_total") == 0
            assert (scrape.value("iris_exporter_live_pushed_lines_total") or 0) >= EVENTS


async def test_nothing_is_pushed_unless_asked_for() -> None:
    async with Backend(BackendSettings(port=0, rate=0)) as backend, receiver() as grafana:
        async with sidecar(f"--stream.url={backend.url}/api/stream/events") as exporter:
            await exporter.reaches("live")
            publish(backend, 0)
            scrape = await exporter.counts("iris_events_total", 1, project="p, q=1")
            assert scrape.value("iris_exporter_live_pushed_lines_total") == 0
        assert grafana.requests == 0
