"""A colour of a dashboard is one of the palette, where it has one meaning, or the colour of text."""

import json
import re
from typing import Any

import pytest

from iris_exporter.core import palette
from tests.contract import boards

BOARDS = boards.every()
KNOWN = {
    *palette.STATES.values(), *palette.SEVERITIES.values(), *palette.STATUSES.values(), *palette.FLOWS.values(),
    *palette.CLASSES.values(), *palette.REASONS.values(), "text",
}  # fmt: skip


def colours(value: Any) -> set[str]:
    """Every colour that somebody chose, wherever it is in the JSON of a panel or an annotation."""
    found = set(re.findall(r'"(?:color|fixedColor|iconColor)": "([^"]+)"', json.dumps(value)))
    return found - {"background", "value", "none"}


@pytest.mark.parametrize("name", BOARDS)
def test_every_colour_is_of_the_palette(name: str) -> None:
    for panel in boards.panels(BOARDS[name]):
        # Exemplars and the scheme of a heatmap are Grafana's.
        config = {key: value for key, value in panel.items() if panel["type"] != "heatmap" or key != "options"}
        assert colours(config) <= KNOWN, panel["title"]
    assert colours(BOARDS[name]["annotations"]) <= KNOWN


def test_a_reason_has_its_colour_in_the_table_of_streams() -> None:
    (panel,) = (found for found in boards.panels(BOARDS["iris-overview"]) if found["title"] == "Streams")
    (told,) = (
        {setting["id"]: setting["value"] for setting in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "Reason"
    )
    shown = {reason: found["color"] for reason, found in told["mappings"][0]["options"].items()}
    assert shown == palette.REASONS
    assert all(found["text"] == reason for reason, found in told["mappings"][0]["options"].items()), (
        "never colour alone"
    )
