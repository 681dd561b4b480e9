"""The HTTP door's part of the catalogue, and its counts: what was refused, what was cut, how the loop turns."""

from collections.abc import Callable, Iterator

from iris_exporter.instruments.metric import Kind, Label, Metric
from iris_exporter.instruments.text import Sample

GROUP = "The exporter"
CUT_REASONS = ("limit", "client_limit", "displaced", "tls_handshake", "client_certificate", "head_timeout", "stalled")
REFUSED_REASONS = ("rate_limited", "unauthorized", "busy", "control", "body", "malformed")

WEB_CONFIG_SUCCESSFUL = Metric(
    "iris_exporter_web_config_last_reload_successful",
    Kind.GAUGE,
    "1 when the file of --web.config.file is in force, 0 when it is broken and the one before it still is; "
    "no series without a file.",
    GROUP,
    source="web",
)
CONNECTIONS = Metric(
    "iris_exporter_http_connections", Kind.GAUGE, "Open connections to the exporter.", GROUP, source="web"
)
CONNECTIONS_CUT = Metric(
    "iris_exporter_http_connections_cut_total",
    Kind.COUNTER,
    "Connections to the exporter that were refused or cut, by reason; those that only went idle are not counted.",
    GROUP,
    (Label("reason", CUT_REASONS, CUT_REASONS),),
    source="web",
)
REQUESTS_REFUSED = Metric(
    "iris_exporter_http_requests_refused_total",
    Kind.COUNTER,
    "Requests to the exporter that were refused at the door, by reason.",
    GROUP,
    (Label("reason", REFUSED_REASONS, REFUSED_REASONS),),
    source="web",
)
LOOP_DELAY = Metric(
    "iris_exporter_loop_delay_seconds",
    Kind.GAUGE,
    "Longest delay of the event loop's own timer in the last minute, in seconds, seen every quarter of a second.",
    GROUP,
    unit="seconds",
    source="web",
)

DOOR: tuple[Metric, ...] = (WEB_CONFIG_SUCCESSFUL, CONNECTIONS, CONNECTIONS_CUT, REQUESTS_REFUSED, LOOP_DELAY)
"""All of them, in the order in which they are printed."""


class DoorMetrics:
    """What the door reports. `watch` connects the gauges when there is a server."""

    def __init__(self) -> None:
        self._config_ok: bool | None = None
        self._cut = dict.fromkeys(CUT_REASONS, 0)
        self._refused = dict.fromkeys(REFUSED_REASONS, 0)
        self._connections: Callable[[], int] = int
        self._delay: Callable[[], float] | None = None

    def watch(self, connections: Callable[[], int], delay_seconds: Callable[[], float]) -> None:
        """From now on ask these two for the number of connections and the delay of the event loop."""
        self._connections = connections
        self._delay = delay_seconds

    def config_loaded(self, ok: bool) -> None:
        """The web configuration file was loaded, or (not `ok`) could not be."""
        self._config_ok = ok

    def connection_cut(self, reason: str) -> None:
        """A connection was refused or cut; `reason` is one of `CUT_REASONS`, KeyError for another word."""
        self._cut[reason] += 1

    def request_refused(self, reason: str) -> None:
        """A request was refused; `reason` is one of `REFUSED_REASONS`, KeyError for another word."""
        self._refused[reason] += 1

    def cut(self, reason: str) -> int:
        """How often `connection_cut` was called."""
        return self._cut[reason]

    def refused(self, reason: str) -> int:
        """How often `request_refused` was called."""
        return self._refused[reason]

    def samples(self, metric: Metric) -> Iterator[Sample]:
        """The series of one metric of `DOOR`; none for another metric, and for what does not exist."""
        if metric is WEB_CONFIG_SUCCESSFUL and self._config_ok is not None:
            yield Sample(metric.name, {}, int(self._config_ok))
        elif metric is CONNECTIONS:
            yield Sample(metric.name, {}, self._connections())
        elif metric is LOOP_DELAY and self._delay is not None:
            yield Sample(metric.name, {}, self._delay())
        elif metric in (CONNECTIONS_CUT, REQUESTS_REFUSED):
            counts = self._cut if metric is CONNECTIONS_CUT else self._refused
            for reason, count in counts.items():
                yield Sample(metric.name, {"reason": reason}, count)
