"""`--config.watch` with real files, as editors and the kubelet change them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from iris_exporter import config
from iris_exporter.app import Exporter
from iris_exporter.config.watch import INTERVAL_SECONDS
from iris_exporter.core.file_watch import RETRY_CHECKS
from iris_exporter.errors import ConfigError
from iris_exporter.instruments import catalog
from iris_exporter.settings import Settings
from tests.fakes import FakeClock
from tests.waiting import until


def text(*names: str, more: str = "") -> str:
    """A configuration with streams that are never reached."""
    streams = [{"name": name, "url": f"http://127.0.0.1:1/{name}"} for name in names]
    return json.dumps({"streams": streams}) + "\n" + more


class Clock(FakeClock):
    """Counts how often the watch has gone to sleep, which is when a check has ended."""

    checks = 0

    async def sleep(self, seconds: float) -> None:
        self.checks += seconds == INTERVAL_SECONDS
        await super().sleep(seconds)


class Watched:
    """An exporter on a fake clock, whose file the test changes."""

    def __init__(self, exporter: Exporter, clock: Clock, loads: list[bool]) -> None:
        self.exporter = exporter
        self.loads = loads  # whether each attempt could be used
        self._clock = clock

    @property
    def names(self) -> list[str]:
        return list(self.exporter.streams())

    async def checks(self, count: int) -> None:
        """Let so many checks pass, each to its end: checking and loading happen in threads."""
        for _ in range(count):
            await until(lambda: self._clock.checks > 0)
            ended = self._clock.checks
            await self._clock.advance(INTERVAL_SECONDS)
            await until(lambda: self._clock.checks > ended)  # noqa: B023 (at once)


@asynccontextmanager
async def watched(path: Path) -> AsyncIterator[Watched]:
    flags: dict[str, object] = {"config.file": str(path), "config.watch": "true", "web.listen-address": ["127.0.0.1:0"]}
    loads: list[bool] = []

    def load() -> Settings:
        loads.append(False)
        settings = config.load(flags, {})
        loads[-1] = True
        return settings

    clock = Clock()
    async with Exporter(config.load(flags, {}), load, clock=clock) as exporter:
        yield Watched(exporter, clock, loads)


def write(path: Path, content: str) -> None:
    path.write_text(content)


def replace_file(path: Path, content: str) -> None:
    """As editors save."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.replace(path)


def swap_link(path: Path, content: str) -> None:
    """As the kubelet changes a ConfigMap: a new directory, and the link `..data` swapped to it in one step."""
    data = path.parent / "..data"
    number = int(data.readlink().name.removeprefix("..version")) + 1
    directory = path.parent / f"..version{number}"
    directory.mkdir()
    (directory / path.name).write_text(content)
    link = path.parent / "..data_tmp"
    link.symlink_to(directory.name)
    link.replace(data)


def config_map(directory: Path) -> Path:
    """A mounted ConfigMap."""
    (directory / "..version1").mkdir()
    (directory / "..version1/iris.yaml").write_text(text("a"))
    (directory / "..data").symlink_to("..version1")
    path = directory / "iris.yaml"
    path.symlink_to("..data/iris.yaml")
    return path


