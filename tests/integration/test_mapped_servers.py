"""Servers that are not ours as sources with a mapping: counts are what was sent, over drops and restarts of both."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.faults.proxy import FaultProxy
from tests.integration.harness import Sidecar, sidecar
from tests.integration.kubernetes import ADMIN_TOKEN, Cluster, cluster
from tests.integration.programs import Program, running, wait_until
from tests.ports import free_port
from tests.tools import NODE_MODULES, ROOT, tool

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.time_limit(180)]

SERVERS = Path(__file__).parent / "servers"
REAL = ROOT / ".tools/stream-servers/node_modules"
LOOPBACK = SERVERS / "loopback.cjs"
BURST = 20
QUICK = (
    "--stream.reconnect-initial=50ms",
    "--stream.reconnect-max=300ms",
    "--stream.reconnect-attempts=1000",
    "--stream.max-connections-per-hour=0",
    "--stream.poll-interval=200ms",
)


@asynccontextmanager
async def server(*command: str | Path, **environment: str) -> AsyncIterator[Program]:
    """A server whose lines are JSON, and the first of them says its port."""
    async with running(*command, environment=environment) as program:
        await program.printed(lambda line: json.loads(line).get("port"))
        yield program


def configured(directory: Path, mapping: str) -> str:
    """The option that has a file with a mapping read."""
    path = directory / "mapping.yaml"
    path.write_text(mapping)
    return f"--mapping-files={path}"


async def counts_exactly(exporter: Sidecar, name: str, wanted: int) -> None:
    """The counter reaches `wanted`, and stays there over two scrapes more."""
    await exporter.counts(name, wanted, seconds=30)
    for _ in "ab":
        await asyncio.sleep(0.3)
        scrape = await exporter.scrape()
        assert scrape.total(name) == wanted
    assert scrape.total("iris_stream_decode_errors_total") == 0
    assert scrape.total("iris_stream_mapping_problems_total") == 0


@pytest.mark.parametrize(
    ("kind", "path", "options", "counter"),
    [
        pytest.param(
            "socket.io",
            "/socket.io/?EIO=4&transport=websocket",
            ("--stream.mapping=socketio",),
            "socketio_events_total",
            marks=pytest.mark.needs("node", "stream-servers"),
        ),
        pytest.param(
            "graphql-ws",
            "/graphql",
            ("--stream.mapping=graphql", "--stream.parameters=query: subscription { orders { id status } }"),
            "graphql_results_total",
            marks=pytest.mark.needs("node", "ws", "graphql", "graphql-ws"),
        ),
    ],
)
async def test_npm_servers_are_counted_over_cuts_and_restarts(
    kind: str, path: str, options: tuple[str, ...], counter: str
) -> None:
    """The server ends its first two connections; then it is restarted, then the sidecar."""
    port = free_port()
    modules = REAL if kind == "socket.io" else NODE_MODULES
    command = (tool("node"), SERVERS / "bursts.mjs", modules, kind, str(port), "3")
    stream = (f"--stream.url=ws://127.0.0.1:{port}{path}", *options, *QUICK)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(server(*command))
        async with sidecar(*stream) as exporter:
            await counts_exactly(exporter, counter, 3 * BURST)
            await first.kill()
            async with server(*command[:-1], "0") as second:
                await counts_exactly(exporter, counter, 4 * BURST)
                scrape = await exporter.reaches("live")
                assert scrape.total("iris_stream_guarantee", guarantee="exactly_once") == 0
                async with sidecar(*stream) as other:
                    await counts_exactly(other, counter, BURST)
                    if kind == "socket.io":
                        assert (await other.scrape()).value(counter, event="odd") == BURST / 2
                sent = [json.loads(line) for program in (first, second) for line in program.stdout]
                assert sum(line.get("sent", 0) for line in sent) == 5 * BURST


NUMBERS = """\
mappings:
  numbers:
    namespace: numbers
    cursor: {path: meta.id, order: number, rewind: {by: 3}, resume: {header: Last-Event-ID}}
    messages:
      - kind: number
        event: number
        id: $.n
        metrics: [{name: seen_total, type: counter, help: Numbers., labels: {kind: $.kind}}]
