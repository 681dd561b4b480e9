"""The first things of the overview, asked of Prometheus's own engine: how many are live, and which stream is worst."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dashboards.overview import FIGURES, figure_change, figure_now
from dashboards.shared_panels import STATES_TITLE
from iris_exporter.core.status import State
from iris_exporter.model.snapshot import DataFlow
from tests.contract import boards
from tests.tools import tool

NOW = 7200
"""Seconds from the first sample to the question."""
STEP = 15
BILLION = 1_000_000_000
BOARD = boards.load()["iris-overview"]

pytestmark = pytest.mark.needs("promtool")


def expression(title: str, ref: str = "A") -> str:
    (panel,) = (found for found in boards.panels(BOARD) if found["title"] == title)
    (target,) = (found for found in panel["targets"] if found["refId"] == ref)
    return boards.plain(target["expr"])


@dataclass(frozen=True)
class Stream:
    """A stream as it has been for `seconds`."""

    name: str
    state: State
    seconds: int
    reason: str = ""
    flow: DataFlow = DataFlow.FLOWING
    scraped: bool = True
    exporter: str = "here"

    @property
    def labels(self) -> str:
        # Each series has labels of its target beyond job and instance, as in a cluster.
        return f'job="iris", instance="{self.instance}", pod="p", stream="{self.name}"'

    @property
    def instance(self) -> str:
        return f"{self.exporter}:14747" if self.scraped else "away:14747"

    def series(self) -> list[dict[str, str]]:
        found = [
            (f'iris_stream_state{{{self.labels}, state="{state.value}"}}', int(state is self.state)) for state in State
        ]
        connected = self.state in (State.LIVE, State.POLLING)
        found += [
            (f'iris_stream_data_flow{{{self.labels}, flow="{flow.value}"}}', int(connected and flow is self.flow))
            for flow in DataFlow
        ]
        found.append((f"iris_stream_state_changed_timestamp_seconds{{{self.labels}}}", NOW - self.seconds))
        if self.reason:
            found.append((f'iris_stream_failure_info{{{self.labels}, reason="{self.reason}"}}', 1))
        return [_series(name, value, until=NOW if self.scraped else NOW - 600) for name, value in found]


def _series(name: str, value: float, until: int = NOW, since: int = 0) -> dict[str, str]:
    before, during, after = since // STEP, (until - since) // STEP, (NOW - until) // STEP
    return {"series": name, "values": f"_x{before} {value}x{during} " + ("stale" if after else "")}


def ask(directory: Path, series: list[dict[str, str]], expr: str, samples: list[tuple[str, float]]) -> None:
    """Fail with promtool's own words unless the answer is exactly these samples."""
    expected = [{"labels": text, "value": value} for text, value in samples]
    case = {"expr": expr, "eval_time": f"{NOW}s", "exp_samples": expected}
    test = {"interval": f"{STEP}s", "input_series": series, "promql_expr_test": [case]}
    path = directory / "case.yml"
    path.write_text(json.dumps({"evaluation_interval": "15s", "tests": [test]}))
    run = subprocess.run([tool("promtool"), "test", "rules", path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


LIVE, CONNECTING, POLLING, ERROR, DISCONNECTED = (
    State.LIVE, State.CONNECTING, State.POLLING, State.ERROR, State.DISCONNECTED,
)  # fmt: skip
WORST_FIRST = (
    (Stream("refused", ERROR, 400, "unauthorized"), 8, "irisstreamunauthorized"),
    (Stream("wrong-url", ERROR, 300, "not_found"), 8, "irisstreamerror"),
    (Stream("retrying", CONNECTING, 30, "connection_refused"), 7, "irisstreamdown"),
    (Stream("first-try", CONNECTING, 5), 7, "irisstreamdown"),
    (Stream("fallback", POLLING, 60, "unavailable"), 6, "irisstreampolling"),
    (Stream("lost", LIVE, 0, scraped=False), 5, "irisexporterdown"),
    (Stream("lost-in-error", ERROR, 0, "dns", scraped=False), 5, "irisexporterdown"),
    (Stream("quiet", LIVE, 5000, flow=DataFlow.SILENT), 4, "irisstreamdatastale"),
    (Stream("quiet-polls", POLLING, 4000, flow=DataFlow.SILENT), 4, "irisstreamdatastale"),
    (Stream("by-hand", DISCONNECTED, 7000), 3, "irisstreamdisconnected"),
    (Stream("polled", POLLING, 6000), 2, ""),
    (Stream("idle", LIVE, 200, flow=DataFlow.IDLE), 1, ""),
    (Stream("fresh", LIVE, 100), 1, ""),
)


def _up(streams: list[Stream]) -> list[dict[str, str]]:
    return [
        _series(f'up{{job="iris", instance="{instance}", pod="p"}}', int(instance.startswith("here")))
        for instance in {stream.instance for stream in streams}
    ]


OFTEN = (1, 2, 14, 200)
SELDOM = (0, 3, 4, 5, 13, 50)


@pytest.mark.parametrize("count", [*OFTEN, *(pytest.param(count, marks=pytest.mark.slow) for count in SELDOM)])
def test_the_worst_stream_is_first_however_many_there_are(tmp_path: Path, count: int) -> None:
    """The number that the table sorts by falls from row to row: by state, then by how long it has been so."""
    extra = [(Stream(f"more-{n}", LIVE, 99 - n // 2), 1, "") for n in range(count)]
    rows = [*WORST_FIRST, *extra][:count]
    streams = [stream for stream, _, _ in rows]
    scores = [rank * BILLION + stream.seconds for stream, rank, _ in rows]
    assert scores == sorted(scores, reverse=True)
    samples = [
        (
            f'{{job="iris", instance="{stream.instance}", stream="{stream.name}"'
            + (f', runbook="{runbook}"}}' if runbook else "}"),
            score,
        )
        for (stream, _, runbook), score in zip(rows, scores, strict=True)
    ]
    series = [found for stream in streams for found in stream.series()]
    ask(tmp_path, [*series, *_up(streams)], expression("Streams"), samples)


def test_a_stream_of_two_exporters_is_two_rows(tmp_path: Path) -> None:
    """Each with the state that its exporter knows, whatever it is called."""
    name = "a name, of 60 letters: (ümlaut) [x]+? $job | it's 100 % odd."
    rows = [
        (Stream(name, ERROR, 400, "unauthorized"), 8, "irisstreamunauthorized"),
        (Stream(name, CONNECTING, 30, "dns", exporter="here-2"), 7, "irisstreamdown"),
        (Stream(name, LIVE, 100, exporter="here-3"), 1, ""),
    ]
    samples = [
        (
            f'{{job="iris", instance="{stream.instance}", stream="{name}"'
            + (f', runbook="{runbook}"}}' if runbook else "}"),
            rank * BILLION + stream.seconds,
        )
        for stream, rank, runbook in rows
    ]
    streams = [stream for stream, *_ in rows]
    series = [found for stream in streams for found in stream.series()]
    ask(tmp_path, [*series, *_up(streams)], expression("Streams"), samples)
    ask(tmp_path, [*series, *_up(streams)], expression("Live"), [('{live="1", streams="3"}', 1 / 3)])


def test_the_table_has_a_word_for_every_rank_and_sorts_by_it() -> None:
    (panel,) = (found for found in boards.panels(BOARD) if found["title"] == "Streams")
    (told,) = (
        {setting["id"]: setting["value"] for setting in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "State"
    )
    options = [mapping["options"] for mapping in told["mappings"]]
    words = {found["from"] // BILLION: found["result"]["text"] for found in options}
    assert words == {
        8: "Error", 7: "Connecting", 6: "Polling", 5: "Not scraped", 4: "Silent", 3: "Disconnected",
        2: "Polled as set", 1: "Live",
    }  # fmt: skip
    for found in options:
        assert found["to"] == found["from"] + BILLION - 1
        assert found["result"]["color"]
    assert panel["options"]["sortBy"] == [{"displayName": "State", "desc": True}]


@pytest.mark.parametrize(
    ("rows", "text", "share"),
    [
        (WORST_FIRST, 'live="3", streams="13", polled=", 2 polled as set"', 5 / 13),
        (WORST_FIRST[-1:], 'live="1", streams="1"', 1),
        (WORST_FIRST[:1], 'live="0", streams="1"', 0),
        (WORST_FIRST[5:6], 'live="0", streams="1"', 0),
        (WORST_FIRST[10:11], 'live="0", streams="1", polled=", 1 polled as set"', 1),
    ],
)
def test_the_first_panel_says_how_many_are_live(tmp_path: Path, rows: Any, text: str, share: float) -> None:
    """A stream that is polled as configured is as it should be, and one that is not scraped is not."""
    streams = [stream for stream, _, _ in rows]
    series = [found for stream in streams for found in stream.series()]
    ask(tmp_path, [*series, *_up(streams)], expression("Live"), [(f"{{{text}}}", share)])


@pytest.mark.parametrize("count", [1, 4, 5])
def test_tiles_are_shown_while_there_are_four_streams_at_most(tmp_path: Path, count: int) -> None:
    """Each more would make the letters of all smaller; the panel then says where to look."""
    panel = next(found for found in boards.panels(boards.load()["iris-project"]) if found["title"] == "Status")
    labels = 'job="iris", instance="here:14747", project="p", status="warning"'
    series = [_series(f'iris_project_status{{stream="s{n}", {labels}}}', 1) for n in range(count)]
    samples = [(f'{{stream="s{n}"}}', 1.0) for n in range(count)]
    ask(tmp_path, series, boards.plain(panel["targets"][0]["expr"]), samples if count <= 4 else [])
    assert "over 4" in panel["fieldConfig"]["defaults"]["noValue"]


def test_states_over_time_are_of_as_many_streams_as_there_is_room_for(tmp_path: Path) -> None:
    """Those that were live for the least of the time."""
    bad = [Stream(f"bad-{n}", ERROR, 10) for n in range(12)]
    streams = [*(Stream(f"good-{n}", LIVE, 10) for n in range(188)), *bad]
    samples = [(f'{{job="iris", instance="here:14747", stream="{stream.name}"}}', -3.0) for stream in bad]
    series = [found for stream in streams for found in stream.series()]
    series += [_series(f"iris_stream_reconnect_attempt{{{stream.labels}}}", 0) for stream in streams]
    ask(tmp_path, series, expression(STATES_TITLE), samples)


def _figures(*named: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"series": f'iris_runs_today{{job="iris", instance="i", stream="{stream}"}}', "values": values}
        for stream, values in named
    ]


RUNS, SHARE, *_ = FIGURES


def _compressed(expr: str) -> str:
    """A day and an hour are an hour here."""
    return boards.plain(expr).replace("offset 1d", "offset 1h")


@pytest.mark.parametrize(
    ("streams", "change"),
    [
        # Yesterday 100 by this time, today 130.
        ((("a", "100x240 130x240"),), ("▲", 30)),
        # The same: no red, no arrow up or down.
        ((("a", "100x240 100x240"),), ("=", 0)),
        # Another has gone silent, and one is new: neither counts in full.
        ((("a", "100x240 90x240"), ("b", "5000x240 stale"), ("c", "_x241 7000x240")), ("▼", -10)),
    ],
)
def test_a_change_is_of_the_streams_that_were_there_both_times(
    tmp_path: Path, streams: Any, change: tuple[str, float]
) -> None:
    arrow, difference = change
    labels = f'{{trend="{arrow}", figure="Active Runs against this time yesterday"}}'
    ask(tmp_path, _figures(*streams), _compressed(figure_change(RUNS)), [(labels, difference)])


@pytest.mark.parametrize("streams", [(("a", "_x241 100x240"),), (("a", "100x240 stale"),)])
def test_there_is_no_arrow_where_there_is_nothing_to_compare(tmp_path: Path, streams: Any) -> None:
    ask(tmp_path, _figures(*streams), _compressed(figure_change(RUNS)), [])


def test_a_card_says_of_how_many_streams_it_is(tmp_path: Path) -> None:
    streams = [Stream("a", LIVE, 10), Stream("b", LIVE, 10), Stream("c", ERROR, 10)]
    series = [*_figures(("a", "1x480"), ("b", "41x480")), *(found for stream in streams for found in stream.series())]
    ask(tmp_path, series, boards.plain(figure_now(RUNS)), [('{known="2", streams="3"}', 42)])


def test_runs_since_midnight_are_compared_with_the_same_hour_of_yesterday() -> None:
    assert [figure.ago for figure in FIGURES] == ["1d", "1h", "1h", "1h"]
    assert "100 * avg" in figure_change(SHARE), "percentage points"
