"""What a push decides, without a network."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from iris_exporter.grafana import files
from iris_exporter.grafana.client import Grafana
from iris_exporter.grafana.push import (
    Action,
    Change,
    dashboard_change,
    datasource_change,
    datasource_update,
    push,
)

BOARD = {"uid": "b", "title": "B", "schemaVersion": 36, "panels": [{"id": 1, "title": "One"}]}
SOURCE = {"uid": "s", "name": "S", "type": "prometheus", "url": "http://p", "jsonData": {"httpMethod": "POST"}}


def stored(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**document, "id": 7, "version": 3, **more}


def test_what_is_missing_is_created() -> None:
    assert dashboard_change(BOARD, None, "iris", "").action is Action.CREATE
    assert datasource_change(SOURCE, None).action is Action.CREATE


def test_what_is_the_same_is_left_alone_whatever_grafana_counts() -> None:
    assert dashboard_change(BOARD, stored(BOARD), "iris", "iris") == Change("dashboard", "b", Action.UNCHANGED)
    assert datasource_change(SOURCE, stored(SOURCE, orgId=1, readOnly=False)).action is Action.UNCHANGED


def test_a_difference_is_shown_line_by_line() -> None:
    changed = stored({**BOARD, "title": "Mine"})
    change = dashboard_change(BOARD, changed, "iris", "iris")
    assert change.action is Action.UPDATE
    assert '-  "title": "Mine"' in change.diff
    assert '+  "title": "B"' in change.diff
    assert '"version"' not in change.diff


def test_another_folder_is_a_difference() -> None:
    change = dashboard_change(BOARD, stored(BOARD), "iris", "general")
    assert (change.action, change.diff) == (Action.UPDATE, "-folder: general\n+folder: iris\n")


def test_what_a_newer_grafana_adds_as_it_migrates_is_its_own() -> None:
    migrated = stored({**BOARD, "schemaVersion": 42, "panels": [{"id": 1, "title": "One", "pluginVersion": "13"}]})
    assert dashboard_change(BOARD, migrated, "iris", "iris").action is Action.UNCHANGED
    edited = stored({**BOARD, "schemaVersion": 42, "panels": [{"id": 1, "title": "Two"}]})
    assert dashboard_change(BOARD, edited, "iris", "iris").action is Action.UPDATE
    longer = stored({**BOARD, "schemaVersion": 42, "panels": [*BOARD["panels"], {"id": 2}]})  # type: ignore[misc]
    assert dashboard_change(BOARD, longer, "iris", "iris").action is Action.UPDATE
    same_schema = stored({**BOARD, "more": 1})
    assert dashboard_change(BOARD, same_schema, "iris", "iris").action is Action.UPDATE


@pytest.mark.parametrize(
    ("added", "action"),
    [
        ({"gnetId": None, "preload": False, "links": [], "weekStart": ""}, Action.UNCHANGED),
        ({"panels": [{"id": 1, "title": "One", "pluginVersion": "9.0.0", "datasource": None}]}, Action.UNCHANGED),
        ({"annotations": {"list": [{"builtIn": 1, "name": "Annotations & Alerts"}]}}, Action.UNCHANGED),
        ({"refresh": "5s"}, Action.UPDATE),
        ({"panels": [{"id": 1, "title": "One", "description": "mine"}]}, Action.UPDATE),
        ({"panels": []}, Action.UPDATE),
        ({"annotations": {"list": [{"name": "mine"}]}}, Action.UPDATE),
    ],
)
def test_fields_that_say_nothing_are_no_difference(added: dict[str, Any], action: Action) -> None:
    board = {**BOARD, "annotations": {"list": []}}
    assert dashboard_change(board, stored({**board, **added}), "iris", "iris").action is action


@pytest.mark.parametrize("schema", [36, 42])
def test_a_field_that_says_nothing_may_be_left_out(schema: int) -> None:
    there = stored({**BOARD, "schemaVersion": schema})
    assert dashboard_change({**BOARD, "editable": False, "links": []}, there, "iris", "iris").action is Action.UNCHANGED
    assert dashboard_change({**BOARD, "refresh": "30s"}, there, "iris", "iris").action is Action.UPDATE


def test_a_data_source_keeps_what_others_have_set() -> None:
    there = stored(SOURCE, url="http://old", basicAuth=True, jsonData={"httpMethod": "GET", "timeout": 5})
    assert datasource_change(SOURCE, there).action is Action.UPDATE
    sent = datasource_update(SOURCE, there)
    assert (sent["url"], sent["basicAuth"]) == ("http://p", True)
    assert sent["jsonData"] == {"httpMethod": "POST", "timeout": 5}
    assert not {"id", "version"} & set(sent)


class Records:
    """A Grafana without anything in it, which writes down what it is asked to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def folder(self, uid: str) -> None:
        return None

    def create_folder(self, uid: str, title: str) -> None:
        self.done.append(f"folder {uid} {title}")

    def dashboard(self, uid: str) -> None:
        return None

    def save_dashboard(self, document: Mapping[str, Any], folder_uid: str, version: int | None, message: str) -> None:
        self.done.append(f"dashboard {document['uid']} {folder_uid} {version}")

    def datasource(self, uid: str) -> None:
        return None

    def create_datasource(self, document: Mapping[str, Any]) -> None:
        self.done.append(f"source {document['uid']}")

    def update_datasource(self, document: Mapping[str, Any]) -> None:
        raise AssertionError("there is nothing to update")


@pytest.mark.parametrize("dry_run", [False, True])
def test_sources_and_the_folder_come_before_what_needs_them(dry_run: bool) -> None:
    grafana, reported = Records(), list[Change]()
    push(cast("Grafana", grafana), [BOARD], [SOURCE], folder_title="IRIS", dry_run=dry_run, report=reported.append)
    assert [(change.kind, change.action) for change in reported] == [
        ("data source", Action.CREATE), ("folder", Action.CREATE), ("dashboard", Action.CREATE),
    ]  # fmt: skip
    assert grafana.done == ([] if dry_run else ["source s", "folder iris IRIS", "dashboard b iris None"])


def test_a_pushed_data_source_is_the_provisioned_one_at_another_address() -> None:
    source = files.datasource("loki", "https://loki.example")
    assert (source["uid"], source["url"]) == ("iris-loki", "https://loki.example")
    assert "editable" not in source
    # A dollar that a provisioning file has to write twice.
    assert source["jsonData"]["derivedFields"][0]["url"] == "${__value.raw}"
    with pytest.raises(KeyError):
        files.datasource("mysql", "http://x")
