"""JSON as sources might send it, and what must hold for whatever is made of it."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from iris_exporter.decoding.messages import MESSAGE_TYPES

JSON_TEXTS = st.text(max_size=8) | st.sampled_from(["info", "INFO", "", " ", "2026-11-23T09:15:00.5Z", "\x00", "N/A"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | JSON_TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(JSON_TEXTS, inner, max_size=3),
    max_leaves=6,
)
MOMENTS = st.datetimes().map(lambda moment: moment.isoformat() + "Z") | JSON_VALUES
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON_VALUES,
        "timestamp": MOMENTS,
        "project": JSON_TEXTS | JSON_VALUES,
        "event_type": JSON_TEXTS | JSON_VALUES,
        "severity": JSON_TEXTS | JSON_VALUES,
        "message": JSON_TEXTS | JSON_VALUES,
        "metadata": st.dictionaries(JSON_TEXTS, JSON_VALUES, max_size=3) | JSON_VALUES,
        "details": JSON_VALUES,
        "metrics": JSON_VALUES,
        "projects": JSON_VALUES,
        "events": JSON_VALUES,
        "anomalies": JSON_VALUES,
        "resolved": JSON_VALUES,
    },
)
OVERVIEWS = st.fixed_dictionaries(
    {},
    optional={
        "metrics": st.dictionaries(st.sampled_from(["total_projects", "avg_success_rate"]), JSON_VALUES),
        "projects": st.lists(KNOWN | JSON_VALUES, max_size=3),
        "recentEvents": st.lists(KNOWN | JSON_VALUES, max_size=3),
        "anomalies": st.lists(KNOWN | JSON_VALUES, max_size=3),
    },
)
ENVELOPES = st.fixed_dictionaries(
    {"type": st.sampled_from(MESSAGE_TYPES) | JSON_VALUES, "data": KNOWN | OVERVIEWS | JSON_VALUES},
    optional={"timestamp": MOMENTS, "id": JSON_VALUES, "replay": st.booleans() | JSON_VALUES, "error": JSON_VALUES},
)


PLAIN_EVENTS = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5), "project": st.text(max_size=5), "event_type": st.text(max_size=5)},
    optional={
        "timestamp": st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        "severity": st.sampled_from(["info", "INFO", "error", "critical", "", "odd"]),
        "message": st.text(max_size=9),
        "metadata": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3),
        "details": st.dictionaries(st.text(max_size=3), st.booleans(), max_size=3),
    },
)


def check_printable(value: Any) -> None:
    """Every text can be written as UTF-8, every number is finite, and metadata is JSON."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            check_printable(getattr(value, name))
    elif isinstance(value, tuple):
        for element in value:
            check_printable(element)
    elif isinstance(value, str):
        assert "\x00" not in value
        value.encode()
    elif isinstance(value, float):
        assert value - value == 0
    elif isinstance(value, bytes):
        assert isinstance(json.loads(value), dict)