"""


@pytest.mark.needs("sse-starlette")
async def test_sse_starlette_is_counted_once_over_ends_and_restarts(tmp_path: Path) -> None:
    """Each connection ends after fifteen events; the server is restarted with more of them, and so is the sidecar."""
    port = free_port()
    command, packages = (sys.executable, SERVERS / "starlette_numbers.py", str(port)), tool("sse-starlette")
    options = (
        f"--stream.url=http://127.0.0.1:{port}/numbers",
        "--stream.mapping=numbers",
        configured(tmp_path, NUMBERS),
        f"--state.dir={tmp_path / 'state'}",
        *QUICK,
    )
    async with sidecar(*options) as exporter:
        async with server(*command, "1", "50", PYTHONPATH=packages):
            await counts_exactly(exporter, "numbers_seen_total", 50)
        async with server(*command, "1", "70", PYTHONPATH=packages):
            await counts_exactly(exporter, "numbers_seen_total", 70)
        scrape = await exporter.scrape()
        assert scrape.total("iris_stream_guarantee", guarantee="exactly_once") == 1
        assert scrape.total("iris_stream_resumes_total", outcome="full") > 0
        await scraped(exporter)
    async with server(*command, "1", "90", PYTHONPATH=packages), sidecar(*options) as other:
        await counts_exactly(other, "numbers_seen_total", 20)


async def scraped(exporter: Sidecar) -> None:
    """Scrape as Prometheus does, so that the cursor is written."""
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
    async with aiohttp.ClientSession() as http, http.get(f"{exporter.url}/metrics", headers=headers) as response:
        assert response.status == 200
        await response.read()


TICKS = """\
mappings:
  ticks:
    namespace: ticks
    cursor: {path: $.n, order: number, gaps: count}
    messages:
      - kind: tick
        id: $.n
        metrics:
          - {name: seen_total, type: counter, help: Ticks.}
          - {name: last, type: gauge, help: The last one., value: $.n}
