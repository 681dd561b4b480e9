"""A synthetic IRIS installation: pure, and the same for the same seed, start and time.

Theory of operation. The installation has its own time. `advance(until)` moves it forward and returns the events until
then. Two kinds of steps are taken in order of time: one each whole second, where health, latency and incidents change,
and one for each event, at distances that are exponential with the mean 1/rate. Both draw from random generators of
their own, so the result does not depend on how the caller cuts time into pieces.

An incident hits one project for some minutes: its health falls, its runs fail and slow down, an anomaly opens, and
closes when it is over. Work follows the hour of day (UTC): more runs, more experts and longer latencies by day.
"""

import math
import random
from dataclasses import dataclass
from typing import Any

import msgspec

from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project, iso_time
from iris_exporter.backend.synthetic_events import ProjectState, compose_event, incident_event

PROJECT_NAMES = (
    "Checkout Assistant",
    "Support Triage",
    "Fraud Screening",
    "Search Ranking",
    "Invoice Reader",
    "Code Review",
    "Demand Forecast",
    "Content Moderation",
)
MAX_CATCH_UP_SECONDS = 10.0
"""A machine that slept gets this much of the missed time, not hours of events at once."""
INCIDENT_MEAN_SECONDS = 120.0
"""Mean time between incidents of the whole installation, so that a short demonstration sees some."""
INCIDENT_LENGTH_SECONDS = (45.0, 240.0)
MAX_RESOLVED_ANOMALIES = 10
"""Resolved anomalies stay listed for a while, as they do in a real installation."""
DAY_SECONDS = 86_400
HEALTHY_FROM = 80.0
WARNING_FROM = 60.0


@dataclass(slots=True)
class _Incident:
    """An incident under way in one project, and the anomaly that it opened."""

    ends_at: float
    anomaly_id: str


