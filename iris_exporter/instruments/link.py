"""The series of one stream that are computed when somebody asks: the link's status, the headline figures."""

from collections.abc import Mapping

from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Metrics
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.text import clean_label, format_value, head
from iris_exporter.model.snapshot import DataFlow

HEADLINES: tuple[tuple[Metric, str], ...] = (
    (catalog.PROJECTS, "projects"),
    (catalog.RUNS_TODAY, "runs_today"),
    (catalog.SUCCESS_RATIO, "success_ratio"),
    (catalog.ACTIVE_EXPERTS, "active_experts"),
    (catalog.REFLEXIONS, "reflexions"),
)
"""Which field of `Metrics` each headline gauge shows."""

STATUS_FIELDS = {"healthy": "healthy_projects", "warning": "warning_projects", "critical": "critical_projects"}
"""Which field of `Metrics` each status of `iris_projects_by_status` shows."""

Pairs = tuple[tuple[str, str], ...]
Series = dict[str, list[tuple[Pairs, float]]]
"""Labels (without `stream`, in alphabetical order) and values, by metric name."""


def link_series(status: LinkStatus, metrics: Metrics | None, dropped: Mapping[str, int], flow: DataFlow) -> Series:
    """The series of one stream that stand for its present; a value that is not known has none.

    `metrics` is None when the flow is silent: what was heard is too old to be shown.
    """
    connected = status.state in (State.LIVE, State.POLLING)
    up = connected and flow is not DataFlow.SILENT
    plain = {
        catalog.UP: 1 if up else 0,
        catalog.RECONNECT_ATTEMPT: 0 if status.state is State.LIVE else status.attempt,
        catalog.CONNECTED_TIMESTAMP: status.connected_at,
        catalog.NEXT_ATTEMPT_TIMESTAMP: status.next_attempt_at,
        **{metric: getattr(metrics, name, None) for metric, name in HEADLINES},
    }
    series: Series = {metric.name: [] if value is None else [((), value)] for metric, value in plain.items()}
    series[catalog.STREAM_STATE.name] = [((("state", state.value),), state is status.state) for state in State]
    series[catalog.DATA_FLOW.name] = [((("flow", name.value),), connected and name is flow) for name in DataFlow]
    endpoint, protocol = clean_label(status.endpoint), clean_label(status.protocol)
    series[catalog.STREAM_INFO.name] = [((("endpoint", endpoint), ("protocol", protocol)), 1)]
    by_status = {name: getattr(metrics, attribute, None) for name, attribute in STATUS_FIELDS.items()}
    series[catalog.PROJECTS_BY_STATUS.name] = [
        ((("status", name),), value) for name, value in by_status.items() if value is not None
    ]
    series[catalog.SERIES_DROPPED.name] = [((("metric", name),), count) for name, count in dropped.items()]
    return series


def link_lines(series: Series, tail: str) -> dict[str, str]:
    """The lines of each metric; `tail` is the stream's `stream="x"} `."""
    return {
        name: "".join([f"{head(name, pairs)}{tail}{format_value(value)}\n" for pairs, value in found])
        for name, found in series.items()
    }
