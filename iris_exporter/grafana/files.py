"""Files for Grafana: dashboards, with a button that resets a stream where it is wanted, and provisioning files.

Grafana's panel actions are requests of the reader's own browser, without credentials of Grafana. The exporter refuses
requests to switch something that come from a page of another origin, so the button works only where Grafana and the
exporter are reached at one origin: paths of one reverse proxy, which also has to decide who may post.
"""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from iris_exporter.errors import UsageError

_HERE = Path(__file__).resolve().parent
# In a wheel they lie beside this module, in a checkout where they are made.
_DIRECTORIES = {
    "dashboards": (_HERE / "bundled/dashboards", _HERE.parents[1] / "dashboards/json"),
    "provisioning": (_HERE / "bundled/provisioning", _HERE.parents[1] / "deploy/grafana/provisioning"),
}
KINDS = ("prometheus", "loki", "tempo")
"""Kinds of data sources that the dashboards know."""

PANELS_WITH_RESET = ("State of each stream",)
"""Titles of the panels that can get the button: state timelines, since stats cannot have actions."""

RUNBOOK = re.compile(r'"url": "([^"#]+)#\$\{')
"""A link of a dashboard to a runbook; what is before the heading is its group."""

Json = dict[str, Any]


def dashboards() -> dict[str, Json]:
    """The dashboards by uid, in alphabetical order.

    Raises:
        UsageError: The installation is incomplete.
    """
    found = [json.loads(text) for _, text in dashboard_files()]
    return {dashboard["uid"]: dashboard for dashboard in found}


def dashboard_files() -> Iterator[tuple[Path, str]]:
    """Name and text of each dashboard's file."""
    for path in sorted(_directory("dashboards").glob("*.json")):
        yield Path(path.name), path.read_text(encoding="utf-8")


def runbooks() -> str:
    """The address of the page with the runbooks, to which the shipped dashboards lead.

    Raises:
        UsageError: The installation is incomplete.
    """
    found = RUNBOOK.search(json.dumps(dashboards()["iris-overview"]))
    if found is None:
        raise UsageError("the dashboards of this installation of iris-exporter lead to no runbooks")
    return found[1]


def with_reset(dashboard: Json, base_url: str) -> Json:
    """A copy of a dashboard whose state panels can reset their streams.

    Args:
        base_url: Where the exporter's pages are for a browser, as in `/iris-exporter`; without a slash at its end.
    """
    changed = copy.deepcopy(dashboard)
    for panel in changed["panels"]:
        if panel["title"] in PANELS_WITH_RESET:
            panel["fieldConfig"]["defaults"]["actions"] = [_reset(base_url)]
    return changed


def _reset(base_url: str) -> Json:
    return {
        "type": "fetch",
        "title": "Reset ${__field.labels.stream}",
        "confirmation": "Forget everything about this stream and connect anew?",
        "oneClick": False,
        "fetch": {
            "method": "POST",
            "url": f"{base_url}/api/v1/streams/${{__field.labels.stream:percentencode}}/reset",
            "headers": [],
            "queryParams": [],
            "body": "",
        },
    }


def provisioning_files() -> Iterator[tuple[Path, str]]:
    """Path (below Grafana's `provisioning`) and text of each provisioning file."""
    directory = _directory("provisioning")
    for path in sorted(directory.glob("*/*.yaml")):
        yield path.relative_to(directory), path.read_text(encoding="utf-8")


def datasource(kind: str, url: str) -> Json:
    """A data source of `KINDS` at an address, the same as the provisioned one."""
    texts = [text for path, text in provisioning_files() if path.parent.name == "datasources"]
    for content in map(yaml.safe_load, texts):
        for found in content["datasources"]:
            if found["type"] == kind:
                # An API has no such word: what is pushed can be edited.
                return {**_undollared({key: value for key, value in found.items() if key != "editable"}), "url": url}
    raise KeyError(kind)


def _undollared(value: Any) -> Any:
    """A value of a provisioning file as Grafana reads it; whole variables are left to the caller."""
    if isinstance(value, dict):
        return {key: _undollared(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_undollared(inner) for inner in value]
    return re.sub(r"\$\$", "$", value) if isinstance(value, str) else value


def _directory(kind: str) -> Path:
    for directory in _DIRECTORIES[kind]:
        if directory.is_dir():
            return directory
    raise UsageError(f"this installation of iris-exporter has no {kind} for Grafana")
