"""A real Prometheus and a real Alertmanager with the rules of this repository, sixty times as fast."""

import re
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from tests.integration.programs import Program, running, wait_until
from tests.tools import tool

ROOT = Path(__file__).resolve().parents[2]
FASTER = 60
"""A minute of the rules is a second here."""

_MILLISECONDS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


def faster(duration: str) -> str:
    """A duration of the rules or of Alertmanager, as long as it is here."""
    return f"{int(duration[:-1]) * _MILLISECONDS[duration[-1]] // FASTER}ms"


def faster_rules(document: dict[str, Any]) -> dict[str, Any]:
    """A copy of a rule file with all windows, offsets and `for` shortened; names and texts stay."""
    return {
        "groups": [
            {"name": group["name"], "rules": [_faster_rule(rule) for rule in group["rules"]]}
            for group in document["groups"]
        ]
    }


def _faster_rule(rule: dict[str, Any]) -> dict[str, Any]:
    expression = re.sub(r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]", lambda match: faster(match[0]), rule["expr"])
    return {**rule, "expr": expression} | ({"for": faster(rule["for"])} if "for" in rule else {})


@dataclass(frozen=True, slots=True)
class Notification:
    """One call of a webhook: the streams for which an alert fires, the empty name standing for an alert without one.

    One that tells of streams for which it has ended, while it goes on for others, names only the latter.
    """

    receiver: str
    alert: str
    streams: tuple[str, ...]


class Monitoring:
    """The two programs, and the notifications so far."""

    def __init__(
        self, prometheus: str, alertmanager: str, told: list[Notification], http: aiohttp.ClientSession
    ) -> None:
        self.told = told
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._http = http

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        found: list[dict[str, Any]] = (await self._api("query", query=expression))["result"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """All rules with their health and last error."""
        groups: list[dict[str, Any]] = (await self._api("rules"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def becomes(self, expression: str, count: int, seconds: float = 20.0) -> None:
        """Return when an expression has that many series."""

        async def check() -> bool:
            return len(await self.query(expression)) == count

        await wait_until(check, f"{count} series of {expression}", seconds)

    async def firing(self, alert: str, count: int) -> None:
        """Return when that many instances of an alert fire in Prometheus, whoever is told."""
        await self.becomes(f'ALERTS{{alertname="{alert}",alertstate="firing"}}', count)

    async def descriptions(self, alert: str) -> list[str]:
        """The description of each instance of an alert, as Prometheus evaluates it."""
        found = (await self._api("alerts"))["alerts"]
        return [each["annotations"]["description"] for each in found if each["labels"]["alertname"] == alert]

    async def inhibited(self, alert: str, count: int, seconds: float = 10.0) -> None:
        """Return when Alertmanager holds back that many instances of an alert."""

        async def check() -> bool:
            url = f"{self._alertmanager}/api/v2/alerts"
            async with self._http.get(url, params={"filter": f'alertname="{alert}"'}) as response:
                return sum(bool(found["status"]["inhibitedBy"]) for found in await response.json()) == count

        await wait_until(check, f"{count} of {alert} inhibited", seconds)

    async def told_of(self, alert: str) -> None:
        """Return when somebody has been told that an alert fires."""
        await self._last(alert, firing=True)

    async def told_the_end_of(self, alert: str) -> None:
        """Return when somebody has been told that an alert fires for nothing any more."""
        await self._last(alert, firing=False)

    def pages(self, apart_from: Collection[str]) -> list[Notification]:
        """Notifications of something that the receiver did not know to fire, without those of some alerts."""
        known: dict[str, set[str]] = {}
        found = []
        for one in self.told:
            news = set(one.streams) - known.get(one.alert, set())
            known[one.alert] = set(one.streams)
            if news and one.alert not in apart_from:
                found.append(Notification(one.receiver, one.alert, tuple(sorted(news))))
        return found

    async def _last(self, alert: str, *, firing: bool) -> None:
        async def check() -> bool:
            about = [one for one in self.told if one.alert == alert]
            return bool(about) and bool(about[-1].streams) == firing

        await wait_until(check, f"told that {alert} {'fires' if firing else 'is over'}", 20)

    async def _api(self, what: str, **parameters: str) -> Any:
        async with self._http.get(f"{self._prometheus}/api/v1/{what}", params=parameters) as response:
            answer = await response.json()
            assert answer["status"] == "success", answer
            return answer["data"]


@asynccontextmanager
async def monitoring(
    directory: Path, targets: Iterable[str], scrapes: Iterable[dict[str, Any]] = ()
) -> AsyncIterator[Monitoring]:
    """Start both programs with the rules and routes of this repository; every receiver is a webhook of ours.

    `scrapes` are scrape configurations in place of that of deploy/prometheus; their targets are replaced by `targets`.
    """
    told: list[Notification] = []
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        receiver = await stack.enter_async_context(_webhooks(told))
        alertmanager, keeper = await _start(
            stack,
            tool("prometheus-alertmanager"),
            f"--config.file={_alertmanager_file(directory, receiver)}",
            f"--storage.path={directory / 'alertmanager'}",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        )
        prometheus, watcher = await _start(
            stack,
            tool("prometheus"),
            f"--config.file={_prometheus_file(directory, targets, list(scrapes), alertmanager)}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            "--web.listen-address=127.0.0.1:0",
        )
        yield Monitoring(f"http://{prometheus}", f"http://{alertmanager}", told, http)
        for program in (watcher, keeper):
            assert await program.stop() == 0, program.output


async def _start(stack: AsyncExitStack, *command: str) -> tuple[str, Program]:
    """A program that is ready, and the address that it says it listens on."""
    program = await stack.enter_async_context(running(*command))

    def listening(line: str) -> str | None:
        match = _LISTENING.search(line)
        return match and match[1]

    address = await program.printed(listening)

    async def ready() -> bool:
        async with aiohttp.request("GET", f"http://{address}/-/ready") as response:
            return response.status == 200

    await wait_until(ready, f"{program.name} is ready")
    return address, program


@asynccontextmanager
async def _webhooks(told: list[Notification]) -> AsyncIterator[str]:
    async def note(request: web.Request) -> web.Response:
        body = await request.json()
        firing = [alert["labels"].get("stream", "") for alert in body["alerts"] if alert["status"] == "firing"]
        told.append(
            Notification(request.match_info["receiver"], body["groupLabels"]["alertname"], tuple(sorted(firing)))
        )
        return web.Response()

    app = web.Application()
    app.router.add_post("/{receiver}", note)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _alertmanager_file(directory: Path, receiver: str) -> Path:
    document = yaml.safe_load((ROOT / "deploy/prometheus/alertmanager.yml").read_text())
    route = document["route"]
    for name in ("group_interval", "repeat_interval"):
        route[name] = faster(route[name])
    # Not half a second, which is one scrape here: two streams that fall together are not always in the same one.
    route["group_wait"] = "2s"
    for one in document["receivers"]:
        one["webhook_configs"] = [{"url": f"{receiver}/{one['name']}", "send_resolved": True}]
    path = directory / "alertmanager.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def _prometheus_file(directory: Path, targets: Iterable[str], scrapes: list[dict[str, Any]], alertmanager: str) -> Path:
    document = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    document["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    document["rule_files"] = ["rules.yaml"]
    document["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    document["scrape_configs"] = scrapes or document["scrape_configs"]
    for scrape in document["scrape_configs"]:
        scrape["static_configs"] = [{"targets": list(targets)}]
    rules = faster_rules(yaml.safe_load((ROOT / "alerts/iris.rules.yaml").read_text()))
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(document))
    return path
