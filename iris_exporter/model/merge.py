"""Merging what was believed with what is said now. Pure; the old object is returned when nothing is different."""

from typing import TypeVar

import msgspec

from iris_exporter.decoding.messages import Anomaly, Metrics, Project

Partial = TypeVar("Partial", Metrics, Project)


def merge_known(old: Partial, new: Partial) -> Partial:
    """`old` with every field that `new` knows: None means "not said" and keeps the old value."""
    changes = {}
    for name in old.__struct_fields__:
        value = getattr(new, name)
        if value is not None and value != getattr(old, name):
            changes[name] = value
    return msgspec.structs.replace(old, **changes) if changes else old


def merge_anomaly(old: Anomaly, new: Anomaly) -> Anomaly:
    """`old` with what `new` says: neither None nor an empty text replaces anything.

    A severity always has a value, so it is taken only from a message that describes the anomaly and does not merely
    update one of its numbers.
    """
    describes = bool(new.type or new.metric or new.description)
    changes = {}
    for name in old.__struct_fields__:
        value = getattr(new, name)
        if value is None or value == "" or value == getattr(old, name) or (name == "severity" and not describes):
            continue
        changes[name] = value
    return msgspec.structs.replace(old, **changes) if changes else old
