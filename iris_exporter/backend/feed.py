"""What the channels carry: turns the installation and its history into messages and REST bodies. No sockets."""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project, iso_time
from iris_exporter.backend.source import Installation
from iris_exporter.backend.wire import (
    Frame,
    array,
    change_frame,
    deployed_event,
    deployed_project,
    encode,
    envelope,
    event_frame,
    fields,
    newest_first,
)

EVENTS = "events"
OVERVIEW = "overview"
TELEMETRY = "telemetry"
CHANGES = "changes"
CHANNELS = (OVERVIEW, EVENTS, TELEMETRY, CHANGES)
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


class Feed:
    """The installation, its history, and what was last told to whom.

    `advance` first, then ask for the messages that are due.
    """

    def __init__(self, installation: Installation, history: History) -> None:
        self.installation = installation
        self.history = history
        self._told_metrics: Metrics | None = None
        self._told_projects: dict[str, Project] = {}
        self._told_anomalies: dict[str, Anomaly] = {}
        self._told_offset = 0
        self._telemetry_offset = 0
        self._documents: dict[bool, tuple[str, Document]] = {}

    def advance(self, now: float) -> list[Entry]:
        """Let the installation live until `now` (Unix time) and record what happened."""
        return self.append(self.installation.advance(now))

    def append(self, events: Iterable[Event]) -> list[Entry]:
        """Record events, oldest first."""
        return self.history.extend([(event, encode(event)) for event in events])

    def restart(self, epoch: str) -> None:
        """Lose the history, as a restarted process does; the installation itself goes on."""
        self.history.restart(epoch)
        self._told_offset = 0
        self._telemetry_offset = 0

    def live(self, channel: str, entries: Sequence[Entry], now: float) -> list[Frame]:
        """Return what the channels with a message for each event get for new events."""
        timestamp = iso_time(now)
        make = event_frame if channel == EVENTS else change_frame
        return [make(entry, self.history.epoch, timestamp) for entry in entries]

    def changes(self, now: float) -> tuple[list[Frame], list[Frame]]:
        """Return what changed since the last call, as an `update` and as `project_update` messages.

        The update carries the metrics when one differs, changed projects and anomalies, and the new events (the
        latest `MAX_UPDATE_EVENTS`). Both lists are empty when nothing changed.
        """
        timestamp = iso_time(now)
        metrics = self.installation.metrics()
        projects = {project.id: project for project in self.installation.projects()}
        anomalies = {anomaly.id: anomaly for anomaly in self.installation.anomalies()}
        entries = self.history.after(self._told_offset)[-MAX_UPDATE_EVENTS:]
        changed_projects = [item for key, item in projects.items() if self._told_projects.get(key) != item]
        changed_anomalies = [item for key, item in anomalies.items() if self._told_anomalies.get(key) != item]
        content: dict[str, bytes] = {}
        if metrics != self._told_metrics:
            content["metrics"] = encode(metrics)
        if changed_projects:
            content["projects"] = encode(changed_projects)
        if entries:
            content["events"] = newest_first(entries)
        if changed_anomalies:
            content["anomalies"] = encode(changed_anomalies)
        self._told_metrics = metrics
        self._told_projects = projects
        self._told_anomalies = anomalies
        self._told_offset = self.history.last
        if not content:
            return [], []
        position = self.history.position() if entries else None
        update = envelope("update", timestamp, fields(content), position=position)
        return [update], [envelope("project_update", timestamp, encode(project)) for project in changed_projects]

    def telemetry(self, now: float) -> Frame:
        """Return the `telemetry` message that is due: metrics, and the events since the one before."""
        entries = self.history.after(self._telemetry_offset)[-MAX_TELEMETRY_EVENTS:]
        self._telemetry_offset = self.history.last
        return self._telemetry(entries, now, replay=False)

    def _telemetry(self, entries: Sequence[Entry], now: float, *, replay: bool) -> Frame:
        content = {} if replay else {"metrics": encode(self.installation.metrics())}
        content["recentEvents"] = newest_first(entries)
        position = self.history.position(entries[-1].offset) if entries else None
        return envelope("telemetry", iso_time(now), fields(content), position=position, replay=replay)

    def first(self, channel: str, now: float) -> list[Frame]:
        """Return what a new connection is told at once: a whole overview, or the metrics, or nothing."""
        if channel == OVERVIEW:
            position = self.history.position() if self.history.last else None
            return [envelope("update", iso_time(now), fields(self._overview(deployed=False)), position=position)]
        if channel == TELEMETRY:
            return [self._telemetry([], now, replay=False)]
        return []

    def replay(self, channel: str, entries: Sequence[Entry], now: float) -> Iterator[Frame]:
        """Yield old events again, in the messages of `channel`, oldest message first, marked as a replay."""
        timestamp = iso_time(now)
        if channel in (EVENTS, CHANGES):
            make = event_frame if channel == EVENTS else change_frame
            for entry in entries:
                yield make(entry, self.history.epoch, timestamp, replay=True)
            return
        size = MAX_TELEMETRY_EVENTS if channel == TELEMETRY else MAX_UPDATE_EVENTS
        for begin in range(0, len(entries), size):
            part = entries[begin : begin + size]
            if channel == TELEMETRY:
                yield self._telemetry(part, now, replay=True)
            else:
                position = self.history.position(part[-1].offset)
                content = fields({"events": newest_first(part)})
                yield envelope("update", timestamp, content, position=position, replay=True)

    def resume(self, channel: str, position: str, now: float, until: int | None = None) -> list[Frame]:
        """Answer a resume from `position` with `resumed` and the replayed messages.

        Events after the offset `until` are left out, since the connection gets them live; None means up to now.
        """
        result = self.history.resume(position, until)
        last = result.entries[-1].offset if result.entries else (self.history.last if until is None else until)
        data = {
            "outcome": result.outcome,
            "replayed": len(result.entries),
            "missed": result.missed,
            "epoch": self.history.epoch,
            "lastEventId": self.history.position(last),
        }
        return [
            envelope("resumed", iso_time(now), encode(data)),
            *self.replay(channel, result.entries, now),
        ]

    def overview_document(self, *, deployed: bool) -> Document:
        """Return the REST overview, in the stream's shape or the deployed one; made again only after a change."""
        etag = f'W/"{self.history.position()}-{self.installation.version}"'
        kept = self._documents.get(deployed)
        if kept is not None and kept[0] == etag:
            return kept[1]
        content = self._overview(deployed=deployed)
        content["cursor"] = encode(self.history.position())
        body = fields(content)
        # Level 1: most of the gain at a fraction of the time, since this runs on the event loop.
        document = Document(body, gzip.compress(body, 1, mtime=0), etag)
        self._documents[deployed] = (etag, document)
        return document

    def _overview(self, *, deployed: bool) -> dict[str, bytes]:
        projects = self.installation.projects()
        entries = self.history.newest(OVERVIEW_EVENTS)
        if deployed:
            shown_projects = encode([deployed_project(project) for project in projects])
            events = encode([deployed_event(entry.event) for entry in entries])
        else:
            shown_projects = encode(projects)
            events = array([entry.json for entry in entries])
        return {
            "metrics": encode(self.installation.metrics()),
            "projects": shown_projects,
            "events": events,
            "anomalies": encode(self.installation.anomalies()),
        }
