"""Messages of /api/stream as JSON documents: what the protocol has, and odd values where it can carry them."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from hypothesis import strategies as st

EPOCH = "9f31c2"

TEXTS = st.text(max_size=12) | st.sampled_from(["", "null", "\x00", "é\u2028", "😀", "2 minutes ago"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.isoformat(timespec="milliseconds")[:-6] + "Z")
POSITIONS = st.integers(0, 10**18 - 1).map(lambda offset: f"{EPOCH}-{offset}")
COUNTS = st.integers(0, 10**6) | st.integers() | st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, -(2**63)])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | COUNTS


def objects(usual: Mapping[str, Any], required: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the usual members, now and then with odd values, with null, and with unknown members."""
    odd = {name: values | st.none() | JSON for name, values in usual.items() if name not in required}
    return st.fixed_dictionaries(
        {name: usual[name] for name in required}, optional={**odd, "owner": JSON, "cleared": JSON, "other": JSON}
    )


WORDS = st.sampled_from(["info", "warning", "error", "critical", "healthy", "fatal", "INFO", "unspecified", ""])
METRICS = objects(
    {
        "total_projects": COUNTS,
        "healthy_projects": COUNTS,
        "warning_projects": COUNTS,
        "critical_projects": COUNTS,
        "total_runs_today": COUNTS,
        "avg_success_rate": NUMBERS,
        "active_experts": COUNTS,
        "total_reflexions": COUNTS,
    }
)
PROJECTS = objects(
    {
        "id": TEXTS,
        "name": TEXTS,
        "status": WORDS,
        "health_score": NUMBERS,
        "last_run": TIMES | TEXTS,
        "total_runs": COUNTS,
        "success_rate": NUMBERS,
        "active_experts": COUNTS,
        "reflexions_count": COUNTS,
        "avg_latency": NUMBERS,
    },
    ("id",),
)
EVENTS = objects(
    {
        "id": TEXTS,
        "timestamp": TIMES | TEXTS,
        "project": TEXTS,
        "event_type": TEXTS,
        "severity": WORDS,
        "message": TEXTS,
        "metadata": st.dictionaries(TEXTS, JSON, max_size=3),
    },
    ("id",),
)
ANOMALIES = objects(
    {
        "id": TEXTS,
        "timestamp": TIMES | TEXTS,
        "project": TEXTS,
        "type": TEXTS,
        "severity": WORDS,
        "metric": TEXTS,
        "value": NUMBERS,
        "expected": NUMBERS,
        "deviation": NUMBERS,
        "description": TEXTS,
        "resolved": st.booleans(),
    },
    ("id",),
)
STATE = {
    "metrics": METRICS,
    "projects": st.lists(PROJECTS, max_size=3),
    "anomalies": st.lists(ANOMALIES, max_size=3),
    "removed": st.fixed_dictionaries({}, optional={"projects": st.lists(TEXTS, min_size=1, max_size=3)}),
}
NAMES = st.lists(TEXTS, min_size=1, max_size=3)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "channels": NAMES,
        "projects": NAMES,
        "severities": NAMES,
        "fields": st.dictionaries(st.sampled_from(["metrics", "projects", "events", "anomalies"]), NAMES),
        "delta": st.booleans(),
        "batch": st.fixed_dictionaries(
            {}, optional={"maxMessages": st.integers(-5, 2000), "maxDelayMs": st.integers(-(2**63), 2**63 - 1)}
        ),
        "debounceMs": st.integers(-(2**63), 2**63 - 1),
        "priority": st.booleans(),
        "after": POSITIONS | TEXTS,
    },
)
RESUMPTIONS = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["full", "partial", "none", "restarted"]),
        "replayed": st.integers(0, 10_000),
        "missed": st.integers(0, 2**64 - 1),
        "epoch": TEXTS,
        "lastEventId": POSITIONS,
    }
)
SUBSCRIBED = st.tuples(
    OPTIONS, st.fixed_dictionaries({"encoding": TEXTS, "position": POSITIONS}, optional={"resume": RESUMPTIONS})
).map(lambda parts: parts[0] | parts[1])


def message(kind: str, data: Any = None, **more: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Messages of one type, with any of what an envelope can have."""
    required: dict[str, Any] = {"type": st.just(kind), **more}
    if data is not None:
        required["data"] = data
    envelope = {
        "timestamp": TIMES,
        "id": POSITIONS,
        "seq": st.integers(0, 2**64 - 1),
        "replay": st.just(True),
        "priority": st.just("high"),
    }
    return st.fixed_dictionaries(required, optional=envelope)


SINGLE = st.one_of(
    message("update", st.fixed_dictionaries({}, optional={**STATE, "events": st.lists(EVENTS, max_size=3)})),
    message("delta", st.fixed_dictionaries({}, optional=STATE)),
    message("event", EVENTS),
    message("ping"),
    message("pong"),
    message(
        "error",
        error=st.fixed_dictionaries({"code": TEXTS}, optional={"message": TEXTS, "retryAfter": st.floats(0, 1e9)}),
    ),
    message("dropped", st.fixed_dictionaries({"events": st.integers(1, 10**9), "from": POSITIONS, "to": POSITIONS})),
    message("subscribed", SUBSCRIBED),
    message("subscribe", OPTIONS),
    message("resume", lastEventId=POSITIONS | TEXTS),
)
MESSAGES = SINGLE | message("batch", messages=st.lists(SINGLE, min_size=1, max_size=4))
"""All messages of the protocol."""
