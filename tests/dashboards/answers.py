"""What Prometheus answers to the queries of a dashboard as it opens, in the form that the harness draws."""

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dashboards.recording import END, LARGE, SCRAPE_SECONDS, SMALL, Prometheus

RANGE_SECONDS = 30 * 60
Variables = dict[str, str]

# As `roundInterval` of @grafana/data, from a second up: below this many seconds, that step.
_STEPS = (
    (1.5, 1),
    (3.5, 2),
    (7.5, 5),
    (12.5, 10),
    (17.5, 15),
    (25, 20),
    (45, 30),
    (90, 60),
    (210, 120),
    (450, 300),
    (750, 600),
    (1050, 900),
)


@dataclass(frozen=True)
class Choice:
    """What a reader has chosen on a dashboard: the fleet, and of it all streams or some."""

    name: str
    job: str
    streams: tuple[str, ...] = ()


CHOICES = (
    Choice("live", SMALL, ("amsterdam",)),
    Choice("connecting", SMALL, ("dublin",)),
    Choice("polling", SMALL, ("oslo",)),
    Choice("error", SMALL, ("frankfurt",)),
    Choice("two", SMALL, ("amsterdam", "frankfurt")),
    Choice("fourteen", SMALL),
    Choice("two-hundred", LARGE),
)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that a reader sees as the dashboard opens; those of collapsed rows are asked for when one opens it."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def opened(board: dict[str, Any]) -> dict[str, Any]:
    """The dashboard after somebody has opened each of its rows."""
    found: list[dict[str, Any]] = []
    lower = 0
    for panel in board["panels"]:
        is_row = panel["type"] == "row"
        found.append({**_moved(panel, lower), **({"collapsed": False, "panels": []} if is_row else {})})
        if inside := panel.get("panels"):
            found += [_moved(each, lower) for each in inside]
            lower += max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in inside) - inside[0]["gridPos"]["y"]
    return {**board, "panels": found}


def _moved(panel: dict[str, Any], lower: int) -> dict[str, Any]:
    return {**panel, "gridPos": {**panel["gridPos"], "y": panel["gridPos"]["y"] + lower}}


def targets(panel: dict[str, Any]) -> list[dict[str, Any]]:
    """The queries of a panel that Prometheus answers."""
    wanted = [target for target in panel.get("targets", []) if not target.get("hide")]
    return [target for target in wanted if target.get("datasource", {}).get("type") == "prometheus"]


def query_count(board: dict[str, Any]) -> int:
    """Queries of a load: of the panels, of annotations that are on, and of variables."""
    annotations = [found for found in board["annotations"]["list"] if found.get("enable", True)]
    variables = [found for found in board["templating"]["list"] if found["type"] == "query"]
    of_panels = sum(len([t for t in panel.get("targets", []) if not t.get("hide")]) for panel in panels(board))
    return of_panels + len(annotations) + len(variables)


async def chosen(board: dict[str, Any], choice: Choice, server: Prometheus) -> Variables:
    """The values of a dashboard's variables: what the reader chose, and otherwise what it opens with."""
    values: Variables = {"__from": str((END - RANGE_SECONDS) * 1000), "__to": str(END * 1000), "__all_variables": ""}
    values["__url_time_range"] = f"from={values['__from']}&to={values['__to']}"
    for variable in board["templating"]["list"]:
        name = variable["name"]
        if name == "job":
            values[name] = choice.job
        elif name == "stream" and choice.streams:
            values[name] = _joined(choice.streams)
        elif variable["type"] == "query":
            values[name] = variable.get("allValue") or _joined(await _values(variable, values, server))
        elif variable["type"] == "datasource":
            values[name] = variable["query"]
        elif variable["type"] == "interval" and variable.get("auto"):
            values[name] = f"{max(_seconds(variable['auto_min']), _rounded(RANGE_SECONDS / variable['auto_count']))}s"
        else:
            values[name] = str(variable.get("current", {}).get("value") or str(variable["query"]).split(",")[0])
        if name == "stream" and choice.streams:
            values[f"{name}:shown"] = " + ".join(choice.streams)
        elif variable["type"] in ("query", "datasource"):
            values[f"{name}:shown"] = "All" if variable.get("includeAll") else values[name]
        else:
            values[f"{name}:shown"] = str(variable.get("current", {}).get("text") or values[name])
    return values


