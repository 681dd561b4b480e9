"""Synthetic events: each changes the state of its project."""

import random
from bisect import bisect
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

from iris_exporter.backend.objects import Anomaly, Event, iso_time

MAX_RECENT = 10
"""How many errors, reflexions and decisions the details of a project show."""
SMOOTHING = 0.01
"""Weight of one run in a project's rate of success: about the last hundred runs count."""
_KINDS = ("evaluation", "retrain", "rotation", "consensus", "reflexion", "info")
_WEIGHTS_BY_NIGHT = (30, 14, 6, 6, 14, 30)
_WEIGHTS_BY_DAY = (64, 4, 6, 10, 10, 6)
_TASKS = ("classification", "extraction", "ranking", "summary", "routing")
_NOTICES = (
    ("configuration reloaded", "configuration"),
    ("model cache warmed", "cache"),
    ("report written", "report"),
    ("data set refreshed", "data"),
)


@dataclass(slots=True)
class Tally:
    """What one expert did; `milliseconds` is the sum over its evaluations."""

    evaluations: int = 0
    succeeded: int = 0
    milliseconds: float = 0.0

    @property
    def success_rate(self) -> float:
        """0 to 1."""
        return round(self.succeeded / self.evaluations, 3)


_recent = partial(deque[Event], maxlen=MAX_RECENT)


@dataclass(slots=True)
class ProjectState:
    """The moving parts of one project; health is 0 to 100, latencies are milliseconds, `last_run` a Unix time."""

    id: str
    name: str
    usual_health: float
    health: float
    usual_latency: float
    latency: float
    success_rate: float
    total_runs: int
    runs_today: int
    reflexions: int
    experts: list[str]
    active_experts: int
    last_run: float
    in_incident: bool = False
    tallies: dict[str, Tally] = field(default_factory=dict)
    recent_errors: deque[Event] = field(default_factory=_recent)
    recent_reflexions: deque[Event] = field(default_factory=_recent)
    recent_consensus: deque[Event] = field(default_factory=_recent)


def compose_event(event_id: str, project: ProjectState, now: float, load: float, rng: random.Random) -> Event:
    """Return a new event of `project` at `now` (Unix time) and change the state of the project.

    `load` is how busy the hour is, 0 to 1: by day most events are runs, by night most are upkeep.
    """
    weights = [night + load * (day - night) for night, day in zip(_WEIGHTS_BY_NIGHT, _WEIGHTS_BY_DAY, strict=True)]
    sums = list(accumulate(weights))
    kind = _KINDS[min(bisect(sums, rng.random() * sums[-1]), len(_KINDS) - 1)]
    severity, message, metadata = _COMPOSERS[kind](project, rng)
    event = Event(event_id, iso_time(now), project.id, kind, severity, message, metadata)
    if kind == "evaluation":
        project.last_run = now
    if severity in {"error", "critical"}:
        project.recent_errors.appendleft(event)
    if kind == "reflexion":
        project.recent_reflexions.appendleft(event)
    elif kind == "consensus":
        project.recent_consensus.appendleft(event)
    return event


def incident_event(event_id: str, project: ProjectState, anomaly: Anomaly, now: float) -> Event:
    """Return the event of an anomaly that opened (`anomaly_detected`) or was resolved (`info`)."""
    shown = ("metric", "value", "expected", "resolved")
    metadata = {"anomaly_id": anomaly.id} | {name: getattr(anomaly, name) for name in shown}
    kind, severity, message = "anomaly_detected", anomaly.severity, anomaly.description
    if anomaly.resolved:
        kind, severity, message = "info", "info", f"{anomaly.metric} of {project.name} is back to normal"
    return Event(event_id, iso_time(now), project.id, kind, severity, message, metadata)


Composed = tuple[str, str, dict[str, Any]]
"""Severity, message and metadata."""


def _evaluation(project: ProjectState, rng: random.Random) -> Composed:
    """A run that succeeds or fails; the only kind that counts as a run."""
    expert = project.experts[int(rng.random() * max(1, project.active_experts)) % len(project.experts)]
    chance = 0.55 if project.in_incident else 0.9 + project.health / 1250
    succeeded = rng.random() < chance
    milliseconds = round(project.latency * rng.lognormvariate(0.0, 0.35), 1)
    project.total_runs += 1
    project.runs_today += 1
    project.success_rate += SMOOTHING * (float(succeeded) - project.success_rate)
    tally = project.tallies.setdefault(expert, Tally())
    tally.evaluations += 1
    tally.succeeded += succeeded
    tally.milliseconds += milliseconds
    task = _TASKS[int(rng.random() * len(_TASKS))]
    metadata: dict[str, Any] = {
        "run_id": f"run-{project.total_runs}",
        "expert": expert,
        "task": task,
        "success": succeeded,
        "duration_ms": milliseconds,
        "score": round(rng.uniform(0.8, 0.99) if succeeded else rng.uniform(0.1, 0.5), 3),
        "traceparent": f"00-{rng.getrandbits(128) | 1:032x}-{rng.getrandbits(64) | 1:016x}-01",
    }
    if succeeded:
        return "info", f"{task} by {expert} succeeded", metadata
    severity = "critical" if project.in_incident and rng.random() < 0.2 else "error"
    return severity, f"{task} by {expert} failed", metadata


def _retrain(project: ProjectState, rng: random.Random) -> Composed:
    """An expert is trained again; it can make things better or worse."""
    expert = rng.choice(project.experts)
    change = round(rng.gauss(0.01, 0.01), 4)
    severity = "warning" if change < 0 else "info"
    metadata = {"expert": expert, "samples": rng.randint(200, 5000), "accuracy_change": change}
    return severity, f"{expert} retrained, accuracy {change:+.1%}", metadata


def _rotation(project: ProjectState, rng: random.Random) -> Composed:
    """One expert takes the place of another."""
    outgoing, incoming = rng.sample(project.experts, 2)
    reason = "low success rate" if project.in_incident else "scheduled"
    severity = "warning" if project.in_incident else "info"
    return severity, f"{outgoing} replaced by {incoming}", {"from": outgoing, "to": incoming, "reason": reason}


def _consensus(project: ProjectState, rng: random.Random) -> Composed:
    """Experts vote; a narrow result is a warning."""
    voters = rng.sample(project.experts, 3)
    agreement = round(rng.uniform(0.4, 0.75) if project.in_incident else rng.uniform(0.6, 1.0), 2)
    metadata = {"participants": voters, "agreement": agreement, "accepted": agreement >= 0.5}
    return "warning" if agreement < 0.66 else "info", f"{agreement:.0%} agreement among {len(voters)} experts", metadata


def _reflexion(project: ProjectState, rng: random.Random) -> Composed:
    """The project draws a lesson from its failures."""
    project.reflexions += 1
    cause = "repeated failure" if project.in_incident else "periodic review"
    metadata = {
        "reflexion_id": f"rfx-{project.id}-{project.reflexions}",
        "cause": cause,
        "confidence": round(rng.uniform(0.5, 0.98), 2),
    }
    return "info", f"reflexion after {cause}", metadata


def _info(project: ProjectState, rng: random.Random) -> Composed:
    """Upkeep that is worth a line."""
    message, area = _NOTICES[int(rng.random() * len(_NOTICES))]
    return "info", f"{message} for {project.name}", {"area": area}


_COMPOSERS = {
    "evaluation": _evaluation,
    "retrain": _retrain,
    "rotation": _rotation,
    "consensus": _consensus,
    "reflexion": _reflexion,
    "info": _info,
}
