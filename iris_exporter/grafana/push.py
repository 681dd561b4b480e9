"""Put dashboards, their folder and data sources into a Grafana; what is as it should be is left alone."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
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
) -> None:
    """Do what has to be done, data sources first, and tell about each thing when Grafana has taken it.

    With `dry_run` nothing is done, and each thing is told when it has been compared. What fails is not told.
    """

    def settle(change: Change, act: Callable[[], None]) -> None:
        if change.verdict is not Verdict.UNCHANGED and not dry_run:
            act()
        tell(change)

    for wanted in datasources:
        source = api.datasource(wanted["uid"])
        if source is None:
            settle(datasource_change(wanted, None), partial(api.create_datasource, wanted))
        else:
            act = partial(api.update_datasource, datasource_update(wanted, source))
            settle(datasource_change(wanted, source), act)
    folder = folder_change(FOLDER_UID, api.folder(FOLDER_UID))
    settle(folder, partial(api.create_folder, FOLDER_UID, folder_title))
    for wanted in dashboards:
        found = api.dashboard(wanted["uid"])
        there, meta = (None, {}) if found is None else (found["dashboard"], found["meta"])
        version = None if there is None else there["version"]
        change = dashboard_change(wanted, there, FOLDER_UID, meta.get("folderUid", ""))
        settle(change, partial(api.save_dashboard, wanted, FOLDER_UID, version, MESSAGE))
