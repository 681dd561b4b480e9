"""The schema, and what answers queries: the state and the history as they are now."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from graphql import GraphQLError, GraphQLSchema, build_schema

from iris_exporter.backend.feed import OVERVIEW_EVENTS, Feed
from iris_exporter.backend.history import Entry
from iris_exporter.backend.objects import Anomaly, Event, Project
from iris_exporter.backend.rest import DEFAULT_EVENTS, MAX_EVENTS

MAX_LISTED = 3000
"""Objects in the lists of one answer: some 0.4 s of work, in which the backend does nothing else."""


@cache
def schema() -> GraphQLSchema:
    """The schema, read from its file once."""
    return build_schema(files("iris_exporter.backend.graphql").joinpath("schema.graphql").read_text("utf-8"))


def root_of(feed: Feed) -> Mapping[str, Any]:
    """What the fields of one query are answered from; it has an end where the same is asked for many times."""
    left = MAX_LISTED

    def listed(found: Mapping[str, Any]) -> Mapping[str, Any]:
        nonlocal left
        left -= sum(len(each) for each in found.values() if isinstance(each, list | tuple))
        if left < 0:
            text = f"one query lists at most {MAX_LISTED} objects"
            raise GraphQLError(text, extensions={"code": "INVALID_REQUEST"})
        return found

    return {
        "overview": lambda _, events=OVERVIEW_EVENTS: listed(_overview(feed, events)),
        "events": lambda _, after=None, limit=DEFAULT_EVENTS: listed(_page(feed, after, limit)),
        "anomalies": lambda _, project=None: listed({"": _anomalies(feed, project)})[""],
        "projects": lambda _: listed({"": feed.installation.projects()})[""],
        "project": lambda _, id: _project(feed, id),  # noqa: A006 (the argument's name in the schema)
    }


def _overview(feed: Feed, events: int | None) -> Mapping[str, Any]:
    if feed.is_unknown:
        raise GraphQLError(
            feed.installation.trouble or "the state is not known", extensions={"code": "SERVICE_UNAVAILABLE"}
        )
    return {
        "metrics": feed.installation.metrics(),
        "projects": feed.installation.projects(),
        "events": _events(feed.history.newest(_bounded("events", events, OVERVIEW_EVENTS))),
        "anomalies": feed.installation.anomalies(),
        "cursor": feed.history.position(),
    }


def _page(feed: Feed, after: str | None, limit: int | None) -> Mapping[str, Any]:
    history, most = feed.history, _bounded("limit", limit, DEFAULT_EVENTS)
    if after is None:
        newest = history.newest(most)
        cursor = history.position(newest[0].offset if newest else None)
        return {"events": _events(newest), "cursor": cursor, "missed": 0, "more": False}
    replay = history.resume(after)
    entries = replay.entries[:most]
    last = entries[-1].offset if entries else history.last - len(replay.entries)
    return {
        "events": _events(entries),
        "cursor": history.position(last),
        "outcome": replay.outcome,
        "missed": replay.missed,
        "more": len(replay.entries) > len(entries),
    }


def _bounded(name: str, value: int | None, default: int) -> int:
    if value is None:
        return default
    if value < 0:
        raise GraphQLError(f"{name}: expected a whole number from 0", extensions={"code": "INVALID_REQUEST"})
    return min(value, MAX_EVENTS)


def _events(entries: Sequence[Entry]) -> list[Event]:
    return [entry.event for entry in entries]


def _anomalies(feed: Feed, project: str | None) -> list[Anomaly] | None:
    known = feed.installation.anomalies()
    return None if known is None else [each for each in known if project in (None, each.project)]


def _project(feed: Feed, project_id: str) -> Project | None:
    return next((each for each in feed.installation.projects() or () if each.id == project_id), None)
