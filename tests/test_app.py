"""The sidecar put together, in-process, against the reference backend on real sockets."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from iris_exporter import config
from iris_exporter.app import Exporter, ListenError
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.persistence.stream_locks import StreamLocks
from iris_exporter.settings import Settings
from tests.settings import stream_settings
from tests.waiting import until


def settings(*streams: tuple[str, str], listen: str = "127.0.0.1:0") -> Settings:
    loaded = config.load({"web.listen-address": [listen], "stream.url": "http://127.0.0.1:1/x"}, {})
    chosen = tuple(stream_settings(name=name, url=url, reconnect_initial_seconds=0.05) for name, url in streams)
    return replace(loaded, streams=chosen)


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    async with Backend(BackendSettings(port=0, seed=1, rate=50, update_interval_seconds=0.05)) as running:
        yield running


class Files:
    """What "the configuration on disk" says; an error is raised on load."""

    def __init__(self, now: Settings) -> None:
        self.now: Settings | ConfigError = now

    def load(self) -> Settings:
        if isinstance(self.now, ConfigError):
            raise self.now
        return self.now


async def test_what_the_backend_says_is_in_metrics_whatever_the_transport() -> None:
    async with backend() as source:
        chosen = settings(
            ("ws", source.url.replace("http", "ws") + "/api/stream/overview"),
            ("sse", source.url + "/api/stream/telemetry"),
            ("poll", source.url + "/api/overview"),
        )
        async with Exporter(chosen, lambda: chosen) as exporter, aiohttp.ClientSession() as session:
            streams = exporter.streams()
            await until(lambda: all(stream.snapshot().metrics is not None for stream in streams.values()))
            async with session.get(exporter.addresses[0] + "/metrics") as answer:
                text = await answer.text()
            for name, protocol, state in (
                ("ws", "websocket", "live"),
                ("sse", "sse", "live"),
                ("poll", "poll", "polling"),
            ):
                assert f'iris_up{{stream="{name}"}} 1.0' in text
                assert f'iris_stream_state{{state="{state}",stream="{name}"}} 1.0' in text
                assert f'protocol="{protocol}",stream="{name}"}} 1.0' in text
                assert f'iris_projects{{stream="{name}"}} 6.0' in text
            assert "iris_exporter_config_last_reload_successful 1.0" in text


async def test_no_scrape_is_answered_before_the_streams_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scrape without them would show that every series has ended, however long a file server takes."""
    asked, answered = threading.Event(), threading.Event()

    def acquire(_: StreamLocks, streams: Iterable[str]) -> set[str]:
        asked.set()
        answered.wait()
        return set(streams)

    monkeypatch.setattr(StreamLocks, "acquire", acquire)
    async with backend() as source, aiohttp.ClientSession() as session:
        chosen = replace(settings(("s", source.url + "/api/stream/overview")), state_dir=tmp_path)
        exporter = Exporter(chosen, lambda: chosen)
        starting = asyncio.create_task(exporter.__aenter__())
        await until(asked.is_set)
        assert exporter.addresses == []
        answered.set()
        await starting
        async with session.get(exporter.addresses[0] + "/metrics") as answer:
            text = await answer.text()
        await exporter.__aexit__(None, None, None)
        assert 'iris_up{stream="s"}' in text


async def test_a_reload_touches_only_the_streams_that_changed() -> None:
    async with backend() as source:
        kept, changed, removed, added = (
            (name, f"{source.url}/api/stream/{path}")
            for name, path in (
                ("kept", "overview"),
                ("changed", "events"),
                ("removed", "telemetry"),
                ("added", "telemetry?x"),
            )
        )
        files = Files(settings(kept, changed, removed))
        assert isinstance(files.now, Settings)
        async with Exporter(files.now, files.load) as exporter:
            await until(lambda: all(stream.status().state == "live" for stream in exporter.streams().values()))
            stays = exporter.streams()["kept"]
            since = stays.status().connected_at
            await until(lambda: exporter.streams()["changed"].snapshot().event_counts != {})
            counted = sum(exporter.streams()["changed"].snapshot().event_counts.values())
            files.now = settings(("changed", f"{source.url}/api/stream/events?y"), added, kept)
            await exporter.reload()
            assert list(exporter.streams()) == ["changed", "added", "kept"]
            assert exporter.streams()["kept"] is stays
            assert stays.status().connected_at == since
            assert sum(exporter.streams()["changed"].snapshot().event_counts.values()) >= counted
            await until(lambda: exporter.streams()["changed"].status().state == "live")
            await until(lambda: exporter.streams()["added"].status().state == "live")
            await until(lambda: source.open_connections == 3)