class Installation:
    """Several projects whose health drifts, with runs, events and anomalies.

    Feed it time with `advance`, then read `projects`, `metrics`, `anomalies`, `patterns` and `details`.
    """

    trouble: str | None = None
    has_details = True
    """It always knows how it is."""

    def __init__(self, *, seed: int, start: float, rate: float, projects: int = 6) -> None:
        """Set up an installation that has been running for a while.

        Args:
            seed: Any whole number.
            start: Seconds since the Unix epoch; ids are made from it, so they differ from those of another start.
            rate: Mean events per second; 0 is an installation at rest, where nothing changes at all.
            projects: How many projects, at least 1; beyond the eight names they are numbered.
        """
        self.version = 0
        """Goes up whenever anything that can be read here has changed."""
        self.description = f"synthetic data, seed {seed}"
        self._now = start
        self._rate = rate
        self._world = random.Random(seed)
        self._events = random.Random(seed + 1)
        self._prefix = f"{int(start * 1000):x}"
        self._event_number = 0
        self._anomaly_number = 0
        self._anomalies: dict[str, Anomaly] = {}
        self._incidents: dict[str, _Incident] = {}
        self._projects = [self._new_project(index) for index in range(projects)]
        self._next_step = math.floor(start) + 1.0
        self._next_event = start + self._events.expovariate(rate) if rate > 0 else math.inf

    def _new_project(self, index: int) -> ProjectState:
        name = PROJECT_NAMES[index % len(PROJECT_NAMES)]
        if index >= len(PROJECT_NAMES):
            name = f"{name} {index // len(PROJECT_NAMES) + 1}"
        world = self._world
        runs_today = int(world.uniform(20, 80) * (self._now % DAY_SECONDS) / DAY_SECONDS)
        total_runs = int(world.uniform(800, 9000))
        return ProjectState(
            id=name.lower().replace(" ", "-"),
            name=name,
            usual_health=world.uniform(76, 96),
            health=world.uniform(74, 97),
            usual_latency=world.uniform(180, 900),
            latency=world.uniform(180, 900),
            success_rate=world.uniform(0.88, 0.98),
            total_runs=total_runs + runs_today,
            runs_today=runs_today,
            reflexions=int(world.uniform(20, 400)),
            experts=[f"{name.split(' ', maxsplit=1)[0].lower()}-expert-{number}" for number in range(1, 9)],
            active_experts=world.randint(3, 6),
            last_run=self._now - world.uniform(5, 300),
        )

    def advance(self, until: float) -> list[Event]:
        """Move on to `until` (seconds since the Unix epoch) and return the events until then, oldest first.

        A time in the past does nothing; a jump of more than `MAX_CATCH_UP_SECONDS` skips what lies before that.
        """
        if self._rate <= 0 or until <= self._now:
            return []
        if until - self._now > MAX_CATCH_UP_SECONDS:
            self._skip_to(until - MAX_CATCH_UP_SECONDS)
        events: list[Event] = []
        while True:
            time = min(self._next_step, self._next_event)
            if time > until:
                break
            if self._next_step <= self._next_event:
                self._step(self._next_step, events)
                self._next_step += 1.0
            else:
                events.append(self._new_event(self._next_event))
                self._next_event += self._events.expovariate(self._rate)
            self.version += 1
        self._now = until
        return events

    def _skip_to(self, time: float) -> None:
        self._next_step = max(self._next_step, math.floor(time) + 1.0)
        if self._next_event < time:
            self._next_event = time + self._events.expovariate(self._rate)

    def _step(self, now: float, events: list[Event]) -> None:
        """Let one second pass: drift, and incidents that begin and end."""
        world = self._world
        load = day_load(now)
        midnight = now % DAY_SECONDS < 1.0
        for project in self._projects:
            if midnight:
                project.runs_today = 0
            incident = project.id in self._incidents
            health_goal = project.usual_health - (45.0 if incident else 0.0)
            pull = 0.08 if incident else 0.02
            project.health += pull * (health_goal - project.health) + world.gauss(0.0, 0.25)
            project.health = min(100.0, max(5.0, project.health))
            latency_goal = project.usual_latency * (0.8 + 0.5 * load) * (3.0 if incident else 1.0)
            project.latency += 0.05 * (latency_goal - project.latency) + world.gauss(0.0, project.usual_latency / 100)
            project.latency = max(20.0, project.latency)
            if world.random() < 0.02:
                goal = round(2 + 5 * load)
                project.active_experts += (goal > project.active_experts) - (goal < project.active_experts)
        for project in self._projects:
            running = self._incidents.get(project.id)
            if running is not None and running.ends_at <= now:
                events.append(self._end_incident(project, running, now))
        if world.random() < 1.0 / INCIDENT_MEAN_SECONDS:
            project = world.choice(self._projects)
            if project.id not in self._incidents:
                events.append(self._begin_incident(project, now))

    def _begin_incident(self, project: ProjectState, now: float) -> Event:
        world = self._world
        self._anomaly_number += 1
        metric, expected, value = world.choice(
            (
                ("avg_latency", project.usual_latency, project.usual_latency * world.uniform(2.2, 4.0)),
                ("success_rate", 0.95, world.uniform(0.45, 0.7)),
                ("health_score", project.usual_health, world.uniform(35, 55)),
            )
        )
        deviation = 100 * (value - expected) / expected
        severity = "critical" if abs(deviation) > 40 else "warning"
        anomaly = Anomaly(
            id=f"anm-{self._prefix}-{self._anomaly_number}",
            timestamp=iso_time(now),
            project=project.id,
            type="spike" if value > expected else "drop",
            severity=severity,
            metric=metric,
            value=round(value, 3),
            expected=round(expected, 3),
            deviation=round(deviation, 1),
            description=f"{metric} of {project.name} is {abs(deviation):.0f} % off its usual value",
            resolved=False,
        )
        self._anomalies[anomaly.id] = anomaly
        self._incidents[project.id] = _Incident(now + world.uniform(*INCIDENT_LENGTH_SECONDS), anomaly.id)
        project.in_incident = True
        return incident_event(self._new_event_id(), project, anomaly, now)

    def _end_incident(self, project: ProjectState, incident: _Incident, now: float) -> Event:
        del self._incidents[project.id]
        project.in_incident = False
        anomaly = self._anomalies.pop(incident.anomaly_id)
        resolved = msgspec.structs.replace(anomaly, resolved=True)
        self._anomalies[anomaly.id] = resolved
        closed = [entry.id for entry in self._anomalies.values() if entry.resolved]
        for old in closed[:-MAX_RESOLVED_ANOMALIES]:
            del self._anomalies[old]
        return incident_event(self._new_event_id(), project, resolved, now)

    def _new_event(self, now: float) -> Event:
        project = self._projects[int(self._events.random() * len(self._projects))]
        return compose_event(self._new_event_id(), project, now, day_load(now), self._events)

    def _new_event_id(self) -> str:
        self._event_number += 1
        return f"evt-{self._prefix}-{self._event_number}"

    def projects(self) -> list[Project]:
        """Return all projects as they are now, in a fixed order."""
        return [
            Project(
                id=project.id,
                name=project.name,
                status=status_of(project.health),
                health_score=round(project.health, 1),
                last_run=iso_time(project.last_run),
                total_runs=project.total_runs,
                success_rate=round(project.success_rate, 3),
                active_experts=project.active_experts,
                reflexions_count=project.reflexions,
                avg_latency=round(project.latency, 1),
            )
            for project in self._projects
        ]

    def metrics(self) -> Metrics:
        """Return the installation's figures, computed from the projects."""
        projects = self._projects
        statuses = [status_of(project.health) for project in projects]
        runs = sum(project.total_runs for project in projects)
        succeeded = sum(project.success_rate * project.total_runs for project in projects)
        return Metrics(
            total_projects=len(projects),
            healthy_projects=statuses.count("healthy"),
            warning_projects=statuses.count("warning"),
            critical_projects=statuses.count("critical"),
            total_runs_today=sum(project.runs_today for project in projects),
            avg_success_rate=round(succeeded / max(1, runs), 4),
            active_experts=sum(project.active_experts for project in projects),
            total_reflexions=sum(project.reflexions for project in projects),
        )

    def anomalies(self) -> list[Anomaly]:
        """Return the open anomalies and the last ten that closed, oldest change first."""
        return list(self._anomalies.values())

    async def document(self, _name: str, _query: str) -> bytes | None:
        """Nothing is passed on."""
        return None

    def patterns(self) -> list[dict[str, Any]]:
        """Return combinations of expert and task that keep working: for each project, its best expert so far."""
        return [
            {
                "id": f"pat-{project.id}",
                "name": f"{expert} leads in {project.name}",
                "project": project.id,
                "occurrences": tally.evaluations,
                "success_rate": tally.success_rate,
                "last_seen": iso_time(project.last_run),
            }
            for project in self._projects
            for expert, tally in sorted(project.tallies.items(), key=lambda item: (item[1].succeeded, item[0]))[-1:]
        ]

    def details(self, project_id: str) -> dict[str, Any] | None:
        """Return one project with its latest errors, reflexions and consensus decisions, newest first.

        None when there is no such project. Latencies are milliseconds.
        """
        for state, project in zip(self._projects, self.projects(), strict=True):
            if state.id == project_id:
                return {
                    "project": project,
                    "recent_errors": list(state.recent_errors),
                    "expert_performance": [
                        {
                            "expert": expert,
                            "evaluations": tally.evaluations,
                            "success_rate": tally.success_rate,
                            "avg_latency": round(tally.milliseconds / tally.evaluations, 1),
                        }
                        for expert, tally in sorted(state.tallies.items())
                    ],
                    "recent_reflexions": list(state.recent_reflexions),
                    "consensus_history": list(state.recent_consensus),
                }
        return None


def day_load(now: float) -> float:
    """How busy the hour of day is, from 0.1 at 03:00 UTC to 1 at 15:00 UTC."""
    return 0.55 + 0.45 * math.sin(2 * math.pi * (now / DAY_SECONDS - 9 / 24))


def status_of(health: float) -> str:
    """Name the status that belongs to a health score of 0 to 100."""
    if health >= HEALTHY_FROM:
        return "healthy"
    return "warning" if health >= WARNING_FROM else "critical"