def _joined(values: tuple[str, ...] | list[str]) -> str:
    return values[0] if len(values) == 1 else f"({'|'.join(values)})"


async def _values(variable: dict[str, Any], values: Variables, server: Prometheus) -> list[str]:
    """What a variable can be; the first alone where not all can be chosen."""
    found = re.fullmatch(r"label_values\((.+), *(\w+)\)", variable["query"]["query"])
    assert found, f"a variable that this harness cannot read: {variable['query']}"
    answer = await server.query(f"group by ({found[2]}) ({filled(found[1], values, step=SCRAPE_SECONDS)})")
    names = sorted(series["metric"][found[2]] for series in answer["result"])
    return names if variable.get("includeAll") else names[:1]


def filled(expression: str, values: Variables, *, step: int) -> str:
    """A query with its variables put in; an unknown one is a KeyError."""
    builtin = {
        "__interval": f"{step}s", "__interval_ms": str(step * 1000),
        "__range": f"{RANGE_SECONDS}s", "__range_s": str(RANGE_SECONDS),
        "__rate_interval": f"{max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
    }  # fmt: skip
    return re.sub(
        r"\$(?:\{(\w+)(?::\w+)?\}|([a-zA-Z_]\w*))",
        lambda match: {**values, **builtin}[match[1] or match[2]],
        expression,
    )


def step_of(panel: dict[str, Any], target: dict[str, Any], width: int) -> int:
    """Seconds between the points of a query, for a panel of so many pixels."""
    lowest = max(_seconds(found) for found in (panel.get("interval"), target.get("interval"), f"{SCRAPE_SECONDS}s"))
    exact = RANGE_SECONDS / (panel.get("maxDataPoints") or width)
    return max(lowest, _rounded(exact)) * target.get("intervalFactor", 1)


def _rounded(seconds: float) -> int:
    return next((step for limit, step in _STEPS if seconds < limit), 1800)


def _seconds(duration: str | None) -> int:
    found = re.fullmatch(r">?(\d+)([smh])", duration or "")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else 0


async def answers(board: dict[str, Any], values: Variables, width: int, server: Prometheus) -> dict[str, Any]:
    """Panel id to reference of a query to its answer."""
    found: dict[str, Any] = {}
    for panel in panels(board):
        pixels = panel["gridPos"]["w"] * width // 24
        for target in targets(panel):
            step = step_of(panel, target, pixels)
            expression = filled(target["expr"], values, step=step)
            if target.get("instant") and not target.get("range"):
                answer = await server.query(expression)
            else:
                answer = await server.over(expression, (END - RANGE_SECONDS) // step * step, END // step * step, step)
            found.setdefault(str(panel["id"]), {})[target["refId"]] = {**answer, "step": step}
    return found


async def job(
    board_file: Path, choice: Choice, width: int, theme: str, server: Prometheus, directory: Path
) -> dict[str, Any]:
    """What render.mjs has to draw, with all rows open; it and the answers are written to files in `directory`."""
    board = opened(json.loads(await asyncio.to_thread(board_file.read_text)))
    drawn_file = directory / f"{board_file.stem}.opened.json"
    await asyncio.to_thread(drawn_file.write_text, json.dumps(board))
    values = await chosen(board, choice, server)
    name = f"{board_file.stem}-{choice.name}-{width}-{theme}"
    file = directory / f"{name}.answers.json"
    await asyncio.to_thread(file.write_text, json.dumps(await answers(board, values, width, server)))
    return {
        "name": name, "width": width, "theme": theme,
        "board": str(drawn_file), "answers": str(file), "variables": values,
        "from": END - RANGE_SECONDS, "to": END,
    }  # fmt: skip
