"""A dashboard for a mapping: its streams, worst first, each of its metrics, and what was left out.

It is made when it is asked for, since mappings are the operator's. Whatever is about streams is taken from the shipped
dashboards as it is, and a panel of a metric has the settings of a shipped panel of its kind: what holds for those
(counts that add up, guards, colours, scales, columns, controls) holds here. Its queries are those of `queries`.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from zlib import crc32

from iris_exporter.grafana import files
from iris_exporter.grafana.mapped_panels import WIDTH, Json, Kinds, has_table, panel_of
from iris_exporter.grafana.panel_ids import panel_id
from iris_exporter.grafana.queries import equals
from iris_exporter.instruments import catalog
from iris_exporter.mapping.spec import Mapping

QUERIES_A_LOAD = 40
"""How many queries a dashboard asks at most as it opens; what is beyond is in rows that are closed at first."""
_IN_ROW = 12
"""Panels in a closed row: what it costs to open it."""
_HEIGHT = 8


def dashboard(mapping: Mapping) -> Json:
    """The dashboard, in the form that Grafana imports.

    Raises:
        UsageError: The installation is incomplete.
    """
    shipped = files.dashboards()
    top, link, loss = (_taken(shipped, row) for row in (_TOP, _LINK, _LOSS))
    whole = shipped["iris-connection"]
    asked = _asked(whole, [panel for panel, *_ in (*top, *link, *loss)])
    kinds = Kinds(whole)
    open_, closed = _divided([panel for metric in mapping.metrics for panel in kinds.panels(metric)], asked)
    tables = [kinds.most_frequent(metric) for metric in mapping.metrics if has_table(metric)]
    found = _Grid()
    found.place(top)
    if open_:
        found.row("Metrics", _halves(open_))
    for number, panels in enumerate(closed, 1):
        found.closed_row(f"More metrics ({number} of {len(closed)})", _halves(panels))
    if tables:
        found.closed_row("Most frequent, by all labels", _halves(tables))
    found.row("Link", link)
    found.row("What was left out", loss)
    return {
        **whole,
        "description": f"What the mapping {mapping.name} makes of its streams, how they are, and what was left out.",
        "links": [link for link in whole["links"] if link["type"] == "dashboards"],
        "panels": found.panels,
        "tags": ["iris", "mapping"],
        "templating": {"list": _variables(whole, mapping)},
        "title": f"Mapping {mapping.name}",
        "uid": uid(mapping.name),
    }


def uid(name: str) -> str:
    """The uid of a mapping's dashboard: at most 40 characters, as Grafana wants it."""
    return f"mapping-{name}" if len(name) <= 32 else f"mapping-{name[:23]}-{crc32(name.encode()):08x}"


# What is taken as it is: dashboard, title, width and height.

_TOP = (
    ("iris-overview", "Live", 5, 6),
    ("iris-overview", "Firing alerts", 19, 6),
    ("iris-overview", "Streams", 24, 8),
)
_LINK = (
    ("iris-connection", "State of each stream", 24, 10),
    ("iris-connection", "Messages by type", 12, 8),
    ("iris-connection", "Guarantee", 12, 8),
    ("iris-connection", "Resumes by outcome", 12, 8),
    ("iris-connection", "Gaps, replays, duplicates", 12, 8),
)
_LOSS = (
    ("iris-connection", "Mapping problems", 12, 8),
    ("iris-connection", "Errors in what arrives", 12, 8),
    ("iris-connection", "Elements left out", 12, 8),
    ("iris-connection", "Beyond a limit", 12, 8),
)
_Placed = tuple[Json, int, int]
"""A panel, its width and its height."""


def _taken(shipped: dict[str, Json], wanted: Iterable[tuple[str, str, int, int]]) -> list[_Placed]:
    return [(panel_of(shipped[board], title), width, height) for board, title, width, height in wanted]


def _variables(whole: Json, mapping: Mapping) -> list[Json]:
    """Those of the connection dashboard but for the pace of its polling; the streams are those of the mapping."""
    found: list[Json] = copy.deepcopy([each for each in whole["templating"]["list"] if each["name"] != "poll_interval"])
    (stream,) = (each for each in found if each["name"] == "stream")
    del stream["allValue"]
    of = f'job=~"$job", instance=~"$instance", {equals("mapping", mapping.name)}'
    stream["query"]["query"] = f"label_values({catalog.MAPPING_INFO.name}{{{of}}}, stream)"
    return found


def _asked(whole: Json, panels: Iterable[Json]) -> int:
    """How many queries these panels, the annotations that are on and the variables ask."""
    annotations = [each for each in whole["annotations"]["list"] if each["enable"]]
    variables = [each for each in whole["templating"]["list"] if each["type"] == "query"]
    return len(annotations) + len(variables) + sum(len(panel["targets"]) for panel in panels)


def _divided(panels: Sequence[Json], asked: int) -> tuple[Sequence[Json], list[Sequence[Json]]]:
    """What is shown at once, beside panels that ask so many queries already, and what is in closed rows."""
    first = QUERIES_A_LOAD - asked
    return panels[:first], [panels[at : at + _IN_ROW] for at in range(first, len(panels), _IN_ROW)]


def _halves(panels: Sequence[Json]) -> list[_Placed]:
    """In the width that they have; one that has none beside it takes all of a line."""
    found: list[_Placed] = []
    is_left = True
    for panel, following in zip_longest(panels, panels[1:]):
        whole = is_left and (following is None or WIDTH in (panel["gridPos"]["w"], following["gridPos"]["w"]))
        found.append((panel, WIDTH if whole else WIDTH // 2, _HEIGHT))
        is_left = whole or not is_left
    return found


class _Grid:
    """Panels, from the top down."""

    def __init__(self) -> None:
        self.panels: list[Json] = []
        self._below = 0

    def place(self, panels: Iterable[_Placed]) -> None:
        """Add panels from the left to the right."""
        self.panels += self._placed(panels)

    def row(self, title: str, panels: Iterable[_Placed]) -> None:
        """Add a row that is open."""
        self._heading(title)
        self.place(panels)

    def closed_row(self, title: str, panels: Iterable[_Placed]) -> None:
        """Add a row that somebody has to open."""
        heading = self._heading(title)
        below = self._below
        heading["collapsed"], heading["panels"] = True, list(self._placed(panels))
        self._below = below

    def _heading(self, title: str) -> Json:
        place = {"h": 1, "w": WIDTH, "x": 0, "y": self._below}
        heading: Json = {"collapsed": False, "gridPos": place, "panels": [], "title": title, "type": "row"}
        heading["id"] = panel_id(title, row=True)
        self.panels.append(heading)
        self._below += 1
        return heading

    def _placed(self, panels: Iterable[_Placed]) -> Iterator[Json]:
        left = 0
        for panel, width, height in panels:
            panel["gridPos"] = {"h": height, "w": width, "x": left, "y": self._below}
            left += width
            if left == WIDTH:
                left, self._below = 0, self._below + height
            yield panel
