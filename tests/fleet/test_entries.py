"""An entry of discovery and one of `streams:` are read alike: what one of them takes or refuses, so does the other."""

import json
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from iris_exporter import config
from iris_exporter.clock import SystemClock
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.errors import ConfigError
from iris_exporter.fleet.discovery.files import FileDiscovery
from iris_exporter.fleet.discovery.http import HttpDiscovery
from iris_exporter.settings import DiscoverySettings, StreamSettings
from tests.fleet.test_discovery import Reported, endpoint, files, running
from tests.settings import stream_settings
from tests.waiting import until

OFF = config.load({"stream.url": "http://h/x"}, {}).discovery

USED = [
    "{name: no, url: http://h/x}",
    "{name: 007, url: http://h/x}",
    "{name: 1.10, url: http://h/x}",
    "{name: 0x1F, url: http://h/x}",
    "{name: 12e3, url: http://h/x}",
    "{name: 2026-11-29, url: http://h/x}",
    "{name: a, url: http://h/x, headers: {X-Tenant: a, X-Number: 007, X-No: no}}",
    "{name: a, url: http://h/x, headers: ['X-Tenant: a']}",
    "{name: a, url: http://h/x, headers: 'X-Tenant: a'}",
    "{name: a, url: http://h/x, reconnect-initial: 5m, reconnect-max: 5m}",
    "{name: a, url: http://h/x, tls-insecure-skip-verify: true, tls-server-name: iris}",
    "{name: a, url: http://h/x, max-message-bytes: 2MiB}",
    "{<<: {name: a, stale-after: 1m}, url: http://h/x, <<: [{name: b}]}",
]
REFUSED = [
    "{name: a}",
    "{url: http://h/x}",
    "{name: ~, url: http://h/x}",
    "{name: [a], url: http://h/x}",
    "{name: {a: b}, url: http://h/x}",
    "{name: a, name: b, url: http://h/x}",
    "{name: !secret a, url: http://h/x}",
    "{name: a, url: http://h/x, poll-interval: 9}",
    "{name: a, url: http://h/x, headers: {}}",
    "{name: a, url: http://h/x, headers: {X-A: ~}}",
    "{name: a, url: http://h/x, headers: []}",
    "{name: a, url: http://h/x, headers: ['X-A: 1', 'x-a: 2']}",
    "{name: a, url: http://h/x, headers: ['X-A: 1', 'X-A: 1']}",
    "{name: a, url: http://h/x, headers: ['Host: a']}",
    "{name: a, url: http://h/x, reconnect-initial: 5m}",
    "{name: a, url: http://h/x, reconnect-max: 1s}",
    "{name: a, url: http://h/x, heartbeat-interval: 60s}",
    "{name: a, url: http://h/x, heartbeat-timeout: 30s}",
    "{name: a, url: ws://h/x, protocol: sse}",
    "{name: a, url: wss://h/x, protocol: poll}",
    "{name: a, url: http://h/x, tls-key-file: streams.yaml}",
    "{name: a, url: http://h/x, tls-ca-file: streams.yaml}",
    "{name: a, url: http://h/x, api-key-file: key, headers: ['Authorization: Bearer x']}",
    "{name: a, url: http://h/x, tls-insecure-skip-verify: yes}",
    "{name: a, url: http://h/x, 7: b}",
    "{<<: 7, name: a, url: http://h/x}",
]


def configured(directory: Path, entry: str) -> StreamSettings | None:
    file = directory / "config.yaml"
    file.write_text(f"streams:\n- {entry}\n- {{name: last, url: http://h/last}}\n")
    try:
        stream, _ = config.load({"config.file": str(file)}, {}, FILE_CHECKS).streams
    except ConfigError:
        return None
    return stream


async def discovered(directory: Path, entry: str) -> tuple[StreamSettings, ...]:
    (directory / "streams.yaml").write_text(f"- {entry}\n- {{name: last, url: http://h/last}}\n")
    reported = Reported()
    async with running(
        FileDiscovery(files(directory / "streams.yaml"), reported.metrics, SystemClock(), reported).run()
    ):
        await until(lambda: bool(reported.lists))
    assert reported.lists[-1][-1].name == "last", "an entry takes no other one with it"
    assert reported.failures == 2 - len(reported.lists[-1])
    return reported.lists[-1][:-1]


