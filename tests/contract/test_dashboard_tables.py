"""Tables of the dashboards: no column is cut off at 1280 pixels, no cell repeats the sentence for no data."""

import re
from typing import Any

import pytest

from dashboards.overview import FEED_ROWS
from dashboards.tables import EMPTY_CELL
from tests.contract import boards

BOARDS = boards.every()
TABLES = [
    (name, panel)
    for name, board in BOARDS.items()
    for panel in boards.panels(board)
    # Tempo makes the columns of its own table.
    if panel["type"] == "table" and panel["datasource"]["type"] != "tempo"
]
each_table = pytest.mark.parametrize(("name", "panel"), TABLES, ids=lambda v: v["title"] if isinstance(v, dict) else v)

PAGE = 1280 - 2 * 16 - 15
"""Pixels of a line of panels in a window of 1280: less the margins of the page and its scroll bar."""
FRAME = 8 + 2 * 8 + 2 + 15
"""Of a panel's share of it: the gap to the next one, padding, border, and the scroll bar of the table."""
LETTER = 7.7
"""Widest average of a heading's letters, 14 pixels high and half bold."""
CELL = 2 * 6
SORT_ARROW = 16


def inner_width(panel: dict[str, Any]) -> float:
    return PAGE * panel["gridPos"]["w"] / 24 - FRAME


def settings(panel: dict[str, Any], heading: str) -> dict[str, Any]:
    """What a column is told, beside the defaults."""
    return {
        found["id"]: found["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"] == {"id": "byName", "options": heading}
        for found in override["properties"]
    }


def columns(panel: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Heading to settings, in order, of the columns that are shown."""
    (organized,) = (found["options"] for found in panel["transformations"] if found["id"] == "organize")
    in_order = sorted(organized["indexByName"], key=organized["indexByName"].__getitem__)
    found = {organized["renameByName"][name]: settings(panel, organized["renameByName"][name]) for name in in_order}
    return {heading: told for heading, told in found.items() if not told.get("custom.hidden")}


@each_table
def test_the_columns_of_a_table_fit_into_it_at_1280_pixels(name: str, panel: dict[str, Any]) -> None:
    """A column without a width is given 150 pixels at least, and what then has no room is cut off."""
    growing = [heading for heading, told in columns(panel).items() if "custom.minWidth" in told]
    assert len(growing) == 1, "one column takes what the others leave"
    widths = [told.get("custom.width", told.get("custom.minWidth")) for told in columns(panel).values()]
    assert None not in widths
    assert sum(widths) <= inner_width(panel)


@each_table
def test_a_heading_fits_into_its_column(name: str, panel: dict[str, Any]) -> None:
    sorted_by = {found["displayName"] for found in panel["options"]["sortBy"]}
    assert sorted_by <= set(columns(panel))
    for heading, told in columns(panel).items():
        width = told.get("custom.width", told.get("custom.minWidth"))
        arrow = SORT_ARROW if heading in sorted_by else 0
        assert len(heading) * LETTER + CELL + arrow <= width, heading


@each_table
def test_a_hidden_column_is_hidden_in_every_version_of_grafana(name: str, panel: dict[str, Any]) -> None:
    for override in panel["fieldConfig"]["overrides"]:
        told = {found["id"]: found["value"] for found in override["properties"]}
        assert told.get("custom.hidden", False) is told.get("custom.hideFrom", {"viz": False})["viz"]


@each_table
def test_an_empty_cell_does_not_repeat_the_sentence_for_an_empty_table(name: str, panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["noValue"] != EMPTY_CELL
    every = [found for found in panel["fieldConfig"]["overrides"] if found["matcher"]["options"] == "/.*/"]
    assert [found["properties"] for found in every] == [[{"id": "noValue", "value": EMPTY_CELL}]]


@each_table
def test_links_of_a_row_name_columns_of_it(name: str, panel: dict[str, Any]) -> None:
    (organized,) = (found["options"] for found in panel["transformations"] if found["id"] == "organize")
    for override in panel["fieldConfig"]["overrides"]:
        for link in (found for told in override["properties"] if told["id"] == "links" for found in told["value"]):
            named = set(re.findall(r"\$\{__data\.fields\.([^}:]+)", link["url"]))
            assert named <= set(organized["renameByName"].values())


@pytest.mark.parametrize("board", ["iris-overview"])
def test_the_feed_without_loki_has_fifty_rows_at_most(board: str) -> None:
    """Its second query adds a column and no row: it is cut to the rows of the first."""
    (panel,) = (found for found in boards.panels(BOARDS[board]) if found["title"] == "Latest kinds of event")
    first, second = (target["expr"] for target in panel["targets"])
    latest = re.fullmatch(r"1000 \* (topk\(50, max by \((.+?)\) \(.*\)\))", first)
    assert latest
    assert second.endswith(f" and {latest[1]}")
    assert second.startswith(f"sum by ({latest[2]}) ")
    assert FEED_ROWS == 50
    assert "At most 50 rows" in panel["description"]
    assert "no list of events" in panel["description"]


def test_the_feed_of_loki_is_the_newest_fifty_lines_with_their_time() -> None:
    feeds = [
        panel
        for board in ("iris-overview", "iris-project")
        for panel in boards.panels(BOARDS[board])
        if panel["type"] == "logs"
    ]
    assert len(feeds) == 2
    for panel in feeds:
        (target,) = panel["targets"]
        assert (target["maxLines"], target["queryType"]) == (50, "range")
        options = panel["options"]
        assert (options["showTime"], options["sortOrder"], options["dedupStrategy"]) == (True, "Descending", "none")
        assert "{{__line__}}" in target["expr"], "the message"
