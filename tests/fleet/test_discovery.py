"""Streams that come and go: files with swapped links, an HTTP endpoint, annotated Services."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from iris_exporter import config
from iris_exporter.clock import SystemClock
from iris_exporter.core.stream_names import from_address
from iris_exporter.fleet.discovery import files as files_module
from iris_exporter.fleet.discovery.files import FileDiscovery
from iris_exporter.fleet.discovery.http import HttpDiscovery
from iris_exporter.fleet.discovery.kubernetes import KubernetesDiscovery
from iris_exporter.fleet.kubernetes import Access, Kubernetes, KubernetesError, version_of
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.settings import DiscoverySettings, StreamSettings
from tests.fakes import FakeClock
from tests.fleet.api import fake_api
from tests.settings import stream_settings
from tests.waiting import until

OFF = config.load({"stream.url": "http://h/x"}, {}).discovery


class Reported:
    """What a source has reported, and how often something could not be used."""

    def __init__(self) -> None:
        self.lists: list[tuple[StreamSettings, ...]] = []
        self.metrics = SelfMetrics("1", "r", "3")

    def __call__(self, source: str, streams: tuple[StreamSettings, ...]) -> None:
        self.lists.append(streams)

    @property
    def failures(self) -> float:
        return sum(self.metrics.shown(catalog.DISCOVERY_FAILURES)[source] for source in catalog.SOURCES)

    @property
    def failing(self) -> dict[str, str]:
        return self.metrics.failures()

    @property
    def names(self) -> list[str]:
        return [stream.name for stream in self.lists[-1]] if self.lists else []


@asynccontextmanager
async def running(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def files(pattern: Path, **changes: object) -> DiscoverySettings:
    return replace(OFF, files=(str(pattern),), files_interval_seconds=0.01, **changes)  # type: ignore[arg-type]


def write(path: Path, *names: str) -> None:
    path.write_text(json.dumps([{"name": name, "url": f"http://h/{name}"} for name in names]))


async def test_files_of_a_glob_are_read_and_watched(tmp_path: Path) -> None:
    reported = Reported()
    write(tmp_path / "a.yaml", "a1", "a2")
    defaults = stream_settings(poll_interval_seconds=7.0)
    async with running(
        FileDiscovery(files(tmp_path / "*.yaml", defaults=defaults), reported.metrics, SystemClock(), reported).run()
    ):
        await until(lambda: reported.names == ["a1", "a2"])
        assert [stream.poll_interval_seconds for stream in reported.lists[-1]] == [7.0, 7.0]
        (tmp_path / "b.yaml").write_text("- name: b\n  url: ws://h/b\n  protocol: websocket\n  poll-interval: 9s\n")
        await until(lambda: reported.names == ["a1", "a2", "b"])
        assert reported.lists[-1][-1].poll_interval_seconds == 9.0
        (tmp_path / "a.yaml").unlink()
        await until(lambda: reported.names == ["b"])
        count = len(reported.lists)
        (tmp_path / "b.yaml").write_text("[{")
        await until(lambda: reported.failures == 1)
        assert (reported.names, len(reported.lists)) == (["b"], count), "what it said before stays in force"
        await until(lambda: reported.failing == {"discovery_files": "invalid"})
        (tmp_path / "b.yaml").write_text("[]")
        await until(lambda: reported.failing == {})


async def test_the_link_of_a_config_map_is_swapped(tmp_path: Path) -> None:
    """Kubernetes mounts `streams.yaml -> ..data/streams.yaml` and swaps `..data` as a whole."""
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "streams.yaml", version)
    data = tmp_path / "..data"
    data.symlink_to(tmp_path / "v1")
    (tmp_path / "streams.yaml").symlink_to(data / "streams.yaml")
    reported = Reported()
    async with running(FileDiscovery(files(tmp_path / "*.yaml"), reported.metrics, SystemClock(), reported).run()):
        await until(lambda: reported.names == ["v1"])
        (tmp_path / "..new").symlink_to(tmp_path / "v2")
        (tmp_path / "..new").rename(data)
        await until(lambda: reported.names == ["v2"])


async def test_a_bad_entry_takes_no_other_one_with_it(tmp_path: Path) -> None:
    bad = "{name: bad, url: ftp://h}", "7", "{name: worse, url: http://h, pol: 1}", "{}"
    (tmp_path / "a.yaml").write_text(f"[{', '.join(('{name: good, url: http://h/good}', *bad))}]")
    reported = Reported()
    async with running(FileDiscovery(files(tmp_path / "*.yaml"), reported.metrics, SystemClock(), reported).run()):
        await until(lambda: reported.names == ["good"])
        await until(lambda: reported.failing == {"discovery_files": "invalid"})
    assert reported.failures == 4


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EACCES, "no_permission"), (errno.ENOENT, "no_such_file"), (errno.EIO, "disk")]
)
async def test_a_file_that_cannot_be_read_for_a_while_is_shown_for_that_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    """Also when it is the same file afterwards, which is not read again."""
    write(tmp_path / "a.yaml", "a")
    reported = Reported()
    whole = files_module._changed
    async with running(FileDiscovery(files(tmp_path / "*.yaml"), reported.metrics, SystemClock(), reported).run()):
        await until(lambda: reported.names == ["a"])

        def broken(path: Path, before: object) -> object:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(files_module, "_changed", broken)
        await until(lambda: reported.failing == {"discovery_files": reason})
        monkeypatch.setattr(files_module, "_changed", whole)
        await until(lambda: reported.failing == {})
        assert reported.names == ["a"]


async def test_an_entry_is_used_as_soon_as_the_file_that_it_names_is_there(tmp_path: Path) -> None:
    entries = [{"name": name, "url": f"http://h/{name}", "api-key-file": f"{name}.key"} for name in ("a", "b")]
    (tmp_path / "streams.yaml").write_text(json.dumps(entries))
    (tmp_path / "a.key").write_text("s3cret\n")
    reported = Reported()
    async with running(FileDiscovery(files(tmp_path / "*.yaml"), reported.metrics, SystemClock(), reported).run()):
        await until(lambda: reported.names == ["a"])
        (tmp_path / "b.key").write_text("\n")
        await until(lambda: reported.failures == 2)  # it is reported again when it is another problem
        (tmp_path / "b.key").write_text("s3cret\n")
        await until(lambda: reported.names == ["a", "b"])
        await until(lambda: reported.failing == {})
    assert reported.failures == 2


@asynccontextmanager
async def endpoint(answer: list[object]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.Response:
        now = answer[0]
        return web.Response(status=now) if isinstance(now, int) else web.json_response(now)

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_an_endpoint_in_the_form_of_http_sd() -> None:
    groups: list[object] = [
        {
            "targets": ["iris-1:8080", "wss://iris-2/api/stream/events"],
            "labels": {"__scheme__": "https", "__iris_path": "/x", "__iris_poll_interval": "9s", "team": "a"},
        },
        {"targets": ["iris-4:8080"]},
        {"targets": ["iris-3"], "labels": {"__iris_name": "three", "__iris_protocol": "sse"}},
        {"targets": "wrong"},
        "wrong",
    ]
    answer: list[object] = [groups]
    reported = Reported()
    async with endpoint(answer) as url, aiohttp.ClientSession() as session:
        settings = replace(OFF, http=replace(OFF.http, url=url), http_interval_seconds=0.01)
        async with running(HttpDiscovery(settings, reported.metrics, SystemClock(), reported, session).run()):
            names = [
                from_address("https://iris-1:8080/x"),
                from_address("wss://iris-2/api/stream/events"),
                "iris-4-8080",
                "three",
            ]
            await until(lambda: reported.names == names)
            found = reported.lists[-1]
            assert [stream.url for stream in found] == [
                "https://iris-1:8080/x",
                "wss://iris-2/api/stream/events",
                "http://iris-4:8080/api/stream/overview",
                "http://iris-3/api/stream/overview",
            ]
            assert (found[0].poll_interval_seconds, found[3].protocol) == (9.0, "sse")
            assert reported.failures >= 2
            await until(lambda: reported.failing == {"discovery_http": "invalid"})
            for broken, reason in (({"not": "a list"}, "not_json"), (None, "not_json"), (503, "unavailable")):
                answer[0] = broken
                failures = reported.failures
                await until(lambda failures=failures: reported.failures > failures)  # type: ignore[misc]
                expected = {"discovery_http": reason}
                await until(lambda expected=expected: reported.failing == expected)  # type: ignore[misc]
            assert reported.names[-1] == "three", "an endpoint that cannot be used keeps its last list"
            answer[0] = []
            await until(lambda: reported.names == [])
            await until(lambda: reported.failing == {})


async def test_no_secret_of_an_address_is_in_a_name_or_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    targets = [
        "http://h/api/stream/overview?api_key=s3cret-1",
        "http://h/api/stream/overview?api_key=s3cret-2",
        "http://me:s3cret-3@h/x",
        "me:s3cret-3@h",
        "h:80?api_key=s3cret-4",
        "http://h/x#s3cret-5",
    ]
    named = {"targets": ["http://h/y"], "labels": {"__iris_name": "http://h/?token=s3cret-6"}}
    odd = {"targets": ["http://h/z"], "labels": {"__iris_protocol": "http://me:s3cret-7@h/"}}
    unknown = {"targets": ["http://h/u"], "labels": {"__iris_http://h/?token=s3cret-8": "x"}}
    answer: list[object] = [[{"targets": targets}, named, odd, unknown]]
    reported = Reported()
    async with endpoint(answer) as url, aiohttp.ClientSession() as session:
        settings = replace(OFF, http=replace(OFF.http, url=url), http_interval_seconds=60.0)
        async with running(HttpDiscovery(settings, reported.metrics, SystemClock(), reported, session).run()):
            await until(lambda: bool(reported.lists))
    assert len(set(reported.names)) == 3, "two that differ in the key alone are two"
    assert reported.failures == 6
    shown = [str(getattr(record, "event_fields", "")) for record in caplog.records]
    assert len(shown) == 6
    assert "s3cret" not in str([*reported.names, *shown])


async def test_targets_that_look_alike_once_they_are_cut_and_cleaned_are_all_received() -> None:
    long = "x" * 40
    targets = [
        "h/a/b",
        "h/a-b",
        "h:8080",
        "h-8080",
        f"{long}.{long}.a",
        f"{long}.{long}.b",
        "http://h/q?p=1",
        "http://h/q?p=2",
    ]
    labels = [{}, {"__scheme__": "https"}, {"__iris_path": "/other"}]
    answer: list[object] = [[{"targets": targets, "labels": each} for each in labels]]
    reported = Reported()
    async with endpoint(answer) as url, aiohttp.ClientSession() as session:
        settings = replace(OFF, http=replace(OFF.http, url=url), http_interval_seconds=60.0)
        async with running(HttpDiscovery(settings, reported.metrics, SystemClock(), reported, session).run()):
            await until(lambda: bool(reported.lists))
    addresses = {stream.url for stream in reported.lists[-1]}
    assert len({stream.name for stream in reported.lists[-1] if stream.url in addresses}) == len(addresses) == 20


async def test_annotated_services_are_listed_and_watched(tmp_path: Path) -> None:
    (tmp_path / "iris-key").mkdir()
    (tmp_path / "iris-key" / "api-key").write_text("k\n")
    reported = Reported()
    async with fake_api() as api, aiohttp.ClientSession() as session:
        await api.put_service("first", {"scrape": "true"}, 8080)
        await api.put_service("other", {"scrape": "false"})
        settings = replace(OFF, kubernetes="services", namespace="ops", secrets_dir=tmp_path)
        kubernetes = Kubernetes(Access(api.url, "ops", None, None), session)
        async with running(KubernetesDiscovery(settings, reported.metrics, SystemClock(), reported, kubernetes).run()):
            await until(lambda: reported.names == ["ops.first"])
            assert reported.lists[-1][0].url == "http://first.ops.svc:8080/api/stream/overview"
            await api.put_service(
                "second",
                {"scrape": "true", "path": "/ws", "scheme": "wss", "port": "9", "name": "two", "secret": "iris-key"},
            )
            await until(lambda: reported.names == ["ops.first", "two"])
            second = reported.lists[-1][1]
            assert (second.url, second.api_key_file) == (
                "wss://second.ops.svc:9/ws",
                tmp_path / "iris-key" / "api-key",
            )
            await api.put_service("first", None)
            await until(lambda: reported.names == ["two"])
            await api.expire()
            await api.put_service("third", {"scrape": "true"})
            await until(lambda: reported.names == ["two", "ops.third"])
            assert reported.failures == 0, "a watch that is too old is begun again, which is no failure"
            await api.put_service("evil", {"scrape": "true", "secret": "../../etc", "name": "x"})
            await until(lambda: reported.failures == 1)
            assert reported.names == ["two", "ops.third"]
            await api.put_service("unsure", {"scrape": "yes"})
            await until(lambda: reported.failures == 3)  # the evil one is reported of again
            assert reported.names == ["two", "ops.third"]


def pod(name: str, phase: str, address: str | None, **annotations: str) -> dict[str, object]:
    full = {f"iris-exporter.io/{key}": value for key, value in {"scrape": "true", **annotations}.items()}
    return {
        "metadata": {"name": name, "namespace": "ops", "annotations": full},
        "spec": {"containers": [{"ports": [{"containerPort": 8080}]}]},
        "status": {"phase": phase, "podIP": address},
    }


class Pods:
    """An API that has these pods."""

    access = Access("http://h", "ops", None, None)

    def __init__(self, *items: dict[str, object]) -> None:
        self.items = items

    async def get(self, path: str) -> dict[str, object]:
        assert path == "/api/v1/namespaces/ops/pods"
        return {"items": list(self.items), "metadata": {"resourceVersion": "1"}}


async def test_a_pod_names_its_mapping_with_parameters_and_secrets(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house/api-key").write_text("s3cr3t-token")
    file = tmp_path / "iris.yaml"
    file.write_text(
        "mappings: {rooms: {namespace: rooms, open: [{send: '${secret.token} ${param.station} ${param.floor}'}], "
        "messages: [{kind: reading, metrics: [{name: t, type: gauge, help: T., value: $.t}]}]}}\n"
        f"stream: {{url: 'http://127.0.0.1:1/'}}\ndiscovery: {{kubernetes: pods, secrets-dir: '{tmp_path}'}}\n"
    )
    reported = Reported()
    annotations = {"mapping": "rooms", "parameters": "station: north\nfloor: 2\n", "path": "/feed"}
    pods = Pods(
        pod("good", "Running", "10.1.2.3", secrets="token: house", **annotations),
        pod("evil", "Running", "10.1.2.4", secrets="token: ../../etc/passwd", **annotations),
        pod("unknown", "Running", "10.1.2.5", mapping="room"),
    )
    settings = config.load({"config.file": str(file)}, {}).discovery
    source = KubernetesDiscovery(settings, reported.metrics, SystemClock(), reported, pods)  # type: ignore[arg-type]
    await source._list()
    (found,) = reported.lists[-1]
    assert (found.name, found.mapped) == ("ops.good", settings.mappings["rooms"])
    assert found.parameters == (("station", "north"), ("floor", "2"))
    assert found.secrets == (("token", tmp_path / "house/api-key"),)
    assert reported.failures == 2


async def test_a_pod_is_a_stream_while_it_runs_and_has_an_address() -> None:
    reported = Reported()
    pods = Pods(
        pod("runs", "Running", "10.1.2.3"),
        pod("six", "Running", "fd00::7"),
        pod("starts", "Pending", None),
        pod("ended", "Succeeded", "10.1.2.4"),
        pod("broke", "Failed", "10.1.2.5"),
    )
    settings = replace(OFF, kubernetes="pods")
    source = KubernetesDiscovery(settings, reported.metrics, SystemClock(), reported, pods)  # type: ignore[arg-type]
    assert await source._list() == "1"
    assert [(stream.name, stream.url) for stream in reported.lists[-1]] == [
        ("ops.runs", "http://10.1.2.3:8080/api/stream/overview"),
        ("ops.six", "http://[fd00::7]:8080/api/stream/overview"),
    ]
    assert reported.failures == 0


@pytest.mark.parametrize("status", [400, 410])
async def test_a_version_that_is_always_refused_leads_to_new_lists_at_intervals(status: int) -> None:
    lists: list[int] = []

    class Refusing:
        access = Access("http://h", "ops", None, None)

        async def get(self, _path: str) -> dict[str, object]:
            lists.append(1)
            return {"items": [], "metadata": {"resourceVersion": "1"}}

        async def watch(self, _path: str, _version: str) -> AsyncIterator[dict[str, object]]:
            raise KubernetesError(status, "refused")
            yield {}

    reported, clock = Reported(), FakeClock()
    source = KubernetesDiscovery(replace(OFF, kubernetes="pods"), reported.metrics, clock, reported, Refusing())  # type: ignore[arg-type]
    async with running(source.run()):
        await until(lambda: reported.failures == 1)
        assert reported.failing == {"discovery_kubernetes": {400: "http_client_error", 410: "gone"}[status]}
        first = len(lists)
        assert first == (2 if status == 410 else 1)
        await clock.advance(1.0)
        await until(lambda: reported.failures == 2)
        assert len(lists) == first + 1


@pytest.mark.parametrize(
    ("metadata", "version"),
    [
        ({"resourceVersion": "7"}, "7"),
        ({"resourceVersion": "a/b&c=#"}, "a/b&c=#"),
        ({"resourceVersion": 7}, ""),
        ({"resourceVersion": "7" * 257}, ""),
        ({"resourceVersion": "7\r\nX: y"}, ""),
        ({"resourceVersion": "\udcff"}, ""),
        (["resourceVersion"], ""),
        (None, ""),
    ],
)
def test_a_version_that_no_request_can_carry_is_none(metadata: object, version: str) -> None:
    assert version_of({"metadata": metadata}) == version
