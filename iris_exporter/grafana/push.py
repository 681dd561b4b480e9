"""Put dashboards, their folder and data sources into a Grafana; what is as it should be is left alone."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from iris_exporter.grafana.plan import (
    Change,
    Verdict,
    dashboard_change,
    datasource_change,
    datasource_update,
    folder_change,
)

FOLDER_UID = "iris"
MESSAGE = "pushed by iris-exporter"

Document = dict[str, Any]


class Api(Protocol):
    """What a push asks of Grafana; see `client.Grafana`."""

    def folder(self, uid: str) -> Document | None:
        """A folder, None when there is none."""

    def create_folder(self, uid: str, title: str) -> None:
        """Make a folder."""

    def dashboard(self, uid: str) -> Document | None:
        """`dashboard` and `meta`, None when there is none."""

    def save_dashboard(self, document: Mapping[str, Any], folder_uid: str, version: int | None, message: str) -> None:
        """Create a dashboard, or change the version that was read."""

    def datasource(self, uid: str) -> Document | None:
        """A data source, None when there is none."""

    def create_datasource(self, document: Mapping[str, Any]) -> None:
        """Make a data source."""

    def update_datasource(self, document: Mapping[str, Any]) -> None:
        """Replace a data source."""


def push(
    api: Api,
    dashboards: Iterable[Document],
    datasources: Iterable[Document],
    *,
    folder_title: str,
    dry_run: bool,
    tell: Callable[[Change], None],
) -> int:
    """Do what has to be done, data sources first, and tell about each thing before it is done.

    Returns:
        How many things were changed, or would be with `dry_run`.
    """
    changes = 0

    def decided(change: Change) -> bool:
        nonlocal changes
        tell(change)
        changes += change.verdict is not Verdict.UNCHANGED
        return change.verdict is not Verdict.UNCHANGED and not dry_run

    for wanted in datasources:
        source = api.datasource(wanted["uid"])
        if decided(datasource_change(wanted, source)):
            if source is None:
                api.create_datasource(wanted)
            else:
                api.update_datasource(datasource_update(wanted, source))
    if decided(folder_change(FOLDER_UID, api.folder(FOLDER_UID))):
        api.create_folder(FOLDER_UID, folder_title)
    for wanted in dashboards:
        found = api.dashboard(wanted["uid"])
        there, meta = (None, {}) if found is None else (found["dashboard"], found["meta"])
        if decided(dashboard_change(wanted, there, FOLDER_UID, meta.get("folderUid", ""))):
            api.save_dashboard(wanted, FOLDER_UID, None if there is None else there["version"], MESSAGE)
    return changes
