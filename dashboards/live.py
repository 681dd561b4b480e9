"""IRIS live: the old page's state, cards and feed on Grafana Live, which the exporter pushes to as things change.

There is no past here, and no PromQL: a panel holds what has been pushed since it was opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from dashboards import base, common, tables
from dashboards.tables import Column

LIVE = shared.DataSourceRef(type_val="datasource", uid="-- Grafana --")
"""Grafana's own data source; every installation has it."""
CHANNEL = "iris"
"""The default of `--live.channel`."""
EVENTS = 50
STATE, CARDS, EVENT = "iris_state", "iris_cards", "iris_event"
NOTHING = "Nothing pushed yet: is --live.url set?"


@dataclass
class Measurement(Dataquery, Builder[Dataquery]):
    """A subscription to what is pushed under one name; `fields` are those to show."""

    name: str
    fields: tuple[str, ...]
    buffer: int | None = None
    ref_id_val: str = field(default="A")

    def build(self) -> Dataquery:
        """It is built already."""
        return self

    def to_json(self) -> dict[str, object]:
        """As Grafana's own data source saves it."""
        found: dict[str, object] = {
            "refId": self.ref_id_val,
            "datasource": LIVE,
            "queryType": "measurements",
            "channel": f"stream/${{channel}}/{self.name}",
            "filter": {"fields": ["time", *self.fields]},
        }
        return found if self.buffer is None else {**found, "buffer": self.buffer}


def board() -> build.Dashboard:
    """The whole dashboard."""
    others = build.DashboardLink("Dashboards").type(model.DashboardLinkType.DASHBOARDS).tags([base.TAG])
    others.icon("external link").as_dropdown(True).include_vars(True).keep_time(True)
    others.tooltip("The other dashboards, which show the past")
    found = (
        build.Dashboard("IRIS live")
        .uid(base.UIDS["live"])
        .description("State, cards and events of IRIS as they change, a fraction of a second later; needs --live.url.")
        .tags([base.TAG, "live"])
        .readonly()
        .timezone("browser")
        .time("now-5m", "now")
        .live_now(True)
        .annotations([])
        .link(others)
        .with_variable(_channel())
    )
    for panel in (states(), *cards(), figures(), feed()):
        found.with_panel(panel)
    return found


def _channel() -> build.TextBoxVariable:
    return (
        build.TextBoxVariable("channel")
        .label("Channel")
        .description("What --live.channel of the exporters says")
        .default_value(CHANNEL)
        .current(model.VariableOption(selected=True, text=CHANNEL, value=CHANNEL))
    )


def _transformed(identifier: str, **options: Any) -> model.DataTransformerConfig:
    return model.DataTransformerConfig(id_val=identifier, options=options)


# What is pushed has a field for each stream: the last value of each becomes a row.
_LAST = {"reducers": ["lastNotNull"], "mode": "seriesToRows"}


def _of_each_stream(
    title: str,
    text: str,
    measurement: str,
    columns: Mapping[str, Column],
    sort: tuple[str, bool],
    size: tuple[int, int],
) -> table.Panel:
    """A table with a row for each stream, of any number; `sort` is a field, and whether the largest is first."""
    panel = table.Panel().title(title).description(text).datasource(LIVE).unit("short").no_value(NOTHING)
    panel.thresholds(common.thresholds(common.PLAIN)).span(size[0]).height(size[1])
    panel.with_target(Measurement(measurement, tuple(name for name in columns if name != _STREAM)))
    panel.with_transformation(_transformed("reduce", **_LAST, labelsToFields=True))
    panel.with_transformation(
        _transformed("groupingToMatrix", columnField="Field", rowField="stream", valueField="Last *", emptyValue="null")
    )
    # Not by the table itself, which may not sort by a column that it hides.
    field, descending = sort
    panel.with_transformation(_transformed("sortBy", fields={}, sort=[{"field": field, "desc": descending}]))
    tables.arrange(panel, columns, [])
    return panel.max_data_points(_REMEMBERED)


_STREAM = "stream\\Field"
"""How Grafana calls the column of streams that it has made."""
_REMEMBERED = 2000
"""Lines that a panel keeps, of all streams: each is repeated every five seconds."""


