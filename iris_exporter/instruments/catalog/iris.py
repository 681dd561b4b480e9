"""Metrics of what the source says: headline figures, projects, their anomalies, and events."""

from collections.abc import Callable

from iris_exporter.instruments.metric import OTHER, PROJECT, STREAM, Kind, Label, Metric, Subject, Value
from iris_exporter.instruments.view import ProjectView, StreamView

SOURCE, ENTITIES = "The source", "Projects and events"
STATUSES = ("healthy", "warning", "critical", OTHER)
SEVERITIES = ("info", "warning", "error", "critical")
ANOMALY_SEVERITIES = ("critical", "warning", "info")


def _headline(name: str, text: str, source: str, value: Callable[[StreamView], Value], *labels: Label) -> Metric:
    text = f"{text} ({source}), as last streamed or polled."
    return Metric(name, Kind.GAUGE, text, SOURCE, source, (STREAM, *labels), Subject.STREAM, value)


def _project(
    name: str, text: str, source: str, value: Callable[[ProjectView], Value], *labels: Label, kind: Kind = Kind.GAUGE
) -> Metric:
    return Metric(name, kind, text, ENTITIES, source, (STREAM, PROJECT, *labels), Subject.PROJECT, value)


def _figure(name: str, text: str, field: str, value: Callable[[ProjectView], Value]) -> Metric:
    return _project(name, f"{text} (project {field}), as last streamed or polled.", f"project.{field}", value)


def _status(view: ProjectView) -> str | None:
    status = view.project.status
    return status if status is None or status in STATUSES else OTHER


PROJECTS = _headline(
    "iris_projects", "Projects that the source knows", "metrics.total_projects", lambda view: view.figures.projects
)
RUNS_TODAY = _headline(
    "iris_runs_today",
    "Runs since midnight, by the source's clock",
    "metrics.total_runs_today",
    lambda view: view.figures.runs_today,
)
SUCCESS_RATIO = _headline(
    "iris_success_ratio",
    "Share of successful runs, 0 to 1",
    "metrics.avg_success_rate",
    lambda view: view.figures.success_ratio,
)
ACTIVE_EXPERTS = _headline(
    "iris_active_experts", "Experts at work", "metrics.active_experts", lambda view: view.figures.active_experts
)
REFLEXIONS = _headline(
    "iris_reflexions", "Reflexions made", "metrics.total_reflexions", lambda view: view.figures.reflexions
)
PROJECTS_BY_STATUS = Metric(
    "iris_projects_by_status",
    Kind.GAUGE,
    "Projects in each status (metrics.healthy_projects, warning_projects, critical_projects), as last received.",
    SOURCE,
    "metrics.healthy_projects, warning_projects, critical_projects",
    (STREAM, Label("status", STATUSES[:3])),
    Subject.STREAM,
    lambda view: {
        "healthy": view.figures.healthy_projects,
        "warning": view.figures.warning_projects,
        "critical": view.figures.critical_projects,
    },
)

PROJECT_STATUS = _project(
    "iris_project_status",
    "1 for the status of the project (project status), 0 for the other statuses; an unknown status is other.",
    "project.status",
    _status,
    Label("status", STATUSES, STATUSES),
    kind=Kind.STATESET,
)
PROJECT_HEALTH_RATIO = _figure(
    "iris_project_health_ratio",
    "Health of the project, 0 to 1",
    "health_score",
    lambda view: view.project.health_ratio,
)
PROJECT_SUCCESS_RATIO = _figure(
    "iris_project_success_ratio",
    "Share of the project's successful runs, 0 to 1",
    "success_rate",
    lambda view: view.project.success_ratio,
)
PROJECT_RUNS = _figure("iris_project_runs", "Runs of the project so far", "total_runs", lambda view: view.project.runs)
PROJECT_ACTIVE_EXPERTS = _figure(
    "iris_project_active_experts",
    "Experts at work for the project",
    "active_experts",
    lambda view: view.project.active_experts,
)
PROJECT_REFLEXIONS = _figure(
    "iris_project_reflexions",
    "Reflexions made for the project",
    "reflexions_count",
    lambda view: view.project.reflexions,
)
PROJECT_LATENCY = _figure(
    "iris_project_latency_seconds",
    "Average latency of the project's runs, in seconds",
    "avg_latency",
    lambda view: view.project.latency_seconds,
)
PROJECT_LAST_RUN = _figure(
    "iris_project_last_run_timestamp_seconds",
    "Unix time of the project's last run",
    "last_run",
    lambda view: view.project.last_run_timestamp,
)
PROJECT_INFO = _project(
    "iris_project_info",
    "Name of the project (project name), to be joined by the project label.",
    "project.name",
    lambda view: None if view.project.name is None else (view.project.name,),
    Label("name"),
    kind=Kind.INFO,
)
EVENTS = Metric(
    "iris_events_total",
    Kind.COUNTER,
    "Events, each id once, over all transports and reconnects (event project, event_type, severity).",
    ENTITIES,
    "event.id, project, event_type, severity",
    (STREAM, PROJECT, Label("event_type"), Label("severity", SEVERITIES)),
    Subject.STREAM,
    lambda view: view.entities.events,
)
ANOMALIES = _project(
    "iris_anomalies",
    "Unresolved anomalies (anomaly project, severity, resolved), as last streamed or polled.",
    "anomaly.project, severity, resolved",
    lambda view: view.anomalies,
    Label("severity", ANOMALY_SEVERITIES, ANOMALY_SEVERITIES),
)
