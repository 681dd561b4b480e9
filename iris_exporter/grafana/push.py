"""Put dashboards, their folder and data sources into a Grafana; those that are the same are left alone."""

import difflib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from iris_exporter.grafana.client import Grafana, Json

FOLDER_UID = "iris"
MESSAGE = "pushed by iris-exporter"

# Grafana's own bookkeeping, in every dashboard and data source that it answers.
_DASHBOARD_BOOKS = ("id", "version")
_PANEL_BOOKS = ("pluginVersion",)
_DATASOURCE_BOOKS = ("id", "orgId", "version", "readOnly", "typeLogoUrl", "accessControl", "typeName", "apiVersion")


class Action(StrEnum):
    """What to do with one object."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """One object of a push. `diff` is unified, empty unless the action is `update`."""

    kind: str
    uid: str
    action: Action
    diff: str = ""


def push(
    grafana: Grafana,
    dashboards: Iterable[Json],
    datasources: Iterable[Json],
    *,
    folder_title: str,
    dry_run: bool,
    report: Callable[[Change], None],
) -> None:
    """Create and update objects, data sources first, and report each one when Grafana has taken it.

    With `dry_run` nothing is changed, and each object is reported when it has been compared.

    Raises:
        GrafanaError: Of the first object that failed, which is not reported.
    """

    def apply(change: Change, act: Callable[[], None]) -> None:
        if change.action is not Action.UNCHANGED and not dry_run:
            act()
        report(change)

    for wanted in datasources:
        source = grafana.datasource(wanted["uid"])
        if source is None:
            apply(datasource_change(wanted, None), partial(grafana.create_datasource, wanted))
        else:
            act = partial(grafana.update_datasource, datasource_update(wanted, source))
            apply(datasource_change(wanted, source), act)
    # Its title is left to those who use it.
    action = Action.CREATE if grafana.folder(FOLDER_UID) is None else Action.UNCHANGED
    apply(Change("folder", FOLDER_UID, action), partial(grafana.create_folder, FOLDER_UID, folder_title))
    for wanted in dashboards:
        found = grafana.dashboard(wanted["uid"])
        there, meta = (None, {}) if found is None else (found["dashboard"], found["meta"])
        version = None if there is None else there["version"]
        change = dashboard_change(wanted, there, FOLDER_UID, meta.get("folderUid", ""))
        apply(change, partial(grafana.save_dashboard, wanted, FOLDER_UID, version, MESSAGE))


def dashboard_change(wanted: Json, there: Json | None, folder_uid: str, there_folder: str) -> Change:
    """What to do about a dashboard; `there` is None, or its JSON in Grafana, which lies in `there_folder`.

    A Grafana may give a dashboard back with more than was sent: its own bookkeeping, fields that say nothing, its
    built-in annotation. In a schema newer than what was sent, whatever it has added counts as its own.
    """
    uid = wanted["uid"]
    if there is None:
        return Change("dashboard", uid, Action.CREATE)
    stored = {key: value for key, value in there.items() if key not in _DASHBOARD_BOOKS}
    moved = f"-folder: {there_folder}\n+folder: {folder_uid}\n" if folder_uid != there_folder else ""
    schema = stored.get("schemaVersion")
    newer = isinstance(schema, int) and schema > wanted.get("schemaVersion", 0)
    sent = {key: value for key, value in wanted.items() if key != "schemaVersion" or not newer}
    same = _as_sent(stored, sent, migrated=newer)
    if same and not moved:
        return Change("dashboard", uid, Action.UNCHANGED)
    return Change("dashboard", uid, Action.UPDATE, moved + ("" if same else _diff(uid, stored, wanted)))


def datasource_change(wanted: Json, there: Json | None) -> Change:
    """What to do about a data source; only what is wanted is compared, since Grafana fills in much more."""
    uid = wanted["uid"]
    if there is None:
        return Change("data source", uid, Action.CREATE)
    if _contains(there, wanted):
        return Change("data source", uid, Action.UNCHANGED)
    before = {key: value for key, value in there.items() if key not in _DATASOURCE_BOOKS}
    return Change("data source", uid, Action.UPDATE, _diff(uid, before, datasource_update(wanted, there)))


def datasource_update(wanted: Json, there: Json) -> Json:
    """What to send in place of a data source, so that what others have set (a password, a limit) stays."""
    others = {key: value for key, value in there.items() if key not in _DATASOURCE_BOOKS}
    settings = {**(there.get("jsonData") or {}), **wanted.get("jsonData", {})}
    return {**others, **wanted, "jsonData": settings}


def _as_sent(there: Any, sent: Any, *, migrated: bool) -> bool:
    """Whether Grafana has what was sent, whatever it has added to it; `migrated` when in another schema."""
    if isinstance(sent, dict) and isinstance(there, dict):
        added = [value for key, value in there.items() if key not in sent and key not in _PANEL_BOOKS]
        if not migrated and not all(map(_says_nothing, added)):
            return False
        return all(
            _as_sent(there[key], value, migrated=migrated) if key in there else _says_nothing(value)
            for key, value in sent.items()
        )
    if isinstance(sent, list) and isinstance(there, list):
        there = [each for each in there if each in sent or not (isinstance(each, dict) and each.get("builtIn"))]
        return len(there) == len(sent) and all(
            _as_sent(*pair, migrated=migrated) for pair in zip(there, sent, strict=True)
        )
    return bool(there == sent)


def _says_nothing(value: Any) -> bool:
    """Whether a field means the same when it is left out."""
    return value in (None, False, 0, "", [], {})


def _contains(whole: Any, part: Any) -> bool:
    """Whether `part` is in `whole`: objects may have more, lists and values are the same."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_contains, whole, part))
    return bool(part == whole)


def _diff(uid: str, before: Json, after: Json) -> str:
    old, new = (json.dumps(each, indent=2, sort_keys=True, ensure_ascii=False).splitlines() for each in (before, after))
    lines = difflib.unified_diff(old, new, f"{uid} in Grafana", f"{uid} here", lineterm="", n=2)
    return "\n".join(lines) + "\n"
