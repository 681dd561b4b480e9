"""Builds PromQL from the catalogue, so that a name, a label or a value that does not exist cannot be written."""

from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Kind, Metric

KEY = "job, instance, stream"
"""What tells one stream of one exporter from another."""
TARGET_LABELS = ("instance", "pod")
"""Labels of the exporter's process: a rule that looks back for hours drops them, so that a restart in Kubernetes, where
both change, does not end the history."""


class UnknownNameError(ValueError):
    """A rule names a label or a value that the catalogue does not have for the metric."""


def series(
    metric: Metric, *, excluding: dict[str, tuple[str, ...]] | None = None, **labels: str | tuple[str, ...]
) -> str:
    """A selector for the series of `metric` whose labels have one of these values, and none of the excluded ones.

    Raises:
        UnknownNameError: There is no such label, or the label cannot have the value.
    """
    if metric.kind is Kind.HISTOGRAM:
        raise UnknownNameError(f"{metric.name} is a histogram: say which of its series")
    return f"{metric.name}{_matchers(metric, excluding or {}, labels)}"


def of_the_alert(selector: str, labels: tuple[str, ...]) -> str:
    """The series of a selector that agree with an alert in these labels, for `alerts.model.Cause`."""
    name, brace, matchers = selector.partition("{")
    wanted = ",".join(f"{label}=%q" for label in labels)
    return f"{name}{{{wanted}{',' if brace else '}'}{matchers}"


def most_frequent_reason(selector: str, labels: tuple[str, ...], window: str) -> str:
    """The reason that a counter of an alert's stream or exporter counted most often within the window."""
    return f"topk(1, sum by (reason) (increase({of_the_alert(selector, labels)}[{window}])) > 0)"


def buckets(metric: Metric) -> str:
    """A selector for the buckets of a histogram."""
    return f"{metric.name}_bucket"


def in_state(state: str) -> str:
    """1 for each stream that is in `state` now, nothing for the others; without the label `state`."""
    return f"max without (state) ({series(catalog.STREAM_STATE, state=state)}) == 1"


def grew(selector: str, window: str) -> str:
    """Series of a counter that grew within the window.

    `increase` alone does not see the first occurrence of a label value, whose series begins at 1 and not at 0.
    """
    return f"increase({selector}[{window}]) > 0\nor\n({selector} unless {selector} offset {window}) > 0"


def _matchers(metric: Metric, excluding: dict[str, tuple[str, ...]], labels: dict[str, str | tuple[str, ...]]) -> str:
    wanted = {name: (value,) if isinstance(value, str) else value for name, value in labels.items()}
    parts = [_matcher(metric, name, values, "=", "=~") for name, values in wanted.items()]
    parts += [_matcher(metric, name, values, "!=", "!~") for name, values in excluding.items()]
    return f"{{{','.join(parts)}}}" if parts else ""


def _matcher(metric: Metric, name: str, values: tuple[str, ...], one: str, several: str) -> str:
    label = next((label for label in metric.labels if label.name == name), None)
    if label is None:
        raise UnknownNameError(f"{metric.name} has no label {name}")
    unknown = [value for value in values if label.values and value not in label.values]
    if unknown:
        raise UnknownNameError(f"{metric.name}: the label {name} is never {', '.join(unknown)}")
    return f'{name}{one}"{values[0]}"' if len(values) == 1 else f'{name}{several}"{"|".join(values)}"'
