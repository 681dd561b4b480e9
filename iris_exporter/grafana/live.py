"""Grafana Live: state, cards and events pushed as they change, for panels that move at once.

Ten times a second the streams are looked at; what has changed is one line each, sent in one request. Nothing queues
up: while a request is under way changes collect in the model, and the next look takes them together, so a slow or
absent Grafana costs a few lines of text. Of events at most a screenful is sent for each look, and what is left out is
counted. Needs no client library.
Source: Grafana Live, `/api/live/push/:streamId`, Influx line protocol.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.core.failures import TransportError
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Event
from iris_exporter.grafana.influx import line
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import get_logger, protect
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.settings import LiveSettings

MAX_EVENTS = 50
"""Events sent for each stream and look: more than a panel shows."""
_REQUEST_SECONDS = 5.0
_MAX_PAUSE_SECONDS = 30.0
# State and cards are repeated now and then, because a panel that was opened later has missed the change.
_REPEAT_SECONDS = 5.0
_LINES_PER_MINUTE = 2
_CARDS = ("runs_today", "success_ratio", "active_experts", "projects")

_log = get_logger("live")


class Watched(Protocol):
    """A stream, as far as it is shown."""

    def status(self) -> LinkStatus:
        """The connection now."""

    def snapshot(self) -> Snapshot:
        """What is believed now."""


class _Shown:
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
        streams: Callable[[], Mapping[str, Watched]],
        metrics: SelfMetrics,
        clock: Clock,
    ) -> None:
        self._address = _push_address(settings.client.url, settings.channel)
        self._interval = settings.interval_seconds
        self._requester = Requester(settings.client, session, Credentials(settings.client, protect))
        self._streams = streams
        self._metrics = metrics
        self._clock = clock
        self._shown: dict[str, _Shown] = {}
        self._limited = _log.limited(_LINES_PER_MINUTE, clock)

    async def run(self) -> None:
        """Look and push, for ever; after a failure less often, until Grafana is back."""
        pause = self._interval
        while True:
            lines = self.look()
            if lines:
                pause = self._interval if await self._push(lines) else min(max(pause, 0.5) * 2, _MAX_PAUSE_SECONDS)
            await self._clock.sleep(pause)

    def look(self) -> list[str]:
        """The lines of everything that has changed since the last look."""
        now = self._clock.wall()
        streams = self._streams()
        self._shown = {name: self._shown.get(name) or _Shown() for name in streams}
        return [
            text
            for name, stream in streams.items()
            for text in self._lines(name, stream.status(), stream.snapshot(), now)
            if text
        ]

    def _lines(self, name: str, status: LinkStatus, snapshot: Snapshot, now: float) -> Iterator[str]:
        tags, shown = {"stream": name}, self._shown[name]
        state = (status.state, status.protocol, status.attempt, snapshot.flow)
        repeat = now - shown.at >= _REPEAT_SECONDS
        if repeat or state != shown.state:
            up = status.state in (State.LIVE, State.POLLING) and not snapshot.stale
            fields = {"state": status.state.value, "protocol": status.protocol, "attempt": status.attempt, "up": up}
            reason = None if status.failure is None else status.failure.reason
            yield line("iris_state", tags, {**fields, "reason": reason}, now)
        before, metrics = shown.snapshot, snapshot.metrics
        if metrics is not None and (repeat or before is None or metrics is not before.metrics):
            yield line("iris_cards", tags, {card: getattr(metrics, card) for card in _CARDS}, now)
        if snapshot is not before:
            yield from self._events(name, snapshot, shown, now)
        shown.state, shown.snapshot = state, snapshot
        if repeat:
            shown.at = now

    def _events(self, name: str, snapshot: Snapshot, shown: _Shown, now: float) -> Iterator[str]:
        new: list[Event] = []
        for event in snapshot.events:
            if event.id == shown.newest:
                break
            new.append(event)
        if len(new) > MAX_EVENTS:
            self._metrics.add(catalog.LIVE_DROPPED, len(new) - MAX_EVENTS)
        if new:
            shown.newest = new[0].id
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
            return self._failed(lines, str(error.failure))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return self._failed(lines, type(error).__name__)
        if response.status >= 300:
            return self._failed(lines, f"status {response.status}")
        self._metrics.add(catalog.LIVE_PUSHED, len(lines))
        return True

    def _failed(self, lines: list[str], why: str) -> bool:
        """What was not taken is gone; the next look sends state and cards anew."""
        self._metrics.add(catalog.LIVE_DROPPED, len(lines))
        self._limited.warning("live.failed", url=without_credentials(self._address), reason=why)
        for shown in self._shown.values():
            shown.at = float("-inf")
        return False


def _push_address(url: str, channel: str) -> str:
    """Where lines go; a query of the address stays, it may be what a gateway asks for."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/api/live/push/{channel}"))
