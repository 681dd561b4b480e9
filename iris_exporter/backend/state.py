"""The state that subscribers have been told of, what changed since, and the data of updates and deltas. Pure.

Theory of operation. All subscribers see the state in the same steps: `report` compares the source with the step before.
A subscriber that takes each step has everything of the one before, so it needs no memory of its own; one that is slow
remembers, for each object that has changed meanwhile, what it was when it was last told (its base). Data that many
subscribers are sent is made once, and encoded once for each encoding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from iris_exporter.backend.history import Entry
from iris_exporter.backend.objects import Anomaly, Metrics, Project, members
from iris_exporter.backend.options import Grant
from iris_exporter.backend.patches import make_patch
from iris_exporter.backend.source import Source

Object = Metrics | Project | Anomaly
STATE_CHANNELS = ("metrics", "projects", "anomalies")
MAX_OVER = 1000
"""Anomalies that are over and remembered, for readers that are slow to hear of it."""
MAX_CACHED = 200
"""Different data of one step that is kept for others; what is more is made for each subscriber."""


class Change(NamedTuple):
    """An object that differs from the step before, where it was `before` (None: it was not there)."""

    channel: str
    key: str
    before: Object | None


class Item(NamedTuple):
    """An object to be sent to a client that has `base`, or nothing of it; `now` is None for a project that is gone."""

    channel: str
    base: Object | None
    now: Object | None


@dataclass(slots=True)
class Payload:
    """The data of one message, and its bytes by the name of the encoding."""

    kind: str
    data: Mapping[str, Any]
    encoded: dict[str, bytes] = field(default_factory=dict)


class ReportedState:
    """The objects by channel and id, as of the last step; a channel that the source does not have is not there."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Object]] = {}
        self._over: dict[str, Anomaly] = {}
        """Anomalies that have left the source's list, for those who know them as open."""
        self._cached: dict[object, tuple[object, Payload | None]] = {}

    def report(self, source: Source) -> list[Change]:
        """Take another step, and return what differs; metrics first, everything in the source's order."""
        metrics, projects, anomalies = source.metrics(), source.projects(), source.anomalies()
        now: dict[str, dict[str, Object]] = {}
        if metrics is not None:
            now["metrics"] = {"": metrics}
        if projects is not None:
            now["projects"] = {project.id: project for project in projects}
        if anomalies is not None:
            now["anomalies"] = {anomaly.id: anomaly for anomaly in anomalies}
        before, self._objects = self._objects, now
        self._note_over(before.get("anomalies", {}), now.get("anomalies"))
        self._cached.clear()
        changes = [
            Change(channel, key, before.get(channel, {}).get(key))
            for channel, objects in now.items()
            for key, found in objects.items()
            if before.get(channel, {}).get(key) != found
        ]
        gone = [("anomalies", key) for key in before.get("anomalies", ()) if key in self._over]
        if projects is not None:
            gone += [("projects", key) for key in before.get("projects", ()) if key not in now["projects"]]
        return changes + [Change(channel, key, before[channel][key]) for channel, key in gone]

    def _note_over(self, before: Mapping[str, Object], now: Mapping[str, Object] | None) -> None:
        """Anomalies that the source lists no more without a word are over: no receiver would learn it otherwise."""
        if now is None:
            return
        for key, found in before.items():
            if key not in now and isinstance(found, Anomaly) and not found.resolved:
                self._over[key] = msgspec.structs.replace(found, resolved=True)
        for key in [key for key in self._over if key in now] + list(self._over)[:-MAX_OVER]:
            self._over.pop(key, None)

    def get(self, channel: str, key: str) -> Object | None:
        """An object as of the last step; None when it is not there any more. An anomaly that is over is resolved."""
        found = self._objects.get(channel, {}).get(key)
        return self._over.get(key) if found is None and channel == "anomalies" else found

    def whole(self, grant: Grant, entries: Sequence[Entry] | None) -> Payload | None:
        """The `update` with all that is granted, with `entries` (newest first) as its events; None: it has none."""
        # By identity, as below: offsets begin again when the history is lost.
        key = (grant, None if entries is None else tuple(map(id, entries)))
        if key not in self._cached:
            return self._cache(key, entries, self._make_whole(grant, entries))
        return self._cached[key][1]

    def _make_whole(self, grant: Grant, entries: Sequence[Entry] | None) -> Payload | None:
        data: dict[str, Any] = {}
        for channel in STATE_CHANNELS:
            if channel in grant.channels and channel in self._objects:
                names = grant.fields_of(channel)
                objects = [members(found, names) for found in self._objects[channel].values() if grant.shows(found)]
                _put(data, channel, objects)
        if entries is not None:
            names = grant.fields_of("events")
            data["events"] = [members(entry.event, names) for entry in entries]
        return Payload("update", data) if data else None

    def changed(self, grant: Grant, items: Sequence[Item]) -> Payload | None:
        """The `update` or `delta` of these objects; None when nothing that is granted differs from the bases."""
        # By identity: objects never change, and those of the key are kept with it.
        key = (grant.fields, grant.delta, tuple((id(item.base), id(item.now)) for item in items))
        if key not in self._cached:
            return self._cache(key, tuple(items), _make_changed(grant, items))
        return self._cached[key][1]

    def _cache(self, key: object, objects: object, payload: Payload | None) -> Payload | None:
        if len(self._cached) < MAX_CACHED:
            self._cached[key] = objects, payload
        return payload


def _make_changed(grant: Grant, items: Sequence[Item]) -> Payload | None:
    parts: dict[str, list[dict[str, Any]]] = {}
    removed: list[str] = []
    for channel, base, now in items:
        if now is None:
            removed += [base.id] if isinstance(base, Project) else []
            continue
        names = grant.fields_of(channel)
        current = members(now, names)
        patch = make_patch({} if base is None else members(base, names), current)
        if not patch:
            continue
        if grant.delta:
            current = patch if channel == "metrics" else {"id": current["id"], **patch}
        parts.setdefault(channel, []).append(current)
    data: dict[str, Any] = {}
    for channel in STATE_CHANNELS:
        if channel in parts:
            _put(data, channel, parts[channel])
    if removed:
        data["removed"] = {"projects": removed}
    return Payload("delta" if grant.delta else "update", data) if data else None


def _put(data: dict[str, Any], channel: str, objects: list[dict[str, Any]]) -> None:
    if channel != "metrics":
        data[channel] = objects
    elif objects:
        data[channel] = objects[0]
