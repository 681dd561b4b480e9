"""Believed objects and what newer messages say of them, field by field. Pure."""

from typing import Any, TypeVar

import msgspec

from iris_exporter.decoding.messages import Anomaly, Metrics, Project

Partial = TypeVar("Partial", Metrics, Project)
Believed = TypeVar("Believed", Metrics, Project, Anomaly)


def merged(old: Partial | None, new: Partial) -> Partial:
    """`old` with every field that `new` knows: None keeps the old value. `old` itself when nothing is different."""
    if old is None:
        return new
    return _changed(old, {name: value for name in old.__struct_fields__ if (value := getattr(new, name)) is not None})


def merged_anomaly(old: Anomaly | None, new: Anomaly) -> Anomaly | None:
    """`old` with what `new` has: neither None nor an empty text replaces anything. None for a resolved one.

    A severity always has a value, so it is taken only from a message that describes the anomaly and does not merely
    update one of its numbers.
    """
    if old is None or new.resolved:
        return None if new.resolved else new
    known = {name: value for name in old.__struct_fields__ if (value := getattr(new, name)) not in (None, "")}
    if not (new.type or new.metric or new.description):
        known.pop("severity", None)
    return _changed(old, known)


def _changed(old: Believed, new: dict[str, Any]) -> Believed:
    changes = {name: value for name, value in new.items() if value != getattr(old, name)}
    return msgspec.structs.replace(old, **changes) if changes else old
