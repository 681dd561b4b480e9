"""Alerts about what comes over the link: how late, how much, and what is wrong with it."""

from alerts import thresholds as t
from alerts.model import Alert, Cause, Concern, Dashboard, Group, Record, Severity
from alerts.promql import KEY, TARGET_LABELS, buckets, in_state, most_frequent_reason, series
from iris_exporter.core.reasons import RATE_REASONS
from iris_exporter.instruments import catalog

_STREAM = "Stream {{ $labels.stream }} of {{ $labels.instance }}"
_DROPPED = ", ".join(TARGET_LABELS)
_LABELS = tuple(KEY.split(", "))
_HEARTBEATS = ("ping", "pong")


def _more_than(selector: str, label: str, count: int, window: str) -> str:
    return f"sum without ({label}) (increase({selector}[{window}])) > {count}"


_DECODE_ERRORS = f"sum without (reason) (increase({series(catalog.DECODE_ERRORS)}[{t.DECODE_WINDOW}]))"
_MESSAGES = f"sum without (message_type) (increase({series(catalog.MESSAGES)}[{t.DECODE_WINDOW}]))"
_DUPLICATES = f"rate({series(catalog.EVENTS_DUPLICATE)}[{t.DUPLICATES_WINDOW}])"
_EVENTS = f"sum without (project, event_type, severity) (rate({series(catalog.EVENTS)}[{t.DUPLICATES_WINDOW}]))"

# Nothing for an hour with a break in it: an outage yesterday or today is no anomaly of the rate.
MESSAGE_RATE = Record(
    "stream:iris_stream_messages_live:rate1h",
    f"sum without ({_DROPPED}, message_type) (\n"
    f"  rate({series(catalog.MESSAGES, excluding={'message_type': _HEARTBEATS})}[1h])\n)\n"
    f"and\nmax without ({_DROPPED}, state) (min_over_time({series(catalog.STREAM_STATE, state='live')}[1h])) == 1",
)

DELAY_HIGH = Alert(
    "IrisStreamDelayHigh",
    f"histogram_quantile({t.DELAY_QUANTILE:g}, rate({buckets(catalog.MESSAGE_DELAY)}[{t.DELAY_WINDOW}]))"
    f" > {t.DELAY_SECONDS}\nand on ({KEY})\n{in_state('live')}",
    Severity.WARNING,
    Concern.LINK,
    "Messages of an IRIS source arrive late on a live link.",
    f"{_STREAM}: {1 - t.DELAY_QUANTILE:.0%} of the messages of the last {t.DELAY_WINDOW} took "
    f"{{{{ $value | humanizeDuration }}}} or longer (limit {t.DELAY_SECONDS}s).",
    Dashboard.CONNECTION,
    "Message delay",
    hold=t.DELAY_FOR,
)
DECODE_ERRORS = Alert(
    "IrisStreamDecodeErrors",
    f"(\n  {_DECODE_ERRORS}\n  /\n  {_MESSAGES}\n) > {t.DECODE_ERROR_RATIO:g}\n"
    f"and\n{_DECODE_ERRORS} >= {t.DECODE_ERRORS_AT_LEAST}",
    Severity.WARNING,
    Concern.LINK,
    "Messages of an IRIS source cannot be read.",
    f"{_STREAM}: {{{{ $value | humanizePercentage }}}} of the messages of the last {t.DECODE_WINDOW} had parts that "
    f"could not be read (limit {t.DECODE_ERROR_RATIO:.0%}).",
    Dashboard.CONNECTION,
    "Errors in what arrives",
    hold=t.DECODE_FOR,
    cause=Cause("Most often:", most_frequent_reason(series(catalog.DECODE_ERRORS), _LABELS, t.DECODE_WINDOW), _LABELS),
)
EVENTS_LOST = Alert(
    "IrisEventsLost",
    f"increase({series(catalog.EVENT_GAPS)}[{t.GAP_WINDOW}]) > 0",
    Severity.WARNING,
    Concern.LINK,
    "Events of an IRIS source are lost.",
    f'{_STREAM}: about {{{{ $value | printf "%.0f" }}}} events of the last {t.GAP_WINDOW} never arrived and can no '
    "longer be had from the source.",
    Dashboard.CONNECTION,
    "Gaps, replays, duplicates",
)
DUPLICATES = Alert(
    "IrisEventsDuplicated",
    f"{_DUPLICATES} > {t.DUPLICATES_PER_SECOND}\n"
    f"unless on ({KEY})\n{_DUPLICATES} <= on ({KEY}) {t.DUPLICATES_PER_EVENT} * {_EVENTS}\n"
    f"and on ({KEY})\n{in_state('live')}",
    Severity.WARNING,
    Concern.LINK,
    "An IRIS source repeats events without end.",
    f'{_STREAM} brings {{{{ $value | printf "%.0f" }}}} known events a second over {t.DUPLICATES_WINDOW}, more than '
    f"{t.DUPLICATES_PER_EVENT} for each new one. They are not counted again, but cost time and traffic.",
    Dashboard.CONNECTION,
    "Gaps, replays, duplicates",
    hold=t.DUPLICATES_FOR,
)
RATE_LIMITED = Alert(
    "IrisUpstreamRateLimiting",
    "\nor\n".join(
        _more_than(selector, label, t.RATE_LIMITS, t.RATE_LIMIT_WINDOW)
        for selector, label in (
            (series(catalog.CONNECT_FAILURES, reason=RATE_REASONS), "reason"),
            (series(catalog.DISCONNECTS, reason="rate_limited"), "reason"),
            (series(catalog.POLL_FAILURES, reason="rate_limited"), "reason"),
            (series(catalog.UPSTREAM_ERRORS, code="RATE_LIMIT_EXCEEDED"), "code"),
        )
    ),
    Severity.WARNING,
    Concern.LINK,
    "An IRIS source asks the exporter to slow down.",
    f'{_STREAM} was told to wait {{{{ $value | printf "%.0f" }}}} times within {t.RATE_LIMIT_WINDOW} (more than '
    f"{t.RATE_LIMITS}).",
    Dashboard.CONNECTION,
    "Failed attempts by reason",
    hold=t.RATE_LIMIT_FOR,
)
_YESTERDAY = f"{MESSAGE_RATE.name} offset 1d"
RATE_ANOMALOUS = Alert(
    "IrisMessageRateAnomalous",
    f"(\n  {MESSAGE_RATE.name} < {t.MESSAGE_RATE_LOW:g} * {_YESTERDAY}\n  or\n"
    f"  {MESSAGE_RATE.name} > {t.MESSAGE_RATE_HIGH:g} * {_YESTERDAY}\n)\n"
    f"and {_YESTERDAY} > {t.MESSAGE_RATE_AT_LEAST:.4f}",
    Severity.WARNING,
    Concern.LINK,
    "An IRIS source sends far more or far less than yesterday at this hour.",
    'Stream {{ $labels.stream }} brings {{ $value | printf "%.2f" }} messages a second over the last 1h: less than '
    f"{t.MESSAGE_RATE_LOW:.0%}, or more than {t.MESSAGE_RATE_HIGH:g} times, of the same hour yesterday.",
    Dashboard.CONNECTION,
    "Messages by type",
    hold=t.MESSAGE_RATE_FOR,
    variables=("job", "stream"),
)

GROUP = Group(
    "iris-traffic",
    (MESSAGE_RATE, DELAY_HIGH, DECODE_ERRORS, EVENTS_LOST, DUPLICATES, RATE_LIMITED, RATE_ANOMALOUS),
)