"""
FLOW = [
    {"id": "t", "type": "tab", "label": "ticks"},
    {"id": "l", "type": "websocket-listener", "path": "/ticks", "wholemsg": "false"},
    {"id": "i", "z": "t", "type": "inject", "repeat": "0.05", "once": True, "payloadType": "date", "wires": [["f"]]},
    {
        "id": "f",
        "z": "t",
        "type": "function",
        "func": "const n = (context.get('n') || 0) + 1; context.set('n', n);\n"
        "msg.payload = JSON.stringify({n}); return msg;",
        "outputs": 1,
        "wires": [["o"]],
    },
    {"id": "o", "z": "t", "type": "websocket out", "server": "l", "client": "", "wires": []},
]


@pytest.mark.needs("node", "stream-servers")
async def test_a_flow_of_node_red_is_counted_and_what_passed_during_a_cut_is_missing_to_the_tick(
    tmp_path: Path,
) -> None:
    port = free_port()
    (tmp_path / "flows.json").write_text(json.dumps(FLOW))
    (tmp_path / "settings.js").write_text("module.exports = {logging: {console: {level: 'warn'}}};")
    program = (tool("node"), "-r", LOOPBACK, REAL / "node-red/red.js", "--port", str(port), "--userDir", tmp_path)
    async with running(*program, tmp_path / "flows.json"), FaultProxy(port) as proxy:
        await answers(f"http://127.0.0.1:{port}/")
        options = (
            f"--stream.url={proxy.url.replace('http', 'ws')}/ticks",
            "--stream.mapping=ticks",
            configured(tmp_path, TICKS),
        )
        async with sidecar(*options, *QUICK) as exporter:
            await exporter.counts("ticks_seen_total", 20, seconds=30)
            first = await exporter.scrape()
            begun = first.total("ticks_last") - first.total("ticks_seen_total")
            for _ in "ab":
                before = (await exporter.scrape()).total("ticks_seen_total")
                proxy.refuse()
                proxy.cut()
                await asyncio.sleep(0.4)  # some eight ticks, which nobody can have any more
                await proxy.lift()
                await exporter.counts("ticks_seen_total", before + 20, seconds=30)
            scrape = await exporter.scrape()
            gaps = scrape.total("iris_stream_event_gaps_total")
            assert gaps >= 2
            assert scrape.total("ticks_seen_total") + gaps + begun == scrape.total("ticks_last")


async def answers(url: str) -> None:
    """Wait until something is there."""

    async def check() -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(url) as response:
                return response.status < 500
        except aiohttp.ClientError:
            return False

    await wait_until(check, f"an answer at {url}", 60)


SENDER = "ws.XX"
"""What Signal K calls a client of its WebSocket that has not given its name."""


@asynccontextmanager
async def signal_k(port: int, directory: Path) -> AsyncIterator[None]:
    """A Signal K server without anything that would send values by itself."""
    settings = {"mdns": False, "interfaces": {"nmea-tcp": False, "tcp": False}, "pipedProviders": []}
    (directory / "settings.json").write_text(json.dumps(settings))
    environment = {"PORT": str(port), "TCPSTREAMPORT": str(free_port()), "SIGNALK_NODE_CONFIG_DIR": str(directory)}
    program = (tool("node"), "-r", LOOPBACK, REAL / "signalk-server/bin/signalk-server")
    async with running(*program, environment=environment):
        await answers(f"http://127.0.0.1:{port}/signalk")
        yield


@asynccontextmanager
async def deltas(port: int, first: int, count: int) -> AsyncIterator[None]:
    """A sensor, still connected, whose deltas are sent: depths from `first` on, two values in each, and no answer."""
    stream = f"ws://127.0.0.1:{port}/signalk/v1/stream?subscribe=none"
    async with aiohttp.ClientSession() as http, http.ws_connect(stream) as socket:
        for depth in range(first, first + count):
            values = {"environment.depth.belowKeel": depth, "steering.mode": "auto"}
            listed = [{"path": path, "value": value} for path, value in values.items()]
            updates = [{"source": {"label": "sounder"}, "values": listed}]
            await socket.send_json({"context": "vessels.urn:mrn:imo:mmsi:900000001", "updates": updates})
        yield


@pytest.mark.needs("node", "stream-servers")
async def test_a_signal_k_server_is_counted_over_cuts_and_restarts(tmp_path: Path) -> None:
    """Twenty deltas before and after a cut, in each of two lives of the server; then the sidecar is restarted."""
    port = free_port()
    async with FaultProxy(port) as proxy:
        options = (
            f"--stream.url={proxy.url.replace('http', 'ws')}/signalk/v1/stream?subscribe=all&sendCachedValues=false",
            "--stream.mapping=signalk",
            *QUICK,
        )
        sent = 0
        async with sidecar(*options) as exporter:
            for _ in "ab":
                async with signal_k(port, tmp_path):
                    for cut in (False, True):
                        if cut:
                            before = (await exporter.scrape()).total("iris_stream_disconnects_total")
                            proxy.cut()
                            await exporter.counts("iris_stream_disconnects_total", before + 1, seconds=30)
                        await exporter.reaches("live", 60)
                        async with deltas(port, sent, 20):
                            sent += 20
                            await counts_values(exporter, 2 * sent, sent - 1)
        async with signal_k(port, tmp_path), sidecar(*options) as other:
            await other.reaches("live", 60)
            async with deltas(port, sent, 20):
                await counts_values(other, 40, sent + 19)


async def counts_values(exporter: Sidecar, wanted: int, last: int) -> None:
    """Those that a client sent are counted, over two scrapes more as well: the server has some under its own name."""

    async def check() -> bool:
        return (await exporter.scrape()).total("signalk_updates_total", source=SENDER) >= wanted

    await wait_until(check, f"{wanted} values", 30)
    for _ in "ab":
        await asyncio.sleep(0.3)
        scrape = await exporter.scrape()
        assert scrape.total("signalk_updates_total", source=SENDER) == wanted
    assert scrape.value("signalk_value", path="environment.depth.belowKeel") == last
    assert scrape.total("iris_stream_decode_errors_total") == 0
    assert scrape.total("iris_stream_mapping_problems_total") == 0


@pytest.mark.needs("etcd", "kube-apiserver")
async def test_the_events_of_a_kube_apiserver_are_counted_once_over_cuts_and_restarts(tmp_path: Path) -> None:
    key = tmp_path / "token"
    key.write_text(ADMIN_TOKEN)
    state = tmp_path / "state"
    (tmp_path / "cluster").mkdir()
    async with cluster(tmp_path / "cluster") as kubernetes:
        await kubernetes.namespace("watched")
        options = (
            f"--stream.url={kubernetes.url}/api/v1/namespaces/watched/events?watch=1&allowWatchBookmarks=true",
            "--stream.mapping=kubernetes-events",
            f"--stream.api-key-file={key}",
            f"--stream.tls-ca-file={kubernetes.ca_file}",
            f"--state.dir={state}",
            *QUICK,
        )
        async with sidecar(*options, secrets=(ADMIN_TOKEN,)) as exporter:
            await exporter.reaches("live", 30)
            await happen(kubernetes, 1, 20)
            await counts_exactly(exporter, "kube_event_seen_total", 20)
            await exporter.post("/api/v1/streams/default/disconnect")
            await happen(kubernetes, 21, 30)
            await exporter.post("/api/v1/streams/default/connect")
            await counts_exactly(exporter, "kube_event_seen_total", 30)
            await scraped(exporter)
        await happen(kubernetes, 31, 45)
        async with sidecar(*options, secrets=(ADMIN_TOKEN,)) as other:
            await counts_exactly(other, "kube_event_seen_total", 15)
            scrape = await other.scrape()
            assert scrape.value("kube_event_seen_total", reason="BackOff", type="Warning") == 15


@pytest.mark.needs("etcd", "kube-apiserver")
async def test_a_watch_that_ends_goes_on_and_one_that_is_too_old_begins_anew(tmp_path: Path) -> None:
    """An event that is there all the time is counted once; one that came and went unseen is missed, and said to be."""
    key = tmp_path / "token"
    key.write_text(ADMIN_TOKEN)
    (tmp_path / "cluster").mkdir()
    events = "/api/v1/namespaces/watched/events"
    async with cluster(tmp_path / "cluster") as kubernetes:
        await kubernetes.namespace("watched")
        options = (
            f"--stream.url={kubernetes.url}{events}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1",
            "--stream.mapping=kubernetes-events",
            f"--stream.api-key-file={key}",
            f"--stream.tls-ca-file={kubernetes.ca_file}",
            *QUICK,
        )
        async with sidecar(*options, secrets=(ADMIN_TOKEN,)) as exporter:
            await exporter.reaches("live", 30)
            for number in range(1, 21):  # over some ends of the watch
                await happen(kubernetes, number, number)
                if number % 5 == 0:
                    await exporter.counts("kube_event_seen_total", number, seconds=30)
                    ends = (await exporter.scrape()).total("iris_stream_disconnects_total", reason="closed")
                    await exporter.counts("iris_stream_disconnects_total", ends + 1, seconds=30, reason="closed")
            await counts_exactly(exporter, "kube_event_seen_total", 20)
            assert (await exporter.scrape()).total("iris_stream_guarantee", guarantee="exactly_once") == 1

            await exporter.post("/api/v1/streams/default/disconnect")
            await exporter.reaches("disconnected", 30)
            await happen(kubernetes, 21, 31)
            status, answer = await kubernetes.request("DELETE", f"{events}/web-0.31")
            assert status == 200, answer
            await kubernetes.forget_history()
            await exporter.post("/api/v1/streams/default/connect")
            await counts_exactly(exporter, "kube_event_seen_total", 30)
            scrape = await exporter.scrape()
            assert scrape.total("iris_stream_resumes_total", outcome="none") == 1
            assert scrape.total("iris_stream_guarantee", guarantee="at_most_once") == 1
            assert exporter.log(event="stream.guarantee_weakened", guarantee="at_most_once")


async def happen(kubernetes: Cluster, first: int, last: int) -> None:
    """Create events with these numbers."""
    for number in range(first, last + 1):
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"web-0.{number}", "namespace": "watched"},
            "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "watched"},
            "reason": "BackOff",
            "message": f"number {number}",
            "type": "Warning",
            "count": 1,
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
        await kubernetes.make("/api/v1/namespaces/watched/events", event)
