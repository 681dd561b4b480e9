"""What the channels carry: turns the installation and its history into messages and REST bodies. No sockets."""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.objects import Event, deployed_event, deployed_project, iso_time
from iris_exporter.backend.source import Source
from iris_exporter.backend.state import Change, ReportedState
from iris_exporter.backend.wire import Frame, encode, envelope, event_frame

EVENTS = "events"
OVERVIEW = "overview"
TELEMETRY = "telemetry"
CHANGES = "changes"
SUBSCRIPTIONS = "subscriptions"
"""The channel of `/api/stream`, whose clients say what they want."""
MAX_TELEMETRY_EVENTS = 50
MAX_UPDATE_EVENTS = 100
"""A feed shows the last 100 events; what is older is there by resuming."""
OVERVIEW_EVENTS = 50
"""Events in a whole overview."""


@dataclass(frozen=True, slots=True)
class Document:
    """A REST body with its entity tag, plain and compressed."""

    body: bytes
    compressed: bytes
    etag: str


class Changes(NamedTuple):
    """What changed in the state, and the messages of the older endpoints that say so."""

    changed: list[Change]
    updates: list[Frame]
    project_updates: list[Frame]


class Feed:
    """The installation, its history, and what the last messages have reported of them.

    Call `advance` first, then ask for the messages that are due.
    """

    def __init__(self, installation: Source, history: History) -> None:
        self.installation = installation
        self.history = history
        self.state = ReportedState()
        # Of a history that was kept, nothing is news.
        self._update_offset = self._telemetry_offset = history.last
        self._documents: dict[bool, Document] = {}

    def advance(self, now: float) -> list[Entry]:
        """Let the installation live until `now` (Unix time) and record the events."""
        return self.append(self.installation.advance(now))

    def append(self, events: Iterable[Event]) -> list[Entry]:
        """Record events, oldest first."""
        return self.history.extend([(event, encode(event)) for event in events])

    def restart(self, epoch: str) -> None:
        """Lose the history, as a restarted process does; the installation itself goes on."""
        self.history.restart(epoch)
        self._update_offset = 0
        self._telemetry_offset = 0

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known of the state, and the installation says why."""
        installation = self.installation
        parts = (installation.metrics(), installation.projects(), installation.anomalies())
        return installation.trouble is not None and parts == (None, None, None)

    def changes(self, now: float) -> Changes:
        """Return what changed since the last call.

        The update carries the metrics when one differs, changed projects and anomalies, the new events (the latest
        `MAX_UPDATE_EVENTS`), and the ids of projects that are gone. All lists are empty when nothing changed.
        """
        entries = self.history.after(self._update_offset)[-MAX_UPDATE_EVENTS:]
        self._update_offset = self.history.last
        changed = self.state.report(self.installation)
        lists: dict[str, list[object]] = {"metrics": [], "projects": [], "events": [], "anomalies": []}
        removed = []
        for change in changed:
            found = self.state.get(change.channel, change.key)
            if found is None:
                removed.append(change.key)
            else:
                lists[change.channel].append(found)
        lists["events"] = _newest_first(entries)
        content: dict[str, object] = {name: items for name, items in lists.items() if items}
        if removed:
            content["removed"] = {"projects": removed}
        if not content:
            return Changes([], [], [])
        if lists["metrics"]:
            content["metrics"] = lists["metrics"][0]
        timestamp = iso_time(now)
        update = envelope("update", timestamp, content, position=self.history.position() if entries else None)
        older = [envelope("project_update", timestamp, project) for project in lists["projects"]]
        return Changes(changed, [update], older)

    def telemetry(self, now: float) -> Frame:
        """Return the `telemetry` message that is due: metrics, and the events since the one before."""
        entries = self.history.after(self._telemetry_offset)[-MAX_TELEMETRY_EVENTS:]
        self._telemetry_offset = self.history.last
        return self._telemetry(entries, now, replay=False)

    def _telemetry(self, entries: Sequence[Entry], now: float, *, replay: bool) -> Frame:
        metrics = None if replay else self.installation.metrics()
        content: dict[str, object] = {} if metrics is None else {"metrics": metrics}
        content["recentEvents"] = _newest_first(entries)
        position = self.history.position(entries[-1].offset) if entries else None
        return envelope("telemetry", iso_time(now), content, position=position, replay=replay)

    def first(self, channel: str, now: float) -> list[Frame]:
        """Return what a new connection is sent at once: a whole overview, or the metrics, or nothing."""
        if channel == OVERVIEW:
            position = self.history.position() if self.history.last else None
            return [envelope("update", iso_time(now), self._overview(deployed=False), position=position)]
        return [self._telemetry([], now, replay=False)] if channel == TELEMETRY else []

    def events(self, channel: str, entries: Sequence[Entry], now: float, *, replay: bool = False) -> Iterator[Frame]:
        """Yield events in the messages of `channel`, oldest message first; only a replay needs those of all four."""
        timestamp = iso_time(now)
        if channel in (EVENTS, CHANGES):
            for entry in entries:
                yield event_frame(entry, self.history.epoch, timestamp, replay=replay, older=channel == CHANGES)
            return
        size = MAX_TELEMETRY_EVENTS if channel == TELEMETRY else MAX_UPDATE_EVENTS
        for begin in range(0, len(entries), size):
            part = entries[begin : begin + size]
            if channel == TELEMETRY:
                yield self._telemetry(part, now, replay=replay)
            else:
                position = self.history.position(part[-1].offset)
                content = {"events": _newest_first(part)}
                yield envelope("update", timestamp, content, position=position, replay=replay)

    def resume(self, channel: str, position: str, now: float, until: int | None = None) -> list[Frame]:
        """Answer a resume from `position` with `resumed` and the replayed messages.

        Events after the offset `until` are left out, since the connection gets them live; None means up to now.
        """
        result = self.history.resume(position, until)
        last = result.entries[-1].offset if result.entries else until
        data = {
            "outcome": result.outcome,
            "replayed": len(result.entries),
            "missed": result.missed,
            "epoch": self.history.epoch,
            "lastEventId": self.history.position(last),
        }
        return [envelope("resumed", iso_time(now), data), *self.events(channel, result.entries, now, replay=True)]

    def overview_document(self, *, deployed: bool) -> Document:
        """Return the REST overview, in the stream's shape or the deployed one; made again only after a change."""
        etag = f'W/"{self.history.position()}-{self.installation.version}"'
        document = self._documents.get(deployed)
        if document is None or document.etag != etag:
            body = encode(self._overview(deployed=deployed) | {"cursor": self.history.position()})
            # Level 1: most of the gain at a fraction of the time, since this runs on the event loop.
            document = self._documents[deployed] = Document(body, gzip.compress(body, 1, mtime=0), etag)
        return document

    def _overview(self, *, deployed: bool) -> dict[str, Any]:
        projects = self.installation.projects()
        entries = self.history.newest(OVERVIEW_EVENTS)
        parts = {
            "metrics": self.installation.metrics(),
            "projects": [deployed_project(project) for project in projects] if deployed and projects else projects,
            "events": [deployed_event(entry.event) if deployed else entry.json for entry in entries],
            "anomalies": self.installation.anomalies(),
        }
        return {name: part for name, part in parts.items() if part is not None}


def _newest_first(entries: Sequence[Entry]) -> list[object]:
    """The order that lists of events have on the wire."""
    return [entry.json for entry in reversed(entries)]
