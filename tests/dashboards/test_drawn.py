"""Every dashboard, drawn by Grafana's own components from recorded answers of a Prometheus, can be read.

With one stream in each state, and with 2, 14 and 200 streams; 1280 and 1920 pixels wide. What a panel shows is compared
with what Prometheus had answered: transformations, overrides, mappings, units and links are those of @grafana/data.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards import answers, drawing, mapped, recording
from tests.dashboards.drawing import Drawn

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.needs(*drawing.NEEDS)]

WIDTHS = (1280, 1920)
SMALLEST_PX = 11
WORST = {
    "live": "live", "connecting": "connecting", "polling": "polling",
    "error": "error", "two": "error", "fourteen": "error", "two-hundred": "error",
}  # fmt: skip
"""The state of the worst stream of each choice."""
NARROW_ONLY = ("live", "connecting", "polling")
"""Of one stream its worst state is enough for the other width."""
SHIPPED = {path.stem: json.loads(path.read_text()) for path in recording.BOARDS}
BOARDS = SHIPPED | mapped.dashboards()
"""Those of the repository, and one of each mapping that there is a sample of."""
ONE, ALL = "error", "fourteen"
"""Choices with which dashboards of mappings are drawn."""
STATES = {"error": 0, "connecting": 1, "polling": 2, "live": 3}
"""From the worst on."""


def _broken(number: int, kind: str, title: str, width: int, properties: dict[str, Any]) -> dict[str, Any]:
    """A panel that breaks a rule, of whether each stream is up."""
    target = {
        "refId": "A",
        "datasource": {"type": "prometheus"},
        "expr": "sum by (instance, stream) (iris_up{job=~'$job'})",
    }
    target["legendFormat"] = "{{stream}} on {{instance}}"
    overrides = [{"id": name, "value": value} for name, value in properties.items()]
    return {
        "id": number, "type": kind, "title": title, "gridPos": {"x": 0, "y": 4 * number - 4, "w": width, "h": 4},
        "targets": [target | {"instant": True, "format": "table" if kind == "table" else "time_series"}],
        "options": {"textMode": "value_and_name"},
        "fieldConfig": {"overrides": [{"matcher": {"id": "byName", "options": "instance"}, "properties": overrides}]},
    }  # fmt: skip


BROKEN: dict[str, Any] = {
    "title": "Broken",
    "annotations": {"list": []},
    "templating": {"list": [{"name": "job", "type": "query", "query": {}}]},
    "panels": [
        _broken(1, "stat", "Tiles", 4, {}),
        _broken(2, "table", "Narrow column", 24, {"custom.width": 60}),
        _broken(3, "table", "Wide column", 12, {"custom.width": 900}),
        _broken(4, "stat", "A title that has no room in a panel as narrow as this one", 3, {}),
    ],
}
"""Such as there were."""


@dataclass(frozen=True)
class Drawings:
    """All that was drawn, and the answers that it was drawn from."""

    drawn: dict[str, Drawn]
    answers: dict[str, dict[str, Any]]

    def of(self, board: str) -> Iterator[Drawn]:
        """Every drawing of a dashboard."""
        return (drawn for name, drawn in self.drawn.items() if name.startswith(f"{board}-"))

    def one(self, board: str, choice: str, width: int = 1280, theme: str = "light") -> Drawn:
        """The drawing of a dashboard for a choice."""
        return self.drawn[f"{board}-{choice}-{width}-{theme}"]

    def answer(self, drawn: Drawn, title: str, ref: str) -> list[dict[str, Any]]:
        """What Prometheus had answered to a query of a panel."""
        found: list[dict[str, Any]] = self.answers[drawn.name][str(drawn.panel(title)["id"])][ref]["result"]
        return found


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Drawings:
    """Record, ask and draw, all once."""
    directory = tmp_path_factory.mktemp("dashboards")
    jobs = asyncio.run(_jobs(directory))
    drawn = drawing.draw(jobs, drawing.bundle(directory), directory)
    return Drawings(drawn, {job["name"]: json.loads(Path(job["answers"]).read_text()) for job in jobs})


async def _jobs(directory: Path) -> list[dict[str, Any]]:
    async with recording.recorded(directory, mapped=mapped.openmetrics()) as server:
        files = {name: directory / f"{name}.json" for name in (*BOARDS, "broken")}
        for name, board in {**BOARDS, "broken": BROKEN}.items():
            files[name].write_text(json.dumps(board))
        choices = {choice.name: choice for choice in answers.CHOICES}
        wanted = [
            (name, choice, width, "light")
            for name in BOARDS
            for choice in (choices if name in SHIPPED else (ONE, ALL))
            for width in _widths(choice)
        ]
        # A theme changes colours and no size.
        wanted += [(name, ALL, 1280, "dark") for name in BOARDS] + [("broken", ALL, 1280, "light")]
        return [
            await answers.job(files[name], choices[choice], width, theme, server, directory)
            for name, choice, width, theme in wanted
        ]


def _widths(choice: str) -> tuple[int, ...]:
    return WIDTHS[:1] if choice in NARROW_ONLY else WIDTHS


def test_nothing_that_is_installed_to_draw_is_under_a_licence_that_we_avoid() -> None:
    """Grafana itself is under the AGPL from version 8 on; its libraries are not."""
    packages = list((Path(drawing.tool("dashboard-harness")) / "node_modules").glob("**/package.json"))
    licences = {str(json.loads(path.read_text()).get("license")) for path in packages}
    assert "Apache-2.0" in licences
    assert not [licence for licence in licences if re.search(r"\bA?GPL", licence)]


@pytest.mark.parametrize("board", BOARDS)
def test_the_page_draws_without_complaint(drawings: Drawings, board: str) -> None:
    assert {drawn.name: drawn.report["complaints"] for drawn in drawings.of(board) if drawn.report["complaints"]} == {}


def test_what_breaks_a_rule_is_seen(drawings: Drawings) -> None:
    """The tests below are able to fail."""
    drawn = drawings.one("broken", "fourteen")
    assert min(text["px"] for title, text in drawn.texts if title == "Tiles") < SMALLEST_PX / 2
    assert {(title, text["where"]) for title, text in drawn.texts if text["clipped"]} >= {
        ("Narrow column", "cell"), (BROKEN["panels"][3]["title"], "title"),
    }  # fmt: skip
    assert drawn.panel("Wide column")["sideways"]
    assert not drawn.panel("Narrow column")["sideways"]


@pytest.mark.parametrize("board", BOARDS)
def test_no_text_is_too_small_to_read(drawings: Drawings, board: str) -> None:
    small = [
        (drawn.name, title, text["text"], text["px"])
        for drawn in drawings.of(board)
        for title, text in drawn.texts
        if text["px"] < SMALLEST_PX
    ]
    assert small == []


@pytest.mark.parametrize("board", BOARDS)
def test_nothing_is_cut_off(drawings: Drawings, board: str) -> None:
    """No title, heading, cell or legend ends in an ellipsis or beyond its box; no table scrolls sideways."""
    cut = [
        (drawn.name, title, text["where"], text["text"])
        for drawn in drawings.of(board)
        for title, text in drawn.texts
        if text["clipped"]
    ]
    assert cut == []
    sideways = [
        (drawn.name, panel["id"])
        for drawn in drawings.of(board)
        for panel in drawn.report["panels"]
        if panel["sideways"]
    ]
    assert sideways == []


@pytest.mark.parametrize("board", BOARDS)
def test_what_is_drawn_is_for_people(drawings: Drawings, board: str) -> None:
    """No variable is left in a text or a link, no column has the name of a query, no number is none."""
    strange = re.compile(r"\$\{|\$\w|Value #|undefined|\bNaN\b|\[object")
    found = {
        (drawn.name, title, text["text"])
        for drawn in drawings.of(board)
        for title, text in drawn.texts
        if strange.search(text["text"])
    }
    assert found == set()
    dead = {
        (drawn.name, link)
        for drawn in drawings.of(board)
        for link in _links(drawn)
        if "${" in link or link.startswith("javascript:")
    }
    assert dead == set()


def _links(drawn: Drawn) -> Iterator[str]:
    for panel in drawn.report["facts"]:
        for frame in panel["frames"]:
            for column in frame["fields"]:
                for value in column["values"]:
                    yield from value["links"]


@pytest.mark.parametrize(("choice", "width"), [(choice, width) for choice in WORST for width in _widths(choice)])
def test_the_worst_stream_and_its_reason_are_in_the_first_row(drawings: Drawings, choice: str, width: int) -> None:
    drawn = drawings.one("iris-overview", choice, width)
    heading, *rows = drawn.panel("Streams")["rows"]
    columns = [name.lower() for name in heading]
    shown = [dict(zip(columns, row, strict=True)) for row in rows]
    reasons = {
        series["metric"]["stream"]: series["metric"]["reason"]
        for ref in ("A", "B", "C", "D")
        for series in drawings.answer(drawn, "Streams", ref)
        if "reason" in series["metric"]
    }
    order = [STATES[row["state"].lower()] for row in shown]
    assert order == sorted(order)
    assert shown[0]["state"].lower() == WORST[choice]
    if choice != "live":
        assert shown[0]["reason"] == reasons[shown[0]["stream"]]


def test_a_table_shows_what_prometheus_answered(drawings: Drawings) -> None:
    """Of each stream one row, with the values of that stream under the right headings."""
    drawn = drawings.one("iris-overview", "fourteen")
    (frame,) = drawn.panel("Streams")["frames"]
    columns = {column["name"]: [value["text"] for value in column["values"]] for column in frame["fields"]}
    roles = recording.streams(14)
    assert sorted(columns["Stream"]) == sorted(roles)
    state_of = dict(zip(columns["Stream"], columns["State"], strict=True))
    assert {name: state.lower() for name, state in state_of.items()} == {
        name: recording.STATES.get(role, "live") for name, role in roles.items()
    }
    links = next(column for column in frame["fields"] if column["name"] == "Stream")["values"]
    for name, value in zip(columns["Stream"], links, strict=True):
        assert any(f"var-stream={name}" in link or name in link for link in value["links"]), (name, value)


def test_units_and_mappings_turn_numbers_into_words(drawings: Drawings) -> None:
    projects = drawings.one("iris-overview", "fourteen").panel("Projects")["frames"][0]
    columns = {column["name"]: column["values"] for column in projects["fields"]}
    assert {value["text"] for value in columns["Status"]} <= {"Healthy", "Warning", "Critical", "Unknown"}
    for value in columns["Success"]:
        assert value["text"] == f"{value['raw'] * 100:.1f}%"
    for value in columns["Last run"]:
        assert value["text"].endswith(" ago")


@pytest.mark.parametrize("board", [name for name in BOARDS if name != "iris-live"])
def test_every_override_by_name_is_of_a_column_that_appears(drawings: Drawings, board: str) -> None:
    """A column that was renamed leaves its overrides behind, and Grafana says nothing."""
    unused = set()
    for panel in answers.panels(BOARDS[board]):
        if panel["type"] != "table":
            continue
        names = {
            column["name"]
            for drawn in drawings.of(board)
            for frame in drawn.panel(panel["title"])["frames"]
            for column in frame["fields"]
        }
        wanted = {
            rule["matcher"]["options"]
            for rule in panel["fieldConfig"]["overrides"]
            if rule["matcher"]["id"] == "byName"
        }
        unused |= {(panel["title"], name) for name in wanted - names if names}
    assert unused == set()
