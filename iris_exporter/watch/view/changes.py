"""What has changed, as one line for people and one object for machines. Described for users in docs/watch.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from iris_exporter.core.failures import Failure
from iris_exporter.watch.view import words
from iris_exporter.watch.view.cards import KINDS, Card
from iris_exporter.watch.view.feed import Row
from iris_exporter.watch.view.objects import EventObject, ProjectObject, StreamObject


class Kind(StrEnum):
    """What a line is about; a key of the JSON form."""

    SIDECAR = "sidecar"  # it answers, or it does not
    STREAM = "stream"
    EVENT = "event"
    CARDS = "cards"
    PROJECT = "project"
    GAP = "gap"  # events are missing
    UNREADABLE = "unreadable"


class Level(StrEnum):
    """How much a person should mind."""

    GOOD = "information"
    WARNING = "warning"
    BAD = "error"


_FLOWS = {"idle": "heartbeats, but no data", "silent": "nothing arrives"}
_FIRST_SECONDS = 5.0
_LEVELS = {"live": Level.GOOD, "disconnected": Level.GOOD, "error": Level.BAD}


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `stream` is empty for what concerns all of them; `text` is one line that is fit to be shown."""

    kind: Kind
    stream: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    level: Level = Level.GOOD

    def as_line(self, at: float) -> str:
        """The line for people; `at` is Unix seconds."""
        return f"{_time(at)} {words.name(self.stream) or '-'} {self.kind} {self.text}"

    def as_json(self, at: float) -> str:
        """The object for machines, in ASCII, so that no terminal acts upon what is in it."""
        head = {"time": _time(at), "kind": self.kind.value, "stream": self.stream or None}
        return json.dumps({**head, **self.values}, separators=(",", ":"), default=str)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sidecar_answers(url: str) -> Change:
    """The sidecar sends again."""
    return Change(Kind.SIDECAR, "", f"{url} answers", {"up": True, "url": url})


def sidecar_away(url: str, failure: Failure, attempt: int, delay_seconds: float) -> Change:
    """The sidecar does not send; the next attempt is made after so long."""
    text = f"{url}: {words.message(str(failure))}; next attempt in {words.span(delay_seconds)}"
    values = {
        "up": False, "url": url, "reason": failure.reason, "detail": failure.detail, "attempt": attempt,
        "next_attempt_in_seconds": round(delay_seconds, 3),
    }  # fmt: skip
    return Change(Kind.SIDECAR, "", text, values, Level.BAD)


def state_words(stream: StreamObject, now: float) -> str:
    """The state with what belongs to it: attempt and countdown, or what is in use."""
    parts = [words.name(stream.state)]
    if stream.reconnect_attempt and stream.state != "live":
        parts.append(f"attempt {stream.reconnect_attempt}")
    if stream.next_attempt_at is not None and stream.state != "live":
        parts.append(f"next in {words.span(words.unix(stream.next_attempt_at) - now)}")
    return ", ".join(parts)


def in_use(stream: StreamObject) -> str:
    """The protocol with what is used on top of it; empty for nothing."""
    parts = [stream.protocol, *(each for each in (stream.encoding, stream.compression) if each != "json")]
    return ", ".join(words.name(part) for part in parts if part != "none")


def flow_words(stream: StreamObject, now: float) -> str:
    """What does not arrive; empty where all does, and for the first seconds of a connection."""
    since = stream.state_changed_at
    if since is not None and now - words.unix(since) < _FIRST_SECONDS:
        return ""
    return _FLOWS.get(stream.data_flow or "", "")


def stream_changed(before: StreamObject | None, stream: StreamObject, now: float) -> Change:
    """A stream is new or has another state, failure or protocol."""
    text = state_words(stream, now)
    if used := in_use(stream):
        text += f" ({used})"
    if flow := flow_words(stream, now):
        text += f", {flow}"
    if stream.error:
        text += f": {words.message(stream.error)}"
    level = _LEVELS.get(stream.state, Level.WARNING)
    values = {"before": None if before is None else before.state, "now": msgspec.to_builtins(stream)}
    return Change(Kind.STREAM, stream.name, text, values, level)


