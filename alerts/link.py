"""Alerts about the connection to the source: whether there is one, and which."""

from alerts import thresholds as t
from alerts.model import Alert, Cause, Concern, Dashboard, Group, Record, Severity
from alerts.promql import KEY, grew, in_state, most_frequent_reason, of_the_alert, series
from iris_exporter.core.reasons import AUTH_REASONS
from iris_exporter.instruments import catalog

_STREAM = "Stream {{ $labels.stream }} of {{ $labels.instance }}"
# A refusal can come at the attempt, on the open stream (close code 1008) or at a poll.
REFUSED = Record(
    f"instance_stream:iris_stream_refused_reasons:count{t.REFUSED_WINDOW}",
    "count without (reason) (\n"
    + "\nor\n".join(
        grew(series(metric, reason=AUTH_REASONS), t.REFUSED_WINDOW)
        for metric in (catalog.CONNECT_FAILURES, catalog.DISCONNECTS, catalog.POLL_FAILURES)
    )
    + "\n)",
)

_LABELS = tuple(KEY.split(", "))
LAST_FAILURE = Cause("Last failure:", of_the_alert(series(catalog.FAILURE_INFO), _LABELS), _LABELS)
_CUTS = series(catalog.DISCONNECTS, excluding={"reason": ("requested",)})

DOWN = Alert(
    "IrisStreamDown",
    f"{series(catalog.UP)} == 0\nunless on ({KEY})\n{in_state('disconnected')}",
    Severity.CRITICAL,
    Concern.LINK,
    "No data arrives from an IRIS source.",
    f"{_STREAM} has had no data for {t.DOWN_FOR}, neither live nor polled, and what it last said has left or is about "
    "to leave the dashboards.",
    Dashboard.CONNECTION,
    "State of each stream",
    hold=t.DOWN_FOR,
    cause=LAST_FAILURE,
)
UNAUTHORIZED = Alert(
    "IrisStreamUnauthorized",
    f"{in_state('error')}\nand on ({KEY})\n{REFUSED.name}",
    Severity.CRITICAL,
    Concern.LINK,
    "An IRIS source does not accept the exporter's key or certificate.",
    f"{_STREAM} has been refused for {t.UNAUTHORIZED_FOR} because of its key, its permissions or its certificate "
    f"(seen within the last {t.REFUSED_WINDOW}). No data arrives until that is put right.",
    Dashboard.CONNECTION,
    "Failed attempts by reason",
    hold=t.UNAUTHORIZED_FOR,
    cause=LAST_FAILURE,
)
ERROR = Alert(
    "IrisStreamError",
    f"{in_state('error')}\nunless on ({KEY})\n{REFUSED.name}",
    Severity.WARNING,
    Concern.LINK,
    "The link to an IRIS source is in the error state.",
    f"{_STREAM} has been in the error state for {t.ERROR_FOR}: the source refuses it for a reason other than its "
    "key, or polling fails, too.",
    Dashboard.CONNECTION,
    "State of each stream",
    hold=t.ERROR_FOR,
    cause=LAST_FAILURE,
)
STALE = Alert(
    "IrisStreamDataStale",
    f"max without (flow) ({series(catalog.DATA_FLOW, flow='silent')}) == 1",
    Severity.CRITICAL,
    Concern.LINK,
    "The link to an IRIS source is up, and the source says nothing.",
    f"{_STREAM} is connected, but neither data nor heartbeats have come from the source for longer than "
    f"--stream.stale-after, and that for {t.STALE_FOR}. Its figures have left the dashboards.",
    Dashboard.CONNECTION,
    "Time since last message",
    hold=t.STALE_FOR,
)
DISCONNECTED = Alert(
    "IrisStreamDisconnected",
    in_state("disconnected"),
    Severity.INFO,
    Concern.LINK,
    "Somebody disconnected an IRIS source and has not connected it again.",
    f"{_STREAM} has been disconnected on request for {t.DISCONNECTED_FOR}. Nothing is received, and no other alert of "
    "this stream can fire.",
    Dashboard.CONNECTION,
    "State of each stream",
    hold=t.DISCONNECTED_FOR,
)
FLAPPING = Alert(
    "IrisStreamFlapping",
    f"sum without (reason) (increase({_CUTS}[{t.FLAP_WINDOW}])) > {t.FLAPS}",
    Severity.WARNING,
    Concern.LINK,
    "The link to an IRIS source does not last.",
    f'{_STREAM} was cut {{{{ $value | printf "%.0f" }}}} times within {t.FLAP_WINDOW} (more than {t.FLAPS}).',
    Dashboard.CONNECTION,
    "Disconnects by reason",
    hold=t.FLAPPING_FOR,
    cause=Cause("Most often:", most_frequent_reason(_CUTS, _LABELS, t.FLAP_WINDOW), _LABELS),
)
POLLING = Alert(
    "IrisStreamPolling",
    # A stream that is meant to be polled has no failure.
    f"{in_state('polling')}\nand on ({KEY})\n{series(catalog.FAILURE_INFO)}",
    Severity.WARNING,
    Concern.LINK,
    "An IRIS source is polled because its live stream cannot be had.",
    f"{_STREAM} has been polled for {t.POLLING_FOR} instead of followed live: data comes late, and at a price.",
    Dashboard.CONNECTION,
    "State of each stream",
    hold=t.POLLING_FOR,
    cause=LAST_FAILURE,
)

GROUP = Group("iris-link", (REFUSED, DOWN, UNAUTHORIZED, ERROR, STALE, DISCONNECTED, FLAPPING, POLLING))
