"""What is shipped for Grafana: dashboards and provisioning files, as they are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from iris_exporter.errors import UsageError

_HERE = Path(__file__).resolve().parent
# In a wheel they lie beside this module, in a checkout where they are made.
_PLACES = {
    "dashboards": (_HERE / "bundled/dashboards", _HERE.parents[1] / "dashboards/json"),
    "provisioning": (_HERE / "bundled/provisioning", _HERE.parents[1] / "deploy/grafana/provisioning"),
}
KINDS = ("prometheus", "loki", "tempo")
"""Kinds of data sources that the dashboards know."""

Document = dict[str, Any]


def dashboards() -> dict[str, Document]:
    """The dashboards by uid, in alphabetical order.

    Raises:
        UsageError: The installation is incomplete.
    """
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(_place("dashboards").glob("*.json"))]
    return {document["uid"]: document for document in found}


def dashboard_files() -> Iterator[tuple[Path, str]]:
    """Name and text of each dashboard's file."""
    for path in sorted(_place("dashboards").glob("*.json")):
        yield Path(path.name), path.read_text(encoding="utf-8")


def provisioning_files() -> Iterator[tuple[Path, str]]:
    """Path (below Grafana's `provisioning`) and text of each provisioning file."""
    place = _place("provisioning")
    for path in sorted(place.glob("*/*.yaml")):
        yield path.relative_to(place), path.read_text(encoding="utf-8")


def datasource(kind: str, url: str) -> Document:
    """A data source of `KINDS` at an address, the same as the provisioned one."""
    texts = [text for path, text in provisioning_files() if path.parent.name == "datasources"]
    for document in map(yaml.safe_load, texts):
        for found in document["datasources"]:
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


def _place(kind: str) -> Path:
    for place in _PLACES[kind]:
        if place.is_dir():
            return place
    raise UsageError(f"this installation of iris-exporter has no {kind} for Grafana")
