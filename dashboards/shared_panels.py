"""Panels that more than one dashboard shows."""

from grafana_foundation_sdk.builders import logs, statetimeline

from dashboards import base, common
from iris_exporter.core.status import State
from iris_exporter.grafana.queries import BY_STREAM, equals, select, state_code_with_attempt
from iris_exporter.instruments import catalog, signals
from iris_exporter.instruments.metric import Metric

STATES_TITLE = "State of each stream"
"""The panel that gets the reset action, where somebody asks for it: other kinds of panels than its cannot have one."""
NO_STREAM = "No stream is scraped"
NO_LOKI = "No log record: needs Loki, fed by the exporter over OTLP"


TILES = 4
"""One tile for each stream can be read while there are so many: Grafana makes all of them smaller with each more."""


def few(expr: str, metric: Metric, *matchers: str) -> str:
    """The answer to a query while at most `TILES` of the chosen streams have a metric, and nothing otherwise."""
    streams = f"count(count by ({BY_STREAM}) ({select(metric, *matchers)}))"
    return f"({expr}) and on () {streams} <= {TILES}"


def states(size: tuple[int, int]) -> statetimeline.Panel:
    """States over time, of as many streams as there is room for."""
    # Two in a line of the grid, less those of title, times and legend.
    rows = 2 * (size[1] - 4)
    live = select(catalog.STREAM_STATE, equals("state", State.LIVE))
    # As of the end of the time, so that it is the same streams all along.
    worst = f"bottomk({rows}, max by ({BY_STREAM}) (avg_over_time({live}[$__range] @ end())))"
    panel = common.timeline(
        STATES_TITLE,
        f"At most {rows} streams: those that were live for the least of this time. Live (green), connecting with the "
        "number of failed attempts (yellow), polling while the live stream is away (orange), error: polling fails too, "
        "or the source refuses us (red), disconnected by hand (grey). Sampled at each scrape: a shorter state may be "
        "missing here, and is still counted among attempts and disconnects.",
        common.metrics(f"{state_code_with_attempt()} and on ({BY_STREAM}) {worst}", "{{stream}} {{instance}}"),
        unit=common.ATTEMPT_UNIT,
        empty=NO_STREAM,
        size=size,
        mappings=common.state_mappings(),
    )
    base.data_links(panel, base.sidecar_link())
    return panel


def attribute(name: str) -> str:
    """An attribute as Loki calls it: everything beside the resource is structured metadata, with `_` for dots."""
    return name.replace(".", "_")


STREAM = attribute(signals.STREAM.name)
PROJECT = attribute(signals.PROJECT.name)
EVENT_ID = attribute(signals.EVENT_ID.name)
EVENT_TYPE = attribute(signals.EVENT_TYPE.name)
STATE_TO = attribute(signals.TO.name)


def events_in_loki(*filters: str) -> str:
    """LogQL for the events of the chosen streams."""
    stages = (f'{EVENT_ID} != ""', f'{STREAM} =~ "$stream"', *filters)
    text = f'line_format "{{{{.{PROJECT}}}}} {{{{.{EVENT_TYPE}}}}}: {{{{__line__}}}}"'
    return f'{{service_name="{common.SERVICE_NAME}"}} | {" | ".join(stages)} | {text}'


def states_in_loki() -> str:
    """LogQL for the changes of state of the chosen streams."""
    return f'{{service_name="{common.SERVICE_NAME}"}} | {STATE_TO} != "" | {STREAM} =~ "$stream"'


def records_in_loki(stream: str) -> str:
    """LogQL for all records of one stream."""
    return f'{{service_name="{common.SERVICE_NAME}"}} | {STREAM} = "{stream}"'


def spans_in_tempo(stream: str) -> str:
    """TraceQL for all spans of one stream."""
    return f'{{ resource.service.name = "{common.SERVICE_NAME}" && span.{signals.STREAM.name} = "{stream}" }}'


def activity(title: str, size: tuple[int, int], *filters: str) -> logs.Panel:
    """The activity feed: the last 50 events."""
    return common.feed(
        title,
        "The last 50 events, newest first, with project, type and message; a click on a line shows its attributes. "
        "Read from Loki, which gets them from the exporter as log records over OTLP.",
        events_in_loki(*filters),
        empty=NO_LOKI,
        size=size,
    )