async def test_a_changed_stream_keeps_the_time_of_its_last_failure() -> None:
    async with backend() as source:
        files = Files(settings(("a", f"{source.url}/nothing/here")))
        assert isinstance(files.now, Settings)
        async with Exporter(files.now, files.load) as exporter:
            stream = exporter.streams()["a"]
            await until(lambda: stream.status().failure is not None)
            failed = stream.status().last_failure_at
            files.now = settings(("a", f"{source.url}/api/stream/events"))
            await exporter.reload()
            await until(lambda: stream.status().state == "live")
            status = stream.status()
            assert (status.failure, status.failing_since, status.last_failure_at) == (None, None, failed)


async def test_a_broken_configuration_changes_nothing_and_says_so() -> None:
    async with backend() as source:
        files = Files(settings(("a", source.url + "/api/stream/events")))
        assert isinstance(files.now, Settings)
        async with Exporter(files.now, files.load) as exporter, aiohttp.ClientSession() as session:
            await until(lambda: exporter.streams()["a"].status().state == "live")
            files.now = ConfigError([Problem("iris.yaml", "streams[0].url", "x", "an address")])
            async with session.post(exporter.addresses[0] + "/-/reload") as answer:
                assert answer.status == 400
                assert "streams[0].url" in await answer.text()
            assert exporter.streams()["a"].status().state == "live"
            async with session.get(
                exporter.addresses[0] + "/metrics?name[]=iris_exporter_config_last_reload_successful"
            ) as answer:
                assert "iris_exporter_config_last_reload_successful 0.0" in await answer.text()
            assert exporter.self_metrics.failures() == {"config": "invalid"}
            files.now = settings(("a", source.url + "/api/stream/events"))
            await exporter.reload()
            assert exporter.self_metrics.failures() == {}


async def test_a_mapping_that_asks_for_a_key_which_the_stream_lacks_changes_nothing(tmp_path: Path) -> None:
    async with backend() as source:
        file, url = tmp_path / "iris.yaml", source.url.replace("http", "ws") + "/api/stream/events"
        text = f"""\
web: {{listen-address: ["127.0.0.1:0"]}}
streams: [{{name: a, url: "{url}", mapping: m}}]
mappings:
  m: {{namespace: m, open: [{{send: hello}}], messages: [{{kind: a, role: ack}}]}}
"""
        file.write_text(text)

        def load() -> Settings:
            return config.load({"config.file": str(file)}, {})

        first = load()
        async with Exporter(first, load) as exporter, aiohttp.ClientSession() as session:
            await until(lambda: exporter.streams()["a"].status().state == "live")
            for said, expected in (
                ("${secret}", f"{file}:2: streams[0].mapping: got 'm', expected api-key-file beside the mapping m"),
                ("${secret.b}", f"{file}:2: streams[0].mapping: got 'm', expected secrets with b beside the mapping m"),
                ("${secrte}", f"{file}:4: mappings.m.open[0].send: got '${{secrte}}'"),
                ("${secret", f"{file}:4: mappings.m.open[0].send: got ${{ without }}"),
            ):
                file.write_text(text.replace("hello", f'"{said}"'))
                async with session.post(exporter.addresses[0] + "/-/reload") as answer:
                    assert (answer.status, expected in await answer.text()) == (400, True)
                assert exporter.streams()["a"].status().state == "live"
                assert exporter.streams()["a"].settings is first.streams[0]


async def test_streams_are_closed_with_a_close_frame_and_nothing_is_left() -> None:
    async with backend() as source:
        chosen = settings(("a", source.url.replace("http", "ws") + "/api/stream/events"))
        async with Exporter(chosen, lambda: chosen) as exporter:
            await until(lambda: source.open_connections == 1)
        await until(lambda: source.open_connections == 0)
        assert exporter.streams()["a"].status().state == "disconnected"


async def test_an_address_in_use_is_one_clear_error_and_nothing_is_left() -> None:
    async with backend() as source:
        taken = source.url.removeprefix("http://")
        chosen = settings(("a", source.url + "/api/stream/events"), listen=taken)
        with pytest.raises(ListenError, match=f"cannot listen on {taken}: address already in use"):
            async with Exporter(chosen, lambda: chosen):
                pass
        assert source.opened_connections == 0


async def test_connect_disconnect_and_reset_through_the_api() -> None:
    async with backend() as source, aiohttp.ClientSession() as session:
        chosen = settings(("a", source.url + "/api/stream/overview"))
        async with Exporter(chosen, lambda: chosen) as exporter:
            base = exporter.addresses[0] + "/api/v1/streams/a"
            stream = exporter.streams()["a"]
            await until(lambda: stream.snapshot().metrics is not None)
            async with session.post(base + "/disconnect") as answer:
                assert (await answer.json())["state"] == "disconnected"
            await until(lambda: source.open_connections == 0)
            async with session.post(base + "/connect") as answer:
                assert (await answer.json())["is_connecting"]
            await until(lambda: stream.status().state == "live")
            counted = sum(stream.snapshot().event_counts.values())
            async with session.post(base + "/reset") as answer:
                assert answer.status == 200
            await until(lambda: stream.status().state == "live" and stream.snapshot().metrics is not None)
            assert sum(stream.snapshot().event_counts.values()) >= counted
