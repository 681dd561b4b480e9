"""Grafana Live: state, cards and events pushed as they change, for panels that move at once.

Ten times a second each change is made one line, in the Influx line protocol, and all lines are sent in one request.
Nothing queues up: while a request is under way changes collect in the model, and the next request has them together,
so a slow or absent Grafana costs a few lines of text. Of events at most a screenful is sent each time, and those left
out are counted. Needs no client library.
Source: Grafana Live, `/api/live/push/:streamId`; "Push metrics from Telegraf"; InfluxDB line protocol reference.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Event
from iris_exporter.http.classify import failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import get_logger
from iris_exporter.model.snapshot import DataFlow, Snapshot
from iris_exporter.settings import LiveSettings
from iris_exporter.streams.stream import Stream

MAX_EVENTS = 50
"""Events sent for each stream and request: more than a panel shows."""
_REQUEST_SECONDS = 5.0
_MAX_PAUSE_SECONDS = 30.0
# State and cards are repeated now and then, because a panel that was opened later has missed the change.
_REPEAT_SECONDS = 5.0
_LINES_PER_MINUTE = 2
_MAX_TEXT_CHARS = 1000
_RANKS = {State.ERROR: 8, State.CONNECTING: 7, State.POLLING: 6, State.DISCONNECTED: 3}
_CARDS = ("runs_today", "success_ratio", "active_experts", "projects")

_log = get_logger("live")


Field = str | float | int | bool | None


class _Sent:
    """What was sent of one stream."""

    def __init__(self) -> None:
        self.state: tuple[object, ...] = ()
        self.snapshot: Snapshot | None = None
        self.newest: str | None = None
        self.at = float("-inf")


class LivePush:
    """Pushes until cancelled."""

    def __init__(
        self,
        settings: LiveSettings,
        session: aiohttp.ClientSession,
        streams: Callable[[], Mapping[str, Stream]],
        metrics: SelfMetrics,
        clock: Clock,
    ) -> None:
        # The query of an address stays: it may be what a gateway asks for.
        parts = urlsplit(settings.client.url)
        path = f"{parts.path.rstrip('/')}/api/live/push/{settings.channel}"
        self._address = urlunsplit(parts._replace(path=path))
        self._interval = settings.interval_seconds
        self._requester = Requester(settings.client, session, Credentials(settings.client))
        self._streams = streams
        self._metrics = metrics
        self._clock = clock
        self._sent: dict[str, _Sent] = {}
        self._limited = _log.limited(_LINES_PER_MINUTE, clock)

    async def run(self) -> None:
        """Collect and push; after a failure less often, until Grafana is back."""
        pause = self._interval
        while True:
            lines = self.collect()
            if lines:
                pause = self._interval if await self._push(lines) else min(max(pause, 0.5) * 2, _MAX_PAUSE_SECONDS)
            await self._clock.sleep(pause)

    def collect(self) -> list[str]:
        """The lines of everything that has changed since the last call."""
        now = self._clock.wall()
        streams = self._streams()
        self._sent = {name: self._sent.get(name) or _Sent() for name in streams}
        return [
            text
            for name, stream in streams.items()
            for text in self._lines(name, stream.status(), stream.snapshot(), now)
            if text
        ]

    def _lines(self, name: str, status: LinkStatus, snapshot: Snapshot, now: float) -> Iterator[str]:
        tags, sent = {"stream": name}, self._sent[name]
        # Empty and not left out, or a panel would go on showing the last one.
        reason = "" if status.failure is None else status.failure.reason
        state = (status.state, status.protocol, status.attempt, snapshot.flow, reason)
        repeat = now - sent.at >= _REPEAT_SECONDS
        if repeat or state != sent.state:
            up = status.state in (State.LIVE, State.POLLING) and not snapshot.stale
            fields: dict[str, Field] = {
                "state": status.state.value, "protocol": status.protocol, "attempt": status.attempt, "up": up,
                "reason": reason, "rank": rank(status, snapshot.flow),
            }  # fmt: skip
            yield line("iris_state", tags, fields, now)
        before, metrics = sent.snapshot, snapshot.metrics
        if metrics is not None and (repeat or before is None or metrics is not before.metrics):
            yield line("iris_cards", tags, {card: getattr(metrics, card) for card in _CARDS}, now)
        if snapshot is not before:
            yield from self._events(name, snapshot, sent, now)
        sent.state, sent.snapshot = state, snapshot
        if repeat:
            sent.at = now

    def _events(self, name: str, snapshot: Snapshot, sent: _Sent, now: float) -> Iterator[str]:
        new: list[Event] = []
        for event in snapshot.events:
            if event.id == sent.newest:
                break
            new.append(event)
        if len(new) > MAX_EVENTS:
            self._metrics.add(catalog.LIVE_DROPPED, len(new) - MAX_EVENTS)
        if new:
            sent.newest = new[0].id
        for event in reversed(new[:MAX_EVENTS]):
            # No tags: Grafana would make a column of each field for each set of them, and the feed is one table.
            fields = {
                "stream": name,
                "severity": event.severity,
                "message": event.message,
                "project": event.project,
                "event_type": event.event_type,
                "id": event.id,
            }
            yield line("iris_event", {}, fields, event.timestamp or now)

    async def _push(self, lines: list[str]) -> bool:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        body = "\n".join(lines).encode()
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                response = await self._requester.send("POST", self._address, headers, data=body)
                response.release()
        except TransportError as error:
            return self._failed(lines, str(error.failure), error.failure)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return self._failed(lines, type(error).__name__, failure_of(error))
        if response.status >= 300:
            return self._failed(lines, f"status {response.status}", from_status(response.status))
        self._metrics.report("live", None)
        self._metrics.add(catalog.LIVE_PUSHED, len(lines))
        return True

    def _failed(self, lines: list[str], why: str, failure: Failure) -> bool:
        """Refused lines are gone; the next request has state and cards anew."""
        self._metrics.report("live", failure.listed_reason)
        self._metrics.add(catalog.LIVE_DROPPED, len(lines))
        self._limited.warning("live.failed", url=without_credentials(self._address), reason=why)
        for sent in self._sent.values():
            sent.at = float("-inf")
        return False


def rank(status: LinkStatus, flow: DataFlow) -> int:
    """How bad it is, from 1 (live) to 8 (error): what a table of streams sorts by, on every dashboard."""
    if status.state is State.LIVE or (status.state is State.POLLING and status.failure is None):
        if flow is DataFlow.SILENT:
            return 4
        return 1 if status.state is State.LIVE else 2
    return _RANKS[status.state]


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], at: float) -> str:
    """One line without its end, or an empty text when no field has a value; `at` is Unix time.

    Tags identify a point, fields are its values; those that are None are left out. A text in a tag has commas, equals
    signs and spaces escaped and no line ends; a text in a field is quoted.
    """
    values = ",".join(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)
    if not values:
        return ""
    names = "".join(f",{key}={_tag(value)}" for key, value in tags.items() if value)
    return f"{measurement}{names} {values} {round(at * 1e9)}"


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    escaped = _plain(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tag(value: str) -> str:
    # A backslash at the end of a tag would escape the comma behind it.
    plain = _plain(value).replace("\\", "/")
    for special in (",", "=", " "):
        plain = plain.replace(special, "\\" + special)
    return plain


def _plain(text: str) -> str:
    """Text without what ends a line or cannot be encoded."""
    cut = text[:_MAX_TEXT_CHARS]
    return "".join(letter if letter.isprintable() else " " for letter in cut).encode("utf-8", "replace").decode()
