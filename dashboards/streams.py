"""What comes first: how many streams are live, which alerts fire, and the streams, worst first.

A tile for each stream can be read while there are four; a table, whose first row is the worst stream, for any number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import stat, table
from grafana_foundation_sdk.models import common as shared
from grafana_foundation_sdk.models import dashboard as model

from alerts import exporter, fleet, link, source, thresholds, traffic
from alerts.model import Alert, Severity
from dashboards import base, common, shared_panels, tables
from dashboards.tables import Column
from iris_exporter.core.reasons import AUTH_REASONS
from iris_exporter.core.status import State
from iris_exporter.grafana.queries import (
    BY_STREAM,
    TARGET_UP,
    age,
    any_of,
    equals,
    firing,
    left,
    quantile,
    rate,
    select,
)
from iris_exporter.instruments import catalog, mapping_alerts
from iris_exporter.model.snapshot import DataFlow

_STEP = 1_000_000_000
"""From one rank to the next: more seconds than any state lasts, so that one number sorts by rank, then by time."""
_REMEMBERED = "1h"
"""For so long a stream is missed whose exporter does not answer Prometheus any more."""
NO_STREAM = shared_panels.NO_STREAM


def _now(state: State) -> str:
    return f"max by ({BY_STREAM}) ({select(catalog.STREAM_STATE, equals('state', state))})"


def _in(state: State) -> str:
    return f"({_now(state)} == 1)"


def _failing(*matchers: str) -> str:
    return f"max by ({BY_STREAM}) ({select(catalog.FAILURE_INFO, *matchers)})"


def _silent() -> str:
    return f"max by ({BY_STREAM}) ({select(catalog.DATA_FLOW, equals('flow', DataFlow.SILENT))}) == 1"


def _lost() -> str:
    """Streams of exporters that do not answer: nothing is known of them, and they are not to be missed for it."""
    seen = f"max by ({BY_STREAM}) (present_over_time({select(catalog.STREAM_STATE, equals('state', State.LIVE))}"
    return f"(({seen}[{_REMEMBERED}])) unless {_now(State.LIVE)}) and on (job, instance) {select(TARGET_UP)} == 0)"


_POLLED = f"({_in(State.POLLING)} unless {_failing()})"
_KEY_REFUSED = any_of("reason", AUTH_REASONS)


@dataclass(frozen=True, slots=True)
class Rank:
    """One word of the column State: its colour, which streams it is of, and the alert whose runbook says what to do."""

    word: str
    colour: str
    streams: str
    alert: Alert | None = None


RANKS = (
    Rank("Live", common.STATE_COLOURS[State.LIVE], f"({_in(State.LIVE)} unless {_silent()})"),
    Rank("Polled as set", common.STATE_COLOURS[State.LIVE], f"({_POLLED} unless {_silent()})"),
    Rank("Disconnected", common.STATE_COLOURS[State.DISCONNECTED], _in(State.DISCONNECTED), link.DISCONNECTED),
    Rank(
        "Silent",
        common.FLOW_COLOURS[DataFlow.SILENT],
        f"(({_in(State.LIVE)} or {_POLLED}) and {_silent()})",
        link.STALE,
    ),
    Rank("Not scraped", common.PURPLE, _lost(), exporter.DOWN),
    Rank(
        "Polling", common.STATE_COLOURS[State.POLLING], f"({_in(State.POLLING)} and {_failing()})", link.POLLING
    ),
    Rank("Connecting", common.STATE_COLOURS[State.CONNECTING], _in(State.CONNECTING), link.DOWN),
    Rank(
        "Error",
        common.STATE_COLOURS[State.ERROR],
        f"({_in(State.ERROR)} unless {_failing(_KEY_REFUSED)})",
        link.ERROR,
    ),
    Rank(
        "Error",
        common.STATE_COLOURS[State.ERROR],
        f"({_in(State.ERROR)} and {_failing(_KEY_REFUSED)})",
        link.UNAUTHORIZED,
    ),
)  # fmt: skip
"""From the best to the worst; the last two are one word with two runbooks, and so have one rank."""


def _rank(index: int) -> int:
    return min(index, len(RANKS) - 2) + 1


def _score() -> str:
    """Rank times `_STEP` plus the seconds in this state, with the runbook's anchor as a label."""
    terms = [
        f'label_replace({_rank(index) * _STEP} * {rank.streams}, "runbook", "{_anchor(rank)}", "", "")'
        for index, rank in enumerate(RANKS)
    ]
    lasted = f"(max by ({BY_STREAM}) ({age(catalog.STATE_CHANGED_TIMESTAMP)}) or 0 * {_lost()})"
    return f"({' or '.join(terms)}) + on ({BY_STREAM}) group_left () {lasted}"


