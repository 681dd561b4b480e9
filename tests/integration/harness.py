"""Runs the sidecar as a process, as an operator would, and holds it to what is always true.

Whatever a test is about, the harness also checks: the sidecar ends with code 0 soon after SIGTERM, prints
no traceback, no counter falls or vanishes between two scrapes, and no secret of the test is in any output or answer.
"""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.programs import Program, running, wait_until
from tests.waiting import BUSY

HERE = (sys.executable, "-m", "iris_exporter")
Key = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """One parsed answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[Key, float] = {}
        self.cumulative: set[Key] = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"series twice in one scrape: {key}"
                self.samples[key] = sample.value
                if family.type in ("counter", "histogram"):
                    self.cumulative.add(key)

    def series(self, name: str, /, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        """Label set to value of every series of that name which has at least these labels."""
        wanted = labels.items()
        return {found: value for (sample, found), value in self.samples.items() if sample == name and wanted <= found}

    def value(self, name: str, /, **labels: str) -> float | None:
        """The value of the one series that fits, None when there is none."""
        fitting = self.series(name, **labels)
        assert len(fitting) <= 1, f"{name}{labels} fits {len(fitting)} series: {fitting}"
        return next(iter(fitting.values()), None)

    def total(self, name: str, /, **labels: str) -> float:
        """The sum over all series that fit."""
        return sum(self.series(name, **labels).values())

    def state(self, stream: str = "default") -> str:
        """The one state whose series is 1."""
        states = self.series("iris_stream_state", stream=stream)
        current = [dict(labels)["state"] for labels, value in states.items() if value == 1]
        assert len(current) == 1, f"states: {states}"
        assert set(states.values()) <= {0, 1}
        return current[0]


class Sidecar:
    """A running sidecar: what it answers over HTTP and what it logs."""

    def __init__(self, program: Program, url: str, http: aiohttp.ClientSession) -> None:
        self.program = program
        self.url = url
        self._http = http
        self._last: Scrape | None = None
        self._answers: list[str] = []
        self.was_killed = False

    async def get(self, path: str, status: int = 200, **headers: str) -> str:
        """The body of a GET request; fails on another status."""
        return await self._request("GET", path, status, headers)

    async def post(self, path: str, status: int = 200) -> str:
        """The body of the answer to an empty POST request; fails on another status."""
        return await self._request("POST", path, status, {})

    async def stream(self, name: str = "default") -> dict[str, Any]:
        """What the API says about a stream."""
        answer: dict[str, Any] = json.loads(await self.get(f"/api/v1/streams/{name}"))
        return answer

    async def events(self, name: str = "default", limit: int = 100) -> list[dict[str, Any]]:
        """The activity feed, newest first."""
        answer: list[dict[str, Any]] = json.loads(await self.get(f"/api/v1/streams/{name}/events?limit={limit}"))
        return answer

    async def scrape(self) -> Scrape:
        """The metrics now, compared with the scrape before: a counter never falls and its series never vanishes."""
        scrape = Scrape(await self.get("/metrics"))
        if self._last is not None:
            for key in self._last.cumulative:
                before, now = self._last.samples[key], scrape.samples.get(key)
                assert now is not None, f"counter vanished: {key}"
                assert now >= before, f"counter fell from {before} to {now}: {key}"
        self._last = scrape
        return scrape

    async def reaches(self, state: str, seconds: float = 10.0) -> Scrape:
        """The first scrape in which the stream `default` is in `state`."""

        async def check() -> Scrape | None:
            scrape = await self.scrape()
            return scrape if scrape.state() == state else None

        found = await wait_until(check, f"state {state}", seconds)
        assert found is not None
        return found

    async def counts(self, name: str, at_least: float, /, seconds: float = 10.0, **labels: str) -> Scrape:
        """The first scrape in which the series that fit add up to `at_least`."""

        async def check() -> Scrape | None:
            scrape = await self.scrape()
            return scrape if scrape.total(name, **labels) >= at_least else None

        found = await wait_until(check, f"{name}{labels} >= {at_least:g}", seconds)
        assert found is not None
        return found

    def log(self, **fields: object) -> list[dict[str, Any]]:
        """The lines logged so far that hold these fields; `level` may be a set of levels."""
        lines = [json.loads(line) for line in self.program.stderr]
        return [line for line in lines if all(_fits(line.get(key), value) for key, value in fields.items())]

    async def logged(self, at_least: int = 1, /, **fields: object) -> list[dict[str, Any]]:
        """As `log`, once there are so many: a thread of the sidecar writes its log, after a scrape shows the same."""

        async def check() -> list[dict[str, Any]] | None:
            lines = self.log(**fields)
            return lines if len(lines) >= at_least else None

        found = await wait_until(check, f"{at_least} log lines with {fields}")
        assert found is not None
        return found

    async def kill(self) -> None:
        """End it as a crash would; nothing is checked at the end."""
        self.was_killed = True
        await self.program.kill()

    async def stop(self, secrets: Sequence[str] = ()) -> None:
        """Ask for every page once more, end the sidecar and check what holds for each one."""
        await self.scrape()
        for path in ("/", "/config", "/api/v1/streams", "/-/healthy"):
            await self.get(path)
        for stream in json.loads(await self.get("/api/v1/streams")):
            for path in ("", "/overview", "/events"):
                await self.get(f"/api/v1/streams/{stream['name']}{path}")
        assert await self.program.stop() == 0, self.program.output
        assert "Traceback" not in self.program.output
        assert "traceback" not in self.program.output
        for line in self.program.stderr:
            assert isinstance(json.loads(line), dict), f"not one of our log lines: {line}"
        for text in (self.program.output, *self._answers):
            for secret in secrets:
                assert secret not in text, f"a secret in: {text}"

    async def _request(self, method: str, path: str, status: int, headers: dict[str, str]) -> str:
        async with self._http.request(method, self.url + path, headers=headers) as response:
            body = await response.text()
            self._answers.append(f"{method} {path}: {dict(response.headers)}\n{body}")
            assert response.status == status, f"{method} {path}: {response.status} {body}\n{self.program.output}"
            return body


def _fits(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, set | frozenset) else value == wanted


@asynccontextmanager
async def sidecar(
    *options: str,
    secrets: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    program: Sequence[str] = HERE,
) -> AsyncIterator[Sidecar]:
    """Start `iris-exporter` on a free port; checks the rules of this module when the block ends without a failure.

    `program` is what comes before the options: this checkout's by default.
    """
    command = (*program, "--web.listen-address=127.0.0.1:0", "--log.format=json")
    timeout = aiohttp.ClientTimeout(total=10 * BUSY)
    async with (
        running(*command, *options, environment=environment) as process,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        url = await process.printed(_listening_address)
        exporter = Sidecar(process, url, http)
        yield exporter
        if not exporter.was_killed:
            await exporter.stop(secrets)


def _listening_address(line: str) -> str | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return str(fields["address"]) if isinstance(fields, dict) and fields.get("event") == "web.listening" else None