@pytest.mark.parametrize("entry", USED)
async def test_what_the_configuration_takes_discovery_takes(entry: str, tmp_path: Path) -> None:
    expected = configured(tmp_path, entry)
    assert expected is not None
    assert await discovered(tmp_path, entry) == (expected,)


@pytest.mark.parametrize("entry", REFUSED)
async def test_what_the_configuration_refuses_discovery_refuses(entry: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "streams.yaml").write_text("")
    assert configured(tmp_path, entry) is None
    assert await discovered(tmp_path, entry) == ()


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"{name: a}", b"a", b"[{", b"- &a [*a]\n- !x y\n"])
async def test_a_file_that_is_no_list_changes_and_ends_nothing(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "streams.yaml"
    file.write_text("[{name: a, url: http://h/a}]")
    reported = Reported()
    async with running(FileDiscovery(files(file), reported.metrics, SystemClock(), reported).run()):
        await until(lambda: reported.names == ["a"])
        file.write_bytes(content)
        await until(lambda: reported.failures > 0)
        file.write_text("[{name: b, url: http://h/b}]")
        await until(lambda: reported.names == ["b"])


async def test_defaults_that_do_not_fit_an_entry_are_named_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    defaults = stream_settings(reconnect_initial_seconds=120.0, reconnect_max_seconds=60.0)
    (tmp_path / "a.yaml").write_text("- {name: a, url: http://h/a}\n- {name: b, url: http://h/b, reconnect-max: 5m}\n")
    reported = Reported()
    settings = files(tmp_path / "a.yaml", defaults=defaults)
    async with running(FileDiscovery(settings, reported.metrics, SystemClock(), reported).run()):
        await until(lambda: reported.names == ["b"])
    (record,) = caplog.records
    problem = record.event_fields["problem"]  # type: ignore[attr-defined]
    assert problem == (
        f"{tmp_path}/a.yaml:1: [0].reconnect-max: got '1m', expected at least reconnect-initial, which is 2m"
    )


def http_settings(url: str) -> DiscoverySettings:
    return replace(OFF, http=replace(OFF.http, url=url), http_interval_seconds=60.0)


async def test_labels_are_read_as_variables_are() -> None:
    labels = {
        "__iris_name": 7,
        "__iris_headers": "X-A: 1\nX-B: 2",
        "__iris_tls_insecure_skip_verify": True,
        "__iris_reconnect_jitter": 0.10,
    }
    bad = {"__iris_reconnect_initial": "5m"}, {"__iris_stale_after": None}, {"__iris_headers": "X-A: 1\nx-a: 2"}
    groups: list[object] = [{"targets": ["h:80"], "labels": each} for each in (labels, *bad)]
    reported = Reported()
    async with (
        endpoint([groups]) as url,
        aiohttp.ClientSession() as session,
        running(HttpDiscovery(http_settings(url), reported.metrics, SystemClock(), reported, session).run()),
    ):
        await until(lambda: bool(reported.lists))
    (stream,) = reported.lists[-1]
    assert (stream.name, stream.headers) == ("7", (("X-A", "1"), ("X-B", "2")))
    assert (stream.tls_insecure_skip_verify, stream.reconnect_jitter) == (True, 0.1)
    assert reported.failures == len(bad)


async def test_an_endpoint_that_nests_without_end_is_a_failure() -> None:

    answer: list[object] = [web.Response(text="[" * 100_000, content_type="application/json")]
    reported = Reported()
    async with endpoint(answer) as url, aiohttp.ClientSession() as session:
        settings = replace(http_settings(url), http_interval_seconds=0.01)
        async with running(HttpDiscovery(settings, reported.metrics, SystemClock(), reported, session).run()):
            await until(lambda: reported.failures > 0)
            answer[0] = json.loads('[{"targets": ["h:8080"]}]')
            await until(lambda: reported.names == ["h-8080"])