def _anchor(rank: Rank) -> str:
    return rank.alert.anchor if rank.alert else ""


def _words() -> list[common.Mapping_]:
    return [
        model.RangeMap(
            options=model.DashboardRangeMapOptions(
                from_val=_rank(index) * _STEP,
                to=(_rank(index) + 1) * _STEP - 1,
                result=model.ValueMappingResult(text=rank.word, color=rank.colour, index=index),
            )
        )
        for index, rank in enumerate(RANKS[:-1])
    ]


def live_count(size: tuple[int, int]) -> stat.Panel:
    """As in "12 of 14 live"."""
    everyone = f"({_now(State.LIVE)} or 0 * {_lost()})"
    live, streams = f"sum({everyone})", f"count({everyone})"
    polled = f"sum({_POLLED} or 0 * {everyone})"
    also = f'label_replace(count_values("polled", {polled}), "polled", ", $1 polled as set", "polled", "([1-9].*)")'
    counted = " ".join(
        f"* on () group_left ({label}) {values}"
        for label, values in (
            ("live", f'count_values("live", {live})'),
            ("polled", f'label_replace({also}, "polled", "", "polled", "0")'),
            ("streams", f'count_values("streams", {streams})'),
        )
    )
    return common.card(
        "Live",
        "How many of the chosen streams are live. One that is polled as configured is as it should be; one whose "
        f"exporter has not answered Prometheus, for up to {_REMEMBERED}, is not live.",
        common.metrics(
            f"({live} + {polled}) / {streams} {counted}", "{{live}} of {{streams}} live{{polled}}", instant=True
        ),
        unit="percentunit",
        empty="No stream",
        size=size,
        background=True,
        steps=((None, common.RED), (1e-9, common.ORANGE), (1, common.GREEN)),
    ).text_mode(shared.BigValueTextMode.NAME)


_SEVERITIES = {Severity.CRITICAL: 3, Severity.WARNING: 2, Severity.INFO: 1}
_ALERTS = [alert for group in (link, traffic, source, exporter, fleet) for alert in group.GROUP.alerts]


def alerts(size: tuple[int, int]) -> table.Panel:
    """What fires."""
    by = "alertname, concern, job, instance, stream, project"
    terms = [f"{n} * max by ({by}) ({firing(equals('severity', severity))})" for severity, n in _SEVERITIES.items()]
    texts = {
        str(number): (severity.capitalize(), common.SEVERITY_COLOURS[severity])
        for severity, number in _SEVERITIES.items()
    }
    anchors = {alert.name: (alert.anchor, "text") for alert in _ALERTS}
    anchors |= {name: (name.lower(), "text") for name in mapping_alerts.OF_MAPPINGS}
    of_metrics = model.ValueMappingResult(text=mapping_alerts.OF_METRICS.lower(), color="text", index=len(anchors))
    others = model.RegexMap(options=model.DashboardRegexMapOptions(pattern="(Above|Below)$", result=of_metrics))
    headings = [common.override("mappings", [common.values(anchors), others])]
    runbook = base.link("Runbook", f"{thresholds.RUNBOOKS}#${{__data.fields.Runbook}}", new_tab=True)
    return tables.grid(
        "Firing alerts",
        "The alerts of this repository, and of mappings, that fire now, the most severe first, and of those the ones "
        "of the exporter, then of the link: those that Prometheus evaluates (ALERTS), and those of a Grafana that "
        "writes their state to this Prometheus (GRAFANA_ALERTS). A click leads to the runbook.",
        common.rows(f'label_replace({" or ".join(terms)}, "runbook", "$1", "alertname", "(.+)")', "A"),
        empty="No alert of Prometheus fires",
        size=size,
        columns={
            "Value": Column("Severity", 105, tables.word([common.values(texts)], background=True)),
            "concern": Column("Concern", 95),
            "alertname": Column("Alert", 210, [common.override("links", [runbook])], grows=True),
            "stream": Column("Stream", 150, [common.override("links", [_connection()])]),
            "project": Column("Project", 145),
            "instance": Column("Exporter", 190),
            "runbook": Column("Runbook", 10, headings, hidden=True),
        },
        # As it happens, that of the exporter, the link and the source: what explains the others comes first.
        sort=[("Severity", True), ("Concern", False)],
    )


