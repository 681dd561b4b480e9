"""IRIS live: the old page's state, cards and feed on Grafana Live, which the exporter pushes to as things change.

There is no past here, and no PromQL: a panel holds what has been pushed since it was opened.
"""

from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, table
from grafana_foundation_sdk.builders.common import ReduceDataOptions
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
_STREAM = "${__field.labels.stream}"


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
    for panel in (badge(), *cards(), feed()):
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


def badge() -> stat.Panel:
    """The badge of the old page, one for each stream."""
    panel = _figure(
        "Streams",
        "State of each stream, as it changes: live (green), connecting (yellow), polling (orange), error (red), "
        "disconnected by hand (grey). Repeated every five seconds.",
        (STATE, "state"), "string", unit="string", size=(24, 5),
    )  # fmt: skip
    # A text is no number, which is all that an empty choice of fields takes; the time is none of the states.
    panel.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]).fields("/^(?![Tt]ime$)/").values(False))
    panel.color_mode(shared.BigValueColorMode.BACKGROUND).text_mode(shared.BigValueTextMode.VALUE_AND_NAME)
    texts = {state.value: (state.value.capitalize(), colour) for state, colour in common.STATE_COLOURS.items()}
    return panel.mappings([common.values(texts)])


def cards() -> list[stat.Panel]:
    """The four cards of the old page."""
    wanted = (
        ("Active Runs", "Runs today, as the source counts them.", "runs_today", "short", common.PLAIN),
        ("Success Rate", "Share of successful runs.", "success_ratio", "percentunit", common.SUCCESS),
        ("Active Experts", "Experts at work now.", "active_experts", "short", common.PLAIN),
        ("Total Projects", "Projects that the source knows.", "projects", "short", common.PLAIN),
    )
    panels = []
    for title, text, name, unit, steps in wanted:
        panel = _figure(title, text, (CARDS, name), "number", unit=unit, size=(6, 5))
        panel.thresholds(common.thresholds(steps)).graph_mode(shared.BigValueGraphMode.AREA)
        panels.append(panel.text_mode(shared.BigValueTextMode.VALUE_AND_NAME))
    return panels


def _figure(title: str, text: str, what: tuple[str, str], kind: str, *, unit: str, size: tuple[int, int]) -> stat.Panel:
    measurement, name = what
    panel = common.card(title, text, unit=unit, empty=NOTHING, size=size).datasource(LIVE)
    panel.with_target(Measurement(measurement, (name,)))
    return panel.override_by_field_type(kind, [common.override("displayName", _STREAM)])


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
        f"The events since this page was opened, newest first. At a burst the last {EVENTS} of each tenth of a second "
        "are shown and the others counted in iris_exporter_live_dropped_lines_total; none is missing among metrics.",
        empty=NOTHING, size=(24, 14), columns=COLUMNS, sort=[("Time", True)],
    ).datasource(LIVE)  # fmt: skip
    return panel.with_target(Measurement(EVENT, tuple(name for name in COLUMNS if name != "time")))
