"""The label values of samples."""

from collections.abc import Mapping
from typing import Any

from iris_exporter.decoding.elements import LabelValues
from iris_exporter.decoding.mapped import values
from iris_exporter.mapping.spec import LabelSpec, MetricSpec


class Labels:
    """The labels of one metric: `specs` in the order in which label values stand.

    `values` of raw values, one for each of `specs` (any for one with a constant), are the label values and how many of
    them were changed so that they can be shown.
    """

    __slots__ = ("_limit", "specs")

    def __init__(self, metric: MetricSpec, declared: Mapping[str, MetricSpec], limit: int) -> None:
        own = {spec.name: spec for spec in metric.labels}
        # Metrics of one name have the same labels, which may be written in another order.
        self.specs: tuple[LabelSpec, ...] = tuple(own[spec.name] for spec in declared[metric.name].labels)
        self._limit = limit

    def values(self, raws: tuple[Any, ...]) -> tuple[LabelValues, int]:
        """See the class. Raises UnusableValueError."""
        made = [values.label(spec, raw, self._limit) for spec, raw in zip(self.specs, raws, strict=True)]
        return tuple([text for text, _ in made]), sum(changed for _, changed in made)
