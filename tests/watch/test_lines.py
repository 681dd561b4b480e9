"""A line for each change, for people and for machines."""

import asyncio
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from iris_exporter.core.failures import Failure
from iris_exporter.errors import IrisExporterError
from iris_exporter.watch.lines import write_lines
from iris_exporter.watch.source import Down, Unreadable, Up
from iris_exporter.watch.view.changes import Kind
from iris_exporter.watch.view.objects import Lost
from tests.fakes import FakeClock
from tests.waiting import until
from tests.watch.fakes import FakeSource
from tests.watch.samples import NOW, connecting, event, overview, project, snapshot, stream

URL = "http://sidecar.test:14747"
PAGE = Path(__file__).parents[2] / "docs/watch.md"
EVERYTHING = (
    Down(Failure("connection_refused", "nothing listens there"), 1, 1.5), Up(0.0),
    snapshot(stream("main"), connecting("eu")), event(1), Lost(3), Unreadable("not a message"),
)  # fmt: skip


async def written(source: FakeSource, capsys: pytest.CaptureFixture[str], lines: int, *, as_json: bool) -> list[str]:
    """So many lines."""
    out = ""
    task = asyncio.ensure_future(write_lines(URL, source, FakeClock(NOW), as_json=as_json))

    def has_them() -> bool:
        nonlocal out
        out += capsys.readouterr().out
        return out.count("\n") >= lines or task.done()

    await until(has_them)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return out.splitlines()


def everything() -> FakeSource:
    return FakeSource(*EVERYTHING, main=overview(projects=[project("checkout")]))


async def test_every_change_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = await written(everything(), capsys, 10, as_json=False)
    assert [line.removeprefix("2023-11-14T22:13:20.000Z ") for line in found] == [
        f"- sidecar {URL}: connection_refused: nothing listens there; next attempt in 2 s",
        f"- sidecar {URL} answers",
        "main stream live (websocket, protobuf, deflate)",
        "eu stream connecting, attempt 3, next in 12 s: connection_refused: iris.test:443",
        "main event warning checkout evaluation: evaluation 1 finished",
        "- gap 3 events not shown here: they were read too slowly",
        "- unreadable not a message",
        "eu unreadable figures and projects cannot be had: not_found: no overview",
        "main cards Active Runs 347, Success Rate 92.4 %, Active Experts 17, Total Projects 3",
        "main project Checkout is healthy",
    ]


async def test_the_objects_are_those_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/watch.md has a row for each kind, with the keys that its objects have."""
    rows = re.findall(r"^\| `(\w+)` \| .* \| ((?:`\w+`(?:, )?)+)[^|]*\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    documented = {kind: set(re.findall(r"`(\w+)`", keys)) for kind, keys in rows}
    assert documented.keys() == {kind.value for kind in Kind}
    for line in await written(everything(), capsys, 10, as_json=True):
        found = json.loads(line)
        assert list(found)[:3] == ["time", "kind", "stream"]
        assert found.keys() - {"time", "kind", "stream"} <= documented[found["kind"]]
        optional = {"reason", "detail", "attempt", "next_attempt_in_seconds"} if found["kind"] == "sidecar" else set()
        assert documented[found["kind"]] - optional <= found.keys()


class Pipe(io.StringIO):
    """A pipe that fails."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    @override
    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "raised"), [(BrokenPipeError(), BrokenPipeError), (OSError(28, "No space left"), IrisExporterError)]
)  # fmt: skip
@pytest.mark.parametrize("make", [everything, lambda: FakeSource(snapshot(stream()))], ids=["sidecar", "direct"])
async def test_a_reader_that_has_gone_ends_it(
    error: OSError, raised: type[Exception], make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Pipe(error))
    monkeypatch.setattr("iris_exporter.watch.lines.discard_output", lambda: None)
    with pytest.raises(raised):
        await write_lines(URL, make(), FakeClock(NOW), as_json=False)


async def test_what_the_source_raises_comes_out() -> None:
    source = FakeSource()
    source.error = IrisExporterError("the end")
    source.wake.set()
    with pytest.raises(IrisExporterError, match="the end"):
        await write_lines(URL, source, FakeClock(NOW), as_json=False)


async def test_figures_of_more_streams_than_the_limit_are_not_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris_exporter.watch.lines.MAX_STREAMS", 2)
    streams = [stream(name) for name in ("a", "b", "c")]
    source = FakeSource(Up(0.0), snapshot(*streams), **{each.name: overview(projects=[]) for each in streams})
    await written(source, capsys, 6, as_json=False)
    assert source.calls == ["overview a", "overview b"]
