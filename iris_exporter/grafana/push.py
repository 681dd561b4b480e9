"""Put dashboards, their folder and data sources into a Grafana; those that are the same are left alone."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from iris_exporter.grafana.client import Grafana
from iris_exporter.grafana.plan import (
    Action,
    Change,
    dashboard_change,
    datasource_change,
    datasource_update,
    folder_change,
)

FOLDER_UID = "iris"
MESSAGE = "pushed by iris-exporter"

Document = dict[str, Any]


def push(
    grafana: Grafana,
    dashboards: Iterable[Document],
    datasources: Iterable[Document],
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
    folder = folder_change(FOLDER_UID, grafana.folder(FOLDER_UID))
    apply(folder, partial(grafana.create_folder, FOLDER_UID, folder_title))
    for wanted in dashboards:
        found = grafana.dashboard(wanted["uid"])
        there, meta = (None, {}) if found is None else (found["dashboard"], found["meta"])
        version = None if there is None else there["version"]
        change = dashboard_change(wanted, there, FOLDER_UID, meta.get("folderUid", ""))
        apply(change, partial(grafana.save_dashboard, wanted, FOLDER_UID, version, MESSAGE))
