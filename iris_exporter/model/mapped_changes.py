"""What a batch of a mapping says of each of its elements, and what new ones have changed. Pure."""

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple, cast

from iris_exporter.decoding.elements import (
    ElementEvents,
    LabelValues,
    MappedBatch,
    Samples,
    Times,
    UnmadeEvent,
    are_dated,
    in_seconds,
)
from iris_exporter.model.snapshot import Shown
from iris_exporter.model.source_state import NO_CHANGES, Changes


class Sample(NamedTuple):
    """One sample of an element."""

    metric: str
    key: LabelValues
    value: Shown


def rows_of(batch: MappedBatch, now: float) -> list[list[Sample]]:
    """The samples of each element, in the order of the mapping."""
    rows: list[list[Sample]] = [[] for _ in range(batch.count)]
    for samples in batch.samples:
        values = aged(samples, now) or repeat(1.0)
        places = range(batch.count) if samples.rows is None else samples.rows
        for row, key, value in zip(places, samples.keys, values, strict=False):
            rows[row].append(Sample(samples.metric, key, value))
    return rows


def aged(samples: Samples, now: float) -> Sequence[Shown] | None:
    """The values of samples, where they are ages at `now`; not less than none."""
    if samples.scale is None or samples.values is None:
        return samples.values
    factor, offset = samples.scale
    return [max(now - cast("float", time), 0.0) * factor + offset for time in samples.values]


def changes_of(times: Times | None, events: ElementEvents | None) -> Changes:
    """What new elements that happened at these times have changed."""
    if times is None:
        return NO_CHANGES if events is None else Changes(unmade=events)
    if are_dated(times):
        return Changes(sent_at=times, unmade=events)
    return Changes(sent=known_times(times), unmade=events)


def events_of(unmade: Sequence[UnmadeEvent | None] | None) -> ElementEvents | None:
    """What is logged and traced of new elements; None for nothing."""
    found = [each for each in unmade or () if each is not None]
    return ElementEvents(found) if found else None


def known_times(times: Times) -> Sequence[float]:
    """The times that there are."""
    return [time for time in in_seconds(times) if time is not None]