@pytest.mark.parametrize("change", [write, replace_file, swap_link], ids=["written", "replaced", "config map"])
async def test_a_changed_file_is_taken_over(tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    path = config_map(tmp_path) if change is swap_link else tmp_path / "iris.yaml"
    if change is not swap_link:
        path.write_text(text("a"))
    async with watched(path) as sidecar:
        await sidecar.checks(3)
        assert (sidecar.names, sidecar.loads) == (["a"], [])
        for names in (["a", "b"], ["b"]):
            change(path, text(*names))
            await sidecar.checks(2)
            assert sidecar.names == names
        await sidecar.checks(3)
        assert sidecar.loads == [True, True]


async def test_a_broken_file_changes_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again, in silence; the gauge shows it until the file is right again, be it the old one."""
    path = tmp_path / "iris.yaml"
    path.write_text(text("a"))
    async with watched(path) as sidecar:
        path.write_text(text("a", more="x: y\n"))
        await sidecar.checks(2 + 2 * RETRY_CHECKS)
        assert sidecar.names == ["a"]
        assert sidecar.loads == [False] * 3
        assert metric(sidecar) == 0
        assert [record.message for record in caplog.records].count("config.rejected") == 1
        path.write_text(text("a"))
        await sidecar.checks(2)
        assert metric(sidecar) == 1


async def test_a_file_that_is_refused_for_another_is_tried_again(tmp_path: Path) -> None:
    """A Secret that arrives after the ConfigMap that names it."""
    path, key = tmp_path / "iris.yaml", tmp_path / "key"
    path.write_text(text("a"))
    async with watched(path) as sidecar:
        stream = {"name": "b", "url": "http://127.0.0.1:1/b", "api-key-file": str(key)}
        path.write_text(json.dumps({"streams": [stream]}))
        await sidecar.checks(2)
        assert sidecar.names == ["a"]
        key.write_text("0123456789\n")
        await sidecar.checks(RETRY_CHECKS)
        assert sidecar.names == ["b"]


async def test_a_change_between_start_and_first_check_is_seen(tmp_path: Path) -> None:
    """The mark is that of what was read, not of what is there when the watch begins."""
    path = tmp_path / "iris.yaml"
    path.write_text(text("a"))
    flags: dict[str, object] = {"config.file": str(path), "config.watch": "true", "web.listen-address": ["127.0.0.1:0"]}
    loaded = config.load(flags, {})
    path.write_text(text("a", "b"))
    clock = Clock()
    async with Exporter(loaded, lambda: config.load(flags, {}), clock=clock) as exporter:
        sidecar = Watched(exporter, clock, [])
        await sidecar.checks(2)
        assert sidecar.names == ["a", "b"]


async def test_without_the_option_nothing_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "iris.yaml"
    path.write_text(text("a"))
    flags: dict[str, object] = {"config.file": str(path), "web.listen-address": ["127.0.0.1:0"]}
    clock = Clock()
    async with Exporter(config.load(flags, {}), lambda: config.load(flags, {}), clock=clock) as exporter:
        path.write_text(text("b"))
        await clock.advance(10 * INTERVAL_SECONDS)
        await asyncio.to_thread(lambda: None)
        assert list(exporter.streams()) == ["a"]


def test_watching_needs_a_file() -> None:
    with pytest.raises(ConfigError, match=r"--config\.file beside it"):
        config.load({"stream.url": "http://a/", "config.watch": "true"}, {})


def metric(sidecar: Watched) -> float:
    """iris_exporter_config_last_reload_successful."""
    return sidecar.exporter.self_metrics.shown(catalog.RELOAD_SUCCESSFUL)


MAPPING = """\
mappings:
  m:
    namespace: m
    messages: [{kind: change, metrics: [{name: changes_total, type: counter, help: HELP}]}]
"""


async def test_a_changed_file_of_mappings_is_taken_over_by_the_streams_that_use_it(tmp_path: Path) -> None:
    """Of these files a new one counts too, and a broken one changes nothing."""
    path, first, second = tmp_path / "iris.yaml", tmp_path / "map-1.yaml", tmp_path / "map-2.yaml"
    streams = [
        {"name": "a", "url": "http://127.0.0.1:1/a", "mapping": "m"},
        {"name": "b", "url": "http://127.0.0.1:1/b"},
    ]
    path.write_text(json.dumps({"streams": streams, "mapping-files": ["map-*.yaml"]}))
    first.write_text(MAPPING)

    def help_text() -> str:
        mapped = sidecar.exporter.streams()["a"].instruments.mapped
        assert mapped is not None
        return mapped.mapping.metrics[0].help

    async with watched(path) as sidecar:
        await sidecar.checks(3)
        assert (help_text(), sidecar.loads) == ("HELP", [])
        instruments = [stream.instruments for stream in sidecar.exporter.streams().values()]
        first.write_text(MAPPING.replace("HELP", "Changes."))
        await sidecar.checks(2)
        assert (help_text(), sidecar.loads) == ("Changes.", [True])
        first.write_text(MAPPING.replace("counter", "counte"))
        await sidecar.checks(2)
        assert (help_text(), sidecar.loads) == ("Changes.", [True, False])
        first.write_text(MAPPING.replace("HELP", "Changes."))
        second.write_text(MAPPING.replace("  m:", "  other:").replace("namespace: m", "namespace: o"))
        await sidecar.checks(2)
        assert sidecar.loads == [True, False, True]
        assert list(sidecar.exporter.settings.mappings) == ["m", "other"]
        assert [stream.instruments for stream in sidecar.exporter.streams().values()] == instruments, "the same streams"