def _connection() -> dict[str, object]:
    return base.link(
        "Connection of ${__data.fields.Stream}",
        f"/d/{base.UIDS['connection']}?{base.VARIABLES_WITHOUT_STREAM}&var-stream=${{__data.fields.Stream:percentencode}}"
        "&${__url_time_range}",
    )


def _explore(title: str, datasource: shared.DataSourceRef, target: dict[str, str]) -> dict[str, object]:
    return base.link(title, base.explore_url(datasource, target), new_tab=True)


def _links() -> list[dict[str, object]]:
    stream = "${__data.fields.Stream}"
    return [
        _connection(),
        _explore("Logs", common.LOKI, {"expr": shared_panels.records_in_loki(stream)}),
        _explore("Traces", common.TEMPO, {"queryType": "traceql", "query": shared_panels.spans_in_tempo(stream)}),
        base.link(
            "Its exporter's own page (connect, disconnect, reset)",
            "${scheme}://${__data.fields.Exporter}/#stream-${__data.fields.Stream:percentencode}",
            new_tab=True,
        ),
    ]


Fact = tuple[str, Column]
"""What a table of streams shows beside state and reason: a query by `BY_STREAM`, and its column."""


def traffic_facts() -> list[Fact]:
    """How much comes in, how late, and what fires."""
    alerting = f"count by ({BY_STREAM}) ({firing()})"
    known = f"max by ({BY_STREAM}) ({select(catalog.STREAM_STATE)})"
    return [
        (f"sum by ({BY_STREAM}) ({rate(catalog.MESSAGES)})", Column("Rate", 75, tables.number("cps", 1))),
        (quantile(0.95, catalog.MESSAGE_DELAY, BY_STREAM), Column("Delay p95", 85, tables.number("s"))),
        (
            f"{alerting} and {known} or 0 * {known}",
            Column("Alerts", 60, tables.graded(((None, "text"), (1, common.ORANGE)))),
        ),
    ]


def worst_first(size: tuple[int, int], facts: Sequence[Fact], exporter_width: int = 155) -> table.Panel:
    """One row for each stream, the worst one first; the width is that of the column of exporters, in pixels."""
    queries = {
        "A": _score(),
        "B": f"max by ({BY_STREAM}, reason) ({select(catalog.FAILURE_INFO)})",
        "C": f"max by ({BY_STREAM}) ({left(catalog.NEXT_ATTEMPT_TIMESTAMP)}) > 0",
        "D": f"1000 * max by ({BY_STREAM}) ({select(catalog.STATE_CHANGED_TIMESTAMP)})",
        "E": f"max by ({BY_STREAM}, protocol) ({select(catalog.STREAM_INFO)})",
    }
    more = dict(zip("FGHIJ", facts, strict=False))
    queries |= {ref: expr for ref, (expr, _) in more.items()}
    runbook = base.link("What to do", f"{thresholds.RUNBOOKS}#${{__value.raw}}", new_tab=True)
    opened = model.ValueMappingResult(text="Open", color="text", index=0)
    pattern = model.RegexMap(options=model.DashboardRegexMapOptions(pattern="iris.*", result=opened))
    return tables.grid(
        "Streams",
        "One row for each chosen stream, the worst first: error, connecting, polling because the live stream failed, "
        "not scraped (its exporter does not answer), silent, disconnected, polled as set, live; then the one that has "
        "been so for longest. Reason: the last failure, for as long as the stream is not as it should be. Next try: "
        "counted from the last scrape. A click on a name leads to connection, logs, traces and the exporter's page.",
        *(common.rows(expr, ref) for ref, expr in queries.items()),
        empty=NO_STREAM,
        size=size,
        columns={
            "Value #A": Column("State", 115, tables.word(_words(), background=True)),
            "stream": Column("Stream", 130, [common.override("links", _links())], grows=True),
            "reason": Column("Reason", 145, tables.reasons()),
            "Value #C": Column("Next try", 75, tables.number("s", 0)),
            "Value #D": Column("Since", 150, tables.number("dateTimeFromNow")),
            "protocol": Column("Protocol", 85),
            **{f"Value #{ref}": column for ref, (_, column) in more.items()},
            "runbook": Column("Runbook", 70, [
                common.override("mappings", [pattern]), common.override("links", [runbook]),
            ]),
            "instance": Column("Exporter", exporter_width),
        },
        sort=[("State", True)],
    )  # fmt: skip
