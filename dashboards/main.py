"""Write the dashboards to dashboards/json/."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import connection, exporter, live, overview, project
from dashboards.base import UIDS
from iris_exporter.grafana.panel_ids import panel_id

DIRECTORY = Path(__file__).resolve().parent / "json"
BOARDS = {"overview": overview, "project": project, "connection": connection, "exporter": exporter, "live": live}
SCHEMA_VERSION = 36
"""That of Grafana 9.0, the oldest that loads these; newer ones migrate it as they load."""


def document(board: build.Dashboard) -> dict[str, Any]:
    """The JSON of a dashboard: panels with ids that last, without fields that say nothing here."""
    found: dict[str, Any] = json.loads(JSONEncoder().encode(board.build()))
    found["schemaVersion"] = SCHEMA_VERSION
    for variable in found["templating"]["list"]:
        foreign = (
            ("definition",) if variable["type"] == "interval" else ("auto", "auto_count", "auto_min", "definition")
        )
        for name in foreign:
            variable.pop(name, None)
    _place_closed_rows(found["panels"])
    for panel in found["panels"]:
        for each in (panel, *panel.get("panels", ())):
            each["id"] = panel_id(each["title"], row=each["type"] == "row")
            each.pop("repeatDirection", None)
            # The footer that the SDK knows is off, and gone from the newest tables.
            each.get("options", {}).pop("footer", None)
            defaults = each.get("fieldConfig", {}).get("defaults", {})
            if "links" in defaults:
                defaults["links"] = [_data_link(link) for link in defaults["links"]]
    return found


def _place_closed_rows(panels: list[dict[str, Any]]) -> None:
    """Put closed rows under each other below all else, and the panels of each where they are when it alone is open."""
    closed = [panel for panel in panels if panel.get("panels")]
    below = max(_bottom(panel) for panel in panels if not panel.get("panels"))
    for number, row in enumerate(closed):
        row["gridPos"] = {"h": 1, "w": 24, "x": 0, "y": below + number}
        left, top = 0, below + number + 1
        for panel in row["panels"]:
            panel["gridPos"] |= {"x": left, "y": top}
            left += panel["gridPos"]["w"]
            if left == 24:
                left, top = 0, _bottom(panel)


def _bottom(panel: dict[str, Any]) -> int:
    place: dict[str, int] = panel["gridPos"]
    return place["y"] + place["h"]


def _data_link(link: dict[str, Any]) -> dict[str, Any]:
    return {"title": link["title"], "url": link["url"], "targetBlank": link["targetBlank"]}


def main() -> None:
    """Write every dashboard, sorted by key, so that a difference in the code is a small difference in the file."""
    DIRECTORY.mkdir(exist_ok=True)
    for name, module in BOARDS.items():
        text = json.dumps(document(module.board()), indent=2, sort_keys=True, ensure_ascii=False)
        (DIRECTORY / f"{UIDS[name]}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
