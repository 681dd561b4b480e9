"""Metrics that only streams with a mapping have, beside those that the mapping names."""

from collections.abc import Callable

from iris_exporter.core.status import Counted
from iris_exporter.decoding import problems
from iris_exporter.instruments.metric import STREAM, Kind, Label, Metric, Subject, Value
from iris_exporter.instruments.view import MappedView, StreamView

MAPPINGS = "Mappings"


def _of_mapping(name: str, kind: Kind, text: str, value: Callable[[MappedView], Value], *labels: Label) -> Metric:
    def found(view: StreamView) -> Value:
        return None if view.mapped is None else value(view.mapped)

    return Metric(name, kind, text, MAPPINGS, "mapping", (STREAM, *labels), Subject.STREAM, found)


MAPPING_INFO = _of_mapping(
    "iris_stream_mapping_info",
    Kind.INFO,
    "The mapping of a stream, always 1.",
    lambda view: (view.mapping,),
    Label("mapping"),
)
GUARANTEE = _of_mapping(
    "iris_stream_guarantee",
    Kind.STATESET,
    "1 for how often an event of a stream with a mapping is counted over drops and restarts, 0 for the others; weaker "
    "than the mapping has it once the stream has shown that the mapping is wrong about it.",
    lambda view: view.guarantee,
    Label("guarantee", tuple(Counted), tuple(Counted)),
)
EVENTS_FILTERED = _of_mapping(
    "iris_stream_events_filtered_total",
    Kind.COUNTER,
    "Elements of messages that a condition of the mapping left out.",
    lambda view: view.filtered,
)
MAPPING_PROBLEMS = _of_mapping(
    "iris_stream_mapping_problems_total",
    Kind.COUNTER,
    "Samples, ids and times that a mapping left out, by kind of message, metric (empty for what concerns none) and "
    "reason; no series before the first.",
    lambda view: view.problems,
    Label("kind"),
    Label("metric"),
    Label("reason", tuple(problems.MAPPING_REASONS)),
)
