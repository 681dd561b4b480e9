"""Whether a dashboard in a Grafana is the shipped one, whatever may rightly be different in it.

Rightly different are the folder, the button that resets a stream, and the address of the runbooks.
"""

import json
import re
from typing import Any

from iris_exporter.grafana.files import PANELS_WITH_RESET, RUNBOOK, with_reset
from iris_exporter.grafana.push import FOLDER_UID, Action, dashboard_change

Json = dict[str, Any]

_RESET = re.compile(r"^(.*)/api/v1/streams/[^/]+/reset$")


def is_shipped(wanted: Json, there: Json) -> bool:
    """Whether the dashboard `there` says the same as the shipped one."""
    base = _reset_base(there)
    expected = wanted if base is None else with_reset(wanted, base)
    change = dashboard_change(_with_runbooks_of(there, expected), there, FOLDER_UID, FOLDER_UID)
    return change.action is Action.UNCHANGED


def board_list(board: Json, *keys: str) -> list[Json]:
    """The objects in a list of a dashboard that somebody else may have written; none where something else is there."""
    found: Any = board
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _reset_base(there: Json) -> str | None:
    """What the address of the button begins with; None without a button."""
    for panel in board_list(there, "panels"):
        if panel.get("title") not in PANELS_WITH_RESET:
            continue
        try:
            url = panel["fieldConfig"]["defaults"]["actions"][0]["fetch"]["url"]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(url, str) and (found := _RESET.match(url)):
            return found[1]
    return None


def _with_runbooks_of(there: Json, wanted: Json) -> Json:
    """The dashboard `wanted` with the links to runbooks that the other one has."""
    text = json.dumps(wanted)
    shipped, found = RUNBOOK.search(text), RUNBOOK.search(json.dumps(there))
    if shipped is None or found is None:
        return wanted
    changed: Json = json.loads(text.replace(f'"{shipped[1]}#', f'"{found[1]}#'))
    return changed
