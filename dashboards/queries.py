"""PromQL in pieces: the one place where a selector is written, with names and labels that the catalogue knows."""

from collections.abc import Iterable

from iris_exporter.core.status import State
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Kind, Label, Metric

_PROCESS = "Process (prometheus_client)"
_TARGET = "Target (Prometheus)"
_RULES = "Rules (Prometheus, Grafana)"


def _foreign(name: str, kind: Kind, text: str, group: str, *labels: str) -> Metric:
    return Metric(name, kind, text, group, "", tuple(Label(label) for label in labels))


# What our catalogue leaves to others. The first group is on our own page, unless --web.disable-exporter-metrics;
# the second is what Prometheus itself writes down for each target.
CPU = _foreign("process_cpu_seconds_total", Kind.COUNTER, "CPU time.", _PROCESS)
MEMORY = _foreign("process_resident_memory_bytes", Kind.GAUGE, "Resident memory.", _PROCESS)
START_TIME = _foreign("process_start_time_seconds", Kind.GAUGE, "Start of the process.", _PROCESS)
OPEN_FILES = _foreign("process_open_fds", Kind.GAUGE, "Open file descriptors.", _PROCESS)
MAX_FILES = _foreign("process_max_fds", Kind.GAUGE, "Limit of file descriptors.", _PROCESS)
TARGET_UP = _foreign("up", Kind.GAUGE, "Whether the last scrape worked.", _TARGET)
TARGET_DURATION = _foreign("scrape_duration_seconds", Kind.GAUGE, "Duration of the last scrape.", _TARGET)
TARGET_SAMPLES = _foreign("scrape_samples_scraped", Kind.GAUGE, "Samples of the last scrape.", _TARGET)

# Alerts as series: those that Prometheus evaluates, and those of a Grafana that keeps their history in a Prometheus.
_OF_ALERTS = ("alertname", "alertstate", "severity", "concern", "stream", "project")
ALERTS = _foreign("ALERTS", Kind.GAUGE, "Pending and firing alerts of Prometheus.", _RULES, *_OF_ALERTS)
GRAFANA_ALERTS = _foreign("GRAFANA_ALERTS", Kind.GAUGE, "The same of Grafana.", _RULES, *_OF_ALERTS)

FOREIGN: tuple[Metric, ...] = (
    CPU, MEMORY, START_TIME, OPEN_FILES, MAX_FILES, TARGET_UP, TARGET_DURATION, TARGET_SAMPLES, ALERTS, GRAFANA_ALERTS,
)  # fmt: skip
"""Metrics that queries may name beside those of the catalogue."""

BY_STREAM = "job, instance, stream"

STATE_CODES: dict[State, int] = {
    State.CONNECTING: 0,
    State.LIVE: -1,
    State.POLLING: -2,
    State.ERROR: -3,
    State.DISCONNECTED: -4,
}
"""A state as one number, for value mappings. A positive number is `connecting` after that many failed attempts."""

STATUS_CODES: dict[str, int] = {status: code for code, status in enumerate(catalog.STATUSES)}
"""A project's status as one number."""


def select(metric: Metric, *matchers: str, sample: str = "", offset: str = "") -> str:
    """A selector of the series that the dashboard's variables choose.

    Args:
        metric: It gets `stream=~"$stream"` where it has that label.
        matchers: Further ones, as in `severity="error"`.
        sample: Ending of the sample's name, as in `_bucket`.
        offset: How long ago, as in `1h`; empty is now.
    Raises:
        ValueError: The metric has no such label, or no such sample.
    """
    if metric.name + sample not in metric.sample_names:
        raise ValueError(f"{metric.name} has no sample {metric.name}{sample}")
    for matcher in matchers:
        label = matcher.partition("=")[0].rstrip("!")
        if label not in metric.label_names:
            raise ValueError(f"{metric.name} has no label {label}")
    stream = ['stream=~"$stream"'] if "stream" in metric.label_names else []
    chosen = ", ".join(['job=~"$job"', 'instance=~"$instance"', *stream, *matchers])
    return f"{metric.name}{sample}{{{chosen}}}" + (f" offset {offset}" if offset else "")


def equals(label: str, value: str) -> str:
    """A matcher for one plain value."""
    return f'{label}="{value}"'


def any_of(label: str, values: Iterable[str]) -> str:
    """A matcher for one of several plain values."""
    return f'{label}=~"{"|".join(values)}"'


def firing(*matchers: str) -> str:
    """Our alerts that fire, whoever evaluates them; also those of no stream, no exporter or no job in particular."""
    choice = (f'{label}=~"${label}|"' for label in ("job", "instance", "stream"))
    chosen = ", ".join(('alertstate="firing"', 'alertname=~"Iris.+"', *choice, *matchers))
    return f"({ALERTS.name}{{{chosen}}} or {GRAFANA_ALERTS.name}{{{chosen}}})"


def rate(metric: Metric, *matchers: str, sample: str = "") -> str:
    """Events per second of a counter."""
    return f"rate({select(metric, *matchers, sample=sample)}[$__rate_interval])"


def increase(metric: Metric, *matchers: str, over: str = "$__rate_interval") -> str:
    """How much a counter grew within `over`."""
    return f"increase({select(metric, *matchers)}[{over}])"


def quantile(share: float, metric: Metric) -> str:
    """A quantile of a histogram over all chosen streams."""
    return f"histogram_quantile({share:g}, sum by (le) ({rate(metric, sample='_bucket')}))"


def guarded_quantile(share: float, metric: Metric, by: str) -> str:
    """A quantile of a histogram for each of `by`; nothing, rather than NaN, for what was not counted in this time."""
    buckets = f"histogram_quantile({share:g}, sum by ({by}, le) ({rate(metric, sample='_bucket')}))"
    return f"{buckets} and on ({by}) sum by ({by}) ({rate(metric, sample='_count')}) > 0"


def code(metric: Metric, codes: Iterable[tuple[str, int]], by: str, *matchers: str) -> str:
    """One number for each stateset, whose last label is the state: that of the state which holds."""
    label = metric.label_names[-1]
    chosen = [(number, select(metric, *matchers, equals(label, value))) for value, number in codes]
    terms = [f"{number} * {selector}" for number, selector in chosen]
    return f"sum by ({by}) ({' or '.join(terms)})"


def state_code() -> str:
    """The state of each stream as one of `STATE_CODES`."""
    return code(catalog.STREAM_STATE, [(state.value, number) for state, number in STATE_CODES.items()], BY_STREAM)


def state_code_with_attempt() -> str:
    """The same, but the number of failed attempts while connecting."""
    attempts = f"sum by ({BY_STREAM}) ({select(catalog.RECONNECT_ATTEMPT)})"
    state = select(catalog.STREAM_STATE, equals("state", State.CONNECTING))
    connecting = f"sum by ({BY_STREAM}) ({state})"
    return f"{state_code()} + on ({BY_STREAM}) {attempts} * on ({BY_STREAM}) {connecting}"


def status_code(*matchers: str) -> str:
    """The status of each project as one of `STATUS_CODES`."""
    return code(catalog.PROJECT_STATUS, STATUS_CODES.items(), "stream, project", *matchers)