def significant(stream: StreamObject, now: float) -> tuple[object, ...]:
    """What makes a line when it is another one; counts and times change all the time."""
    failure = None if stream.failure is None else stream.failure.reason
    return (
        *(stream.state, stream.protocol, stream.encoding, stream.compression, stream.extensions, stream.url),
        *(stream.reconnect_attempt, stream.next_attempt_at, failure, stream.last_resume, stream.event_gaps_total),
        flow_words(stream, now),
    )


def stream_removed(stream: StreamObject) -> Change:
    """The sidecar has this stream no more."""
    values = {"before": stream.state, "now": None}
    return Change(Kind.STREAM, stream.name, "is no stream of the sidecar any more", values, Level.WARNING)


def event_arrived(event: EventObject, row: Row) -> Change:
    """An event is seen for the first time."""
    text = f"{row.severity} {event_words(row)}"
    values = {
        "id": event.id, "timestamp": None if row.at is None else _time(row.at), "project": event.project,
        "event_type": event.event_type, "severity": event.severity, "message": event.message,
        "metadata": _metadata(event),
    }  # fmt: skip
    return Change(Kind.EVENT, event.stream, text, {"event": values})


def event_words(row: Row) -> str:
    """Project, type and message."""
    return f"{' '.join(part for part in (row.project, row.event_type) if part)}: {row.message}"


def _metadata(event: EventObject) -> Any:
    try:
        return json.loads(bytes(event.metadata))
    except (ValueError, RecursionError):
        return None


def cards_changed(stream: str, cards: Sequence[Card], *, stale: bool) -> Change:
    """Other figures are on the cards."""
    shown = ", ".join(
        f"{card.kind.title} {card.text}{f' ({card.trend})' if card.trend else ''}"
        for card in cards
        if card.value is not None
    )
    values = {"metrics": {kind.key: card.value for kind, card in zip(KINDS, cards, strict=True)}, "stale": stale}
    return Change(Kind.CARDS, stream, ("stale" if stale else shown) or "no figures", values)


def project_changed(stream: str, project: ProjectObject, before: str | None) -> Change:
    """A project has another status than `before`; None for a new one."""
    name = words.name(project.name or project.id)
    status = words.name(project.status or "unknown")
    text = f"{name} is {status}" + (f", was {words.name(before)}" if before else "")
    values = {"project": project.id, "name": project.name, "status": project.status, "before": before}
    level = {"critical": Level.BAD, "warning": Level.WARNING}.get(project.status or "", Level.GOOD)
    return Change(Kind.PROJECT, stream, text, values, level)


def project_removed(stream: str, project: str, before: str | None) -> Change:
    """The source has this project no more."""
    values = {"project": project, "name": None, "status": None, "before": before}
    return Change(Kind.PROJECT, stream, f"{words.name(project)} is gone", values)


def gap(events: int | None, cause: str) -> Change:
    """Events are missing: so many, or None where nobody knows the number."""
    number = "an unknown number of events" if events is None else f"{events} event{'s' if events != 1 else ''}"
    values = {"events": events, "cause": cause}
    return Change(Kind.GAP, "", f"{number} not shown here: {_CAUSES[cause]}", values, Level.WARNING)


_CAUSES = {
    "slow": "they were read too slowly",
    "away": "the connection was away for longer than the sidecar stores them",
    "restarted": "the sidecar was restarted, or was away for more than a minute",
}


def no_overview(stream: str, failure: Failure) -> Change:
    """Figures and projects of a stream cannot be had."""
    text = f"figures and projects cannot be had: {words.message(str(failure))}"
    return Change(Kind.UNREADABLE, stream, text, {"detail": str(failure)}, Level.WARNING)


def unreadable(detail: str) -> Change:
    """The sidecar has sent something that is no message."""
    return Change(Kind.UNREADABLE, "", words.message(detail), {"detail": detail}, Level.WARNING)
