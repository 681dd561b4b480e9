"""The backend's own `/metrics`, in the words of docs/backend.md."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from iris_exporter.backend.connection import Connection
from iris_exporter.backend.send_queue import QUEUES
from iris_exporter.backend.stats import Stats
from iris_exporter.backend.subscriber import Subscriber


class BackendCollector(Collector):
    """Everything that the backend measures; `now` is the clock of its connections."""

    def __init__(self, stats: Stats, connections: Callable[[], Iterable[Connection]], now: Callable[[], float]) -> None:
        self._stats = stats
        self._connections = connections
        self._now = now

    @override
    def collect(self) -> Iterator[Metric]:
        labels = ("protocol", "encoding")
        connections = GaugeMetricFamily("iris_backend_connections", "Streams that are open.", labels=labels)
        messages = CounterMetricFamily(
            "iris_backend_message_bytes", "Bytes of messages sent on streams, before compression.", labels=labels
        )
        wire = CounterMetricFamily(
            "iris_backend_wire_bytes",
            "Bytes written to the sockets of streams after the head of the answer: compressed where that was agreed.",
            labels=labels,
        )
        open_now = Counter(id(connection.traffic) for connection in self._connections())
        for key, traffic in self._stats.traffic.items():
            connections.add_metric(key, open_now[id(traffic)])
            messages.add_metric(key, traffic.message_bytes)
            wire.add_metric(key, traffic.wire_bytes)
        refusals = CounterMetricFamily(
            "iris_backend_refusals",
            "Requests and messages of clients that were refused, by error code.",
            labels=["reason"],
        )
        for code, count in sorted(self._stats.refusals.items()):
            refusals.add_metric([code], count)
        dropped = CounterMetricFamily(
            "iris_backend_dropped_events", "Events that slow readers of /api/stream have lost, and were told of."
        )
        dropped.add_metric([], self._stats.dropped_events)
        copies = CounterMetricFamily(
            "iris_backend_advance_copies", "Critical events that were sent ahead of what waited, as advance copies."
        )
        copies.add_metric([], self._stats.advance_copies)
        yield from (connections, self._ages(), messages, wire, dropped, copies, refusals)

    def _ages(self) -> Metric:
        ages = GaugeMetricFamily(
            "iris_backend_queue_oldest_seconds",
            "Age of the oldest entry that waits for any client of /api/stream; 0 where nothing waits.",
            labels=["queue"],
        )
        now = self._now()
        oldest = dict.fromkeys(QUEUES, now)
        for listener in chain.from_iterable(connection.listeners for connection in self._connections()):
            if isinstance(listener, Subscriber):
                for queue, since in listener.send_queue.oldest().items():
                    oldest[queue] = min(oldest[queue], since)
        for queue, since in oldest.items():
            ages.add_metric([queue], now - since)
        return ages


def scrape(collectors: Iterable[Collector], accept: str) -> web.Response:
    """The answer to a scrape, in the format that an `Accept` header asks for, from a registry of its own."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    encoder, content_type = choose_encoder(accept)
    return web.Response(body=encoder(registry), headers={"Content-Type": content_type})
