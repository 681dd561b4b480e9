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
_OF_ALERTS = ("alertname", "alertstate", "severity", "concern", "stream", "project", "mapping")
ALERTS = _foreign("ALERTS", Kind.GAUGE, "Pending and firing alerts of Prometheus.", _RULES, *_OF_ALERTS)
GRAFANA_ALERTS = _foreign("GRAFANA_ALERTS", Kind.GAUGE, "The same of Grafana.", _RULES, *_OF_ALERTS)

FOREIGN: tuple[Metric, ...] = (
    CPU, MEMORY, START_TIME, OPEN_FILES, MAX_FILES, TARGET_UP, TARGET_DURATION, TARGET_SAMPLES, ALERTS, GRAFANA_ALERTS,
)  # fmt: skip
"""Metrics that queries may name beside those of the catalogue."""

BY_STREAM = "job, instance, stream"

RESOLUTION = "$resolution"
"""How often `growth` looks for a reset."""
FINEST = "5s"
"""The least `$resolution`, and the least length of a bar: a bar is looked at a whole number of times."""
_REMEMBERED = "1h"
"""How long a value counts as the last one before: longer than an outage of Prometheus or of a target."""

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
    """A matcher for one value."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}="{escaped}"'


def any_of(label: str, values: Iterable[str]) -> str:
    """A matcher for one of several plain values."""
    return f'{label}=~"{"|".join(values)}"'


def firing(*matchers: str) -> str:
    """Our alerts that fire, and those of mappings, whoever evaluates them.

    Also those of no stream, no exporter or no job in particular.
    """
    choice = (f'{label}=~"${label}|"' for label in ("job", "instance", "stream"))
    chosen = ", ".join(('alertstate="firing"', *choice, *matchers))
    found = (
        f"{metric.name}{{{which}, {chosen}}}"
        for metric in (ALERTS, GRAFANA_ALERTS)
        for which in ('alertname=~"Iris.+"', 'mapping!=""')
    )
    return f"({' or '.join(found)})"


def rate(metric: Metric, *matchers: str, sample: str = "") -> str:
    """Events per second of a counter."""
    return f"rate({select(metric, *matchers, sample=sample)}[$__rate_interval])"


def growth(metric: Metric, *matchers: str, over: str = "$__interval") -> str:
    """How much each series of a counter grew within `over`: exactly, so that neighbouring windows add up to the whole.

    It is the last value of the window less the last one before it, plus what the counter had reached each time it
    began anew. `increase` cannot be added up: it leaves out what happened between two windows, and multiplies what it
    found to make up for that.

    A reset is found by looking at the series every `$resolution` (a variable of each dashboard), which is exact as long
    as that is not longer than the scrape interval; beyond, what was counted between the last look and the reset is
    missing. A failed scrape, and a hole of up to `_REMEMBERED`, loses nothing. The first value of a series counts in
    full when its target was scraped at the beginning of the window: then it is a new series of a known process. The
    first value on a target that was not is left out: it may have been counted any time ago.

    Every multiple of `over` from the Unix epoch is a good time to ask, as Grafana does for a graph. At another
    time a reset is seen up to `$resolution` late.
    """
    counter, target = select(metric, *matchers), select(TARGET_UP, offset=over)
    last = f"last_over_time({counter}[{over}])"
    before = f"last_over_time({counter}[{_REMEMBERED}] offset {over})"
    new = f"0 * {last} and on (job, instance) {target} == 1"
    first = f"min_over_time({counter}[{over}])"
    # One millisecond later, so that a window has one of its ends alone: Prometheus 2 includes both, Prometheus 3 one.
    fallen = f"last_over_time({counter}[{_REMEMBERED}] offset {RESOLUTION}) > {counter}"
    resets = f"sum_over_time(({fallen})[{over}:{RESOLUTION}] offset -1ms)"
    return f"{last} - ({before} or {new} or {first}) + ({resets} or 0 * {last})"


def counted(metric: Metric, by: str, *matchers: str, over: str = "$__interval") -> str:
    """`growth` in total (`by` empty) or by labels; nothing where nothing was counted, so that idle series draw none."""
    return f"{total(growth(metric, *matchers, over=over), by)} > 0"


def named(**terms: str) -> str:
    """Several terms as one query, told apart by the label `series`; a space is written as `_`."""
    return " or ".join(
        f'label_replace({expr}, "series", "{name.replace("_", " ")}", "", "")' for name, expr in terms.items()
    )


def total(expr: str, by: str) -> str:
    """The sum over all series, or by labels."""
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def age(metric: Metric, *matchers: str) -> str:
    """Seconds from a time that a gauge gives to the scrape that read it: the scrape's own age is no part of it.

    A scrape has the time at which it began: what came while it was read would have an age below 0.
    """
    reached = select(metric, *matchers)
    return f"clamp_min(timestamp({reached}) - {reached}, 0)"


def left(metric: Metric, *matchers: str) -> str:
    """Seconds from the scrape that read a gauge to the time in the future that it gives."""
    reached = select(metric, *matchers)
    return f"{reached} - timestamp({reached})"


def quantile(share: float, metric: Metric, by: str = "") -> str:
    """A quantile of a histogram in total or by labels; nothing, rather than NaN, where nothing was counted."""
    buckets = total(rate(metric, sample="_bucket"), f"le, {by}" if by else "le")
    counts = total(rate(metric, sample="_count"), by)
    return f"histogram_quantile({share:g}, {buckets}) and on ({by}) {counts} > 0"


def median_and_p99(metric: Metric, by: str) -> str:
    """Two quantiles of a histogram as one query, told apart by the label `series`."""
    return named(median=quantile(0.5, metric, by), p99=quantile(0.99, metric, by))


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