def states() -> table.Panel:
    """The badges of the old page, as a table: it can be read with 200 streams, too."""
    words = {state.value: (state.value.capitalize(), colour) for state, colour in common.STATE_COLOURS.items()}
    return _of_each_stream(
        "Streams",
        "State of each stream, as it changes, the worst first; repeated every five seconds. Reason: the last failure, "
        "for as long as the stream is not as it should be. Attempt: how many have failed since it was last stable.",
        STATE,
        {
            "state": Column("State", 130, tables.word([common.values(words)], background=True)),
            _STREAM: Column("Stream", 200, grows=True),
            "reason": Column("Reason", 180, tables.reasons()),
            "protocol": Column("Protocol", 120),
            "attempt": Column("Attempt", 100),
            "rank": Column("Rank", 10, hidden=True),
        },
        ("rank", True),
        (24, 8),
    )


def cards() -> list[stat.Panel]:
    """The four cards of the old page, of all streams together."""
    wanted = (
        ("Active Runs", "Runs since midnight, as the sources count them, summed", "runs_today", "locale", "sum"),
        ("Success Rate", "Share of successful runs, averaged", "success_ratio", "percentunit", "mean"),
        ("Active Experts", "Experts at work now, summed", "active_experts", "locale", "sum"),
        ("Total Projects", "Projects that the sources know, summed", "projects", "locale", "sum"),
    )
    panels = []
    for title, text, name, unit, together in wanted:
        steps = common.SUCCESS if unit == "percentunit" else common.PLAIN
        panel = common.card(
            title,
            f"{text} over the streams of the table below.",
            unit=unit,
            empty=NOTHING,
            size=(6, 4),
            steps=steps,
            names=True,
        ).datasource(LIVE)
        panel.with_target(Measurement(CARDS, (name,))).max_data_points(_REMEMBERED)
        panel.with_transformation(_transformed("reduce", **_LAST))
        panel.with_transformation(_transformed("reduce", reducers=[together], mode="reduceFields"))
        named = {"excludeByName": {"Field": True}, "indexByName": {}, "renameByName": {"Last *": f"{together} of all"}}
        panel.with_transformation(_transformed("organize", **named))
        panels.append(panel.decimals(1 if unit == "percentunit" else 0))
    return panels


def figures() -> table.Panel:
    """What the cards are made of."""
    return _of_each_stream(
        "Figures of each stream",
        "What was last pushed of each stream within the time shown; so long a stream that is silent has its figures.",
        CARDS,
        {
            _STREAM: Column("Stream", 200, grows=True),
            "runs_today": Column("Active runs", 140, tables.number("locale", 0)),
            "success_ratio": Column(
                "Success", 140, [*tables.number("percentunit", 1), *tables.graded(common.SUCCESS)]
            ),
            "active_experts": Column("Experts", 140, tables.number("locale", 0)),
            "projects": Column("Projects", 140, tables.number("locale", 0)),
        },
        (_STREAM, False),
        (24, 7),
    )  # fmt: skip


COLUMNS = {
    "time": Column("Time", 180, tables.number("dateTimeAsIso")),
    "stream": Column("Stream", 130),
    "severity": Column("Severity", 100, tables.severities()),
    "project": Column("Project", 160),
    "event_type": Column("Type", 130),
    "message": Column("Message", 300, grows=True),
}


def feed() -> table.Panel:
    """The activity feed: what has happened since the panel was opened."""
    panel = tables.grid(
        "Activity",
        f"The last {EVENTS} events since this page was opened, newest first, with the time of day. Of a burst the last "
        f"{EVENTS} of each tenth of a second are pushed and the others counted in "
        "iris_exporter_live_dropped_lines_total; none is missing among metrics.",
        empty=NOTHING, size=(24, 14), columns=COLUMNS, sort=[("Time", True)],
    ).datasource(LIVE)  # fmt: skip
    panel.with_target(Measurement(EVENT, tuple(name for name in COLUMNS if name != "time")))
    return panel.max_data_points(EVENTS)
