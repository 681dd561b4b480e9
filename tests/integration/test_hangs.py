"""Files, disks and resolvers that never answer: scrapes do, and SIGTERM ends the process within five seconds."""

import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.examples import cases
from tests.integration.harness import HERE, Sidecar, sidecar
from tests.integration.reference import reference_backend

SCRAPER = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
QUICK = ("--stream.reconnect-initial=50ms", "--stream.reconnect-max=100ms")
STREAMS = 20
NOBODY = ("127.0.0.153", 53)

pytestmark = pytest.mark.integration


def hang(path: Path) -> None:
    """Let whoever opens `path` wait for ever: a pipe without its other end."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


async def eight_scrapes(exporter: Sidecar) -> None:
    for _ in range(8):
        await exporter.get("/metrics", **SCRAPER)
    await exporter.get("/-/healthy")


def configuration(directory: Path, url: str) -> Path:
    """Twenty streams with a key file each, and a good one without."""
    lines = ["streams:", "  - name: good", f"    url: {url}/api/stream/events"]
    for number in range(STREAMS):
        key = directory / f"key-{number}"
        key.write_text("key-of-a-stream-4713\n")
        lines += [
            f"  - name: bad-{number}",
            f"    url: {url}/api/stream/overview?n={number}",
            f"    api-key-file: {key}",
        ]
    path = directory / "iris.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


async def test_key_files_that_hang_concern_their_own_streams_alone(tmp_path: Path) -> None:
    async with reference_backend("--rate=20") as backend:
        path = configuration(tmp_path, backend.url)
        options = (f"--config.file={path}", f"--state.dir={tmp_path / 'state'}")
        async with sidecar(*options, secrets=("key-of-a-stream-4713",)) as exporter:
            await exporter.counts("iris_up", STREAMS + 1)
            for number in range(STREAMS):
                hang(tmp_path / f"key-{number}")
                await exporter.post(f"/api/v1/streams/bad-{number}/reset")
            await eight_scrapes(exporter)
            await exporter.counts("iris_stream_connect_failures_total", STREAMS, seconds=30, reason="credentials")
            scrape = await exporter.counts("iris_exporter_blocking_stuck_threads", STREAMS, seconds=30, pool="files")
            assert scrape.value("iris_up", stream="good") == 1
            await eight_scrapes(exporter)


async def state_hangs(directory: Path, exporter: Sidecar) -> None:
    hang(directory / "state" / "default.cursor.next")
    await eight_scrapes(exporter)
    await exporter.counts("iris_exporter_state_commit_failures_total", 1)
    await exporter.counts("iris_exporter_blocking_stuck_threads", 1, pool="state")
    await exporter.counts("iris_exporter_failure_info", 1, part="state", reason="hangs")


async def configuration_hangs(directory: Path, exporter: Sidecar) -> None:
    hang(directory / "iris.yaml")
    answer = await exporter.post("/-/reload", 400)
    assert "no answer within" in answer
    answer = await exporter.post("/-/reload", 400)
    assert "an earlier access" in answer
    assert (await exporter.scrape()).value("iris_exporter_config_last_reload_successful") == 0
    await exporter.counts("iris_exporter_failure_info", 1, part="config", reason="hangs")


async def web_configuration_hangs(directory: Path, exporter: Sidecar) -> None:
    hang(directory / "web.yaml")
    await eight_scrapes(exporter)
    await exporter.counts("iris_exporter_blocking_stuck_threads", 1, seconds=30, pool="config")
    scrape = await exporter.scrape()
    assert scrape.value("iris_exporter_web_config_last_reload_successful") == 0
    await exporter.counts("iris_exporter_failure_info", 1, part="web_config", reason="hangs")


async def a_file_of_discovery_hangs(directory: Path, exporter: Sidecar) -> None:
    hang(directory / "found" / "a.yaml")
    await exporter.counts("iris_exporter_discovery_failures_total", 1, seconds=30, source="files")
    other = directory / "found" / "b.yaml"
    other.write_text("- {name: later, url: 'http://127.0.0.1:9/api/stream/events', protocol: sse}\n")
    await exporter.counts("iris_exporter_discovered_streams", 1, source="files")
    await exporter.counts("iris_exporter_failure_info", 1, part="discovery_files", reason="hangs")
    await eight_scrapes(exporter)


HANGS: dict[str, Callable[[Path, Sidecar], Awaitable[None]]] = {
    "state": state_hangs,
    "configuration": configuration_hangs,
    "web configuration": web_configuration_hangs,
    "discovery": a_file_of_discovery_hangs,
}


@pytest.mark.parametrize("name", cases(HANGS, quick={"state"}))
async def test_a_file_that_hangs_keeps_nobody_waiting(name: str, tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "web.yaml").write_text("{}\n")
    async with reference_backend("--rate=20") as backend:
        (tmp_path / "iris.yaml").write_text(f"stream: {{url: {backend.stream('overview')}}}\n")
        options = (
            f"--config.file={tmp_path / 'iris.yaml'}",
            f"--web.config.file={tmp_path / 'web.yaml'}",
            f"--state.dir={tmp_path / 'state'}",
            f"--discovery.files={tmp_path / 'found'}/*.yaml",
            "--discovery.files-interval=200ms",
        )
        async with sidecar(*options) as exporter:
            await exporter.reaches("live")
            await HANGS[name](tmp_path, exporter)


@contextmanager
def silent_resolver(directory: Path) -> Iterator[tuple[str, ...]]:
    """The sidecar's command, in a mount namespace whose resolver swallows every question."""
    resolver = directory / "resolv.conf"
    resolver.write_text(f"nameserver {NOBODY[0]}\n")
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as sink:
        sink.bind(NOBODY)
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        yield ("unshare", "--mount", "sh", "-c", script, str(resolver), *HERE)


@pytest.mark.slow
@pytest.mark.needs("root-with-cgroup-v1", "unshare")
async def test_names_that_nobody_answers_for_hold_up_nothing(tmp_path: Path) -> None:
    async with reference_backend("--rate=20") as backend:
        lines = ["streams:", "  - name: default", f"    url: {backend.url}/api/stream/events"]
        for number in range(STREAMS):
            lines += [f"  - name: bad-{number}", f"    url: http://source-{number}.example/api/stream/events"]
        (tmp_path / "iris.yaml").write_text("\n".join(lines) + "\n")
        options = (f"--config.file={tmp_path / 'iris.yaml'}", f"--state.dir={tmp_path / 'state'}")
        with silent_resolver(tmp_path) as program:
            async with sidecar(*options, program=program) as exporter:
                await exporter.counts("iris_up", 1, stream="default")
                await eight_scrapes(exporter)
                await exporter.counts("iris_stream_connect_failures_total", STREAMS, seconds=40)
                await eight_scrapes(exporter)
