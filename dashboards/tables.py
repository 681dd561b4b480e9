"""Tables: columns with a width, so that none is cut off, and one sentence for a table without rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import prometheus, table
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from dashboards import common
from iris_exporter.grafana.queries import FINEST

EMPTY_CELL = "-"
"""The sentence for no data is that of the whole table: Grafana would print it in every empty cell, too."""
# A name that is longer than its column takes two lines. The first from Grafana 12 on, the second up to 11.
_WRAPPED = [
    common.override("custom.wrapText", True),
    common.override("custom.cellOptions", {"type": "auto", "wrapText": True}),
]
_HIDDEN = {"viz": True, "legend": False, "tooltip": False}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        heading: What stands above it, and the name by which links of the row refer to it.
        width: Pixels. Without one, Grafana gives a column 150 at least and cuts off what has no room then.
        settings: Further settings of its cells.
        grows: It takes what the others leave, `width` at least. One column of each table does.
        hidden: It is there for links of the row alone.
    """

    heading: str
    width: int
    settings: Sequence[model.DynamicConfigValue] = field(default=())
    grows: bool = False
    hidden: bool = False

    def overrides(self) -> list[model.DynamicConfigValue]:
        """What the table is told about this column."""
        size = common.override("custom.minWidth" if self.grows else "custom.width", self.width)
        found = [size, *self.settings]
        if not any(setting.id_val == "custom.cellOptions" for setting in self.settings):
            found += _WRAPPED
        if self.hidden:
            # The first up to Grafana 11, the second from 12 on.
            found += [common.override("custom.hidden", True), common.override("custom.hideFrom", _HIDDEN)]
        return found


def grid(
    title: str, description: str, *targets: prometheus.Dataquery, empty: str, size: tuple[int, int],
    columns: Mapping[str, Column], sort: Sequence[tuple[str, bool]], steps: Sequence[common.Step] = common.PLAIN,
    totals: bool = False,
) -> table.Panel:  # fmt: skip
    """A table of what the queries have in common.

    Args:
        columns: Field to column, in order; every other field is left out. The value of query A is `Value #A`, or
            `Value` where there is one query only.
        sort: Headings, the one that counts most first, and whether the largest comes first.
        totals: The query is that of bars: there is a row for each of its series, with its labels and, as `Total`, the
            sum of its bars.
    """
    panel = common.dress(table.Panel(), title, description, unit="short", empty=empty, size=size, steps=steps)
    for target in targets:
        panel.with_target(target)
    if len(targets) > 1:
        panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    if totals:
        summed = {"reducers": ["sum"], "mode": "seriesToRows", "labelsToFields": True, "includeTimeField": False}
        panel.with_transformation(model.DataTransformerConfig(id_val="reduce", options=summed))
        panel.max_data_points(common.BARS).interval(FINEST)
    return arrange(panel, columns, sort)


def arrange(panel: table.Panel, columns: Mapping[str, Column], sort: Sequence[tuple[str, bool]]) -> table.Panel:
    """Give a table its columns, as `grid` has them, after the transformations that it has already."""
    only = "^(" + "|".join(re.escape(name).replace("\\ ", " ").replace("\\#", "#") for name in columns) + ")$"
    panel.with_transformation(
        model.DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"pattern": only}})
    )
    panel.with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {name: index for index, name in enumerate(columns)},
                "renameByName": {name: column.heading for name, column in columns.items()},
            },
        )
    )
    panel.override_by_regexp("/.*/", [common.override("noValue", EMPTY_CELL)])
    for column in columns.values():
        panel.override_by_name(column.heading, column.overrides())
    order = [shared.TableSortByFieldState(display_name=heading, desc=descending) for heading, descending in sort]
    return panel.sort_by([common.Ready(found) for found in order])


def word(mappings: Sequence[common.Mapping_], *, background: bool = False) -> list[model.DynamicConfigValue]:
    """Settings of a column whose values are words with a colour."""
    options = {"type": "color-background", "mode": "basic"} if background else {"type": "color-text"}
    return [
        common.override("mappings", list(mappings)),
        common.override("custom.cellOptions", options),
        # What it stands for may be a number, which Grafana would align with the right.
        common.override("custom.align", "left"),
    ]


def graded(steps: Sequence[common.Step]) -> list[model.DynamicConfigValue]:
    """Settings of a column whose numbers have the colour of a threshold."""
    return [
        common.override("thresholds", common.thresholds(steps).build()),
        common.override("color", {"mode": "thresholds"}),
        common.override("custom.cellOptions", {"type": "color-text"}),
    ]


def number(unit: str, decimals: int | None = None) -> list[model.DynamicConfigValue]:
    """Settings of a column of numbers."""
    found = [common.override("unit", unit)]
    return found if decimals is None else [*found, common.override("decimals", decimals)]


def reasons() -> list[model.DynamicConfigValue]:
    """Settings of a column of reasons, by their label values."""
    return word([common.values({reason: (reason, colour) for reason, colour in common.REASON_COLOURS.items()})])


def severities() -> list[model.DynamicConfigValue]:
    """Settings of a column of severities, by their names."""
    texts = {name: (name.capitalize(), colour) for name, colour in common.SEVERITY_COLOURS.items()}
    return word([common.values(texts)])
