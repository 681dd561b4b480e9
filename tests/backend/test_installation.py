"""The synthetic installation."""

from collections import Counter

import pytest

from iris_exporter.backend.installation import Installation, day_load, status_of
from iris_exporter.backend.objects import Event

NOON = 1_700_049_600.0


def lived(seconds: float, *, piece: float = 1.0, seed: int = 7, rate: float = 5.0) -> tuple[Installation, list[Event]]:
    installation = Installation(seed=seed, start=NOON, rate=rate)
    events: list[Event] = []
    for number in range(1, round(seconds / piece) + 1):
        events += installation.advance(NOON + number * piece)
    return installation, events


def test_the_same_seed_gives_the_same_story_however_time_is_cut() -> None:
    one, one_events = lived(120, piece=0.5)
    other, other_events = lived(120, piece=8.0)
    assert one_events == other_events
    assert (one.projects(), one.metrics(), one.anomalies()) == (other.projects(), other.metrics(), other.anomalies())


def test_another_seed_gives_another_story() -> None:
    assert lived(10)[1] != lived(10, seed=8)[1]


def test_the_rate_is_the_mean_number_of_events_a_second() -> None:
    assert len(lived(200, rate=50)[1]) == pytest.approx(10_000, rel=0.05)


def test_at_rate_zero_nothing_changes() -> None:
    installation, events = lived(600, rate=0)
    fresh = Installation(seed=7, start=NOON, rate=0)
    assert events == []
    assert installation.projects() == fresh.projects()
    assert installation.version == fresh.version


def test_event_ids_are_unique_and_differ_from_those_of_another_start() -> None:
    first = {event.id for event in lived(60)[1]}
    later = Installation(seed=7, start=NOON + 1, rate=5.0)
    assert len(first) == len(lived(60)[1])
    assert not first & {event.id for event in later.advance(NOON + 11)}


def test_timestamps_never_go_back() -> None:
    stamps = [event.timestamp for event in lived(60, rate=20)[1]]
    assert stamps == sorted(stamps)
    assert stamps[0].endswith("Z")


def test_all_kinds_and_severities_occur() -> None:
    events = lived(3600, piece=10)[1]
    kinds = {"evaluation", "retrain", "rotation", "consensus", "reflexion", "info", "anomaly_detected"}
    assert {event.event_type for event in events} == kinds
    assert {event.severity for event in events} == {"info", "warning", "error", "critical"}


def test_incidents_open_anomalies_that_close_again() -> None:
    installation = Installation(seed=7, start=NOON, rate=5.0)
    ever_open: set[str] = set()
    resolved: set[str] = set()
    for second in range(0, 3600, 10):
        installation.advance(NOON + second)
        for anomaly in installation.anomalies():
            (resolved if anomaly.resolved else ever_open).add(anomaly.id)
    assert len(ever_open) > 5
    assert resolved & ever_open
    assert sum(anomaly.resolved for anomaly in installation.anomalies()) <= 10


def test_an_incident_hurts_its_project() -> None:
    installation = Installation(seed=7, start=NOON, rate=5.0)
    lowest = 100.0
    for second in range(0, 3600, 10):
        installation.advance(NOON + second)
        for anomaly in installation.anomalies():
            if not anomaly.resolved:
                lowest = min(lowest, *(p.health_score for p in installation.projects() if p.id == anomaly.project))
    assert lowest < 60


def test_metrics_follow_from_the_projects() -> None:
    installation, events = lived(300)
    metrics, projects = installation.metrics(), installation.projects()
    statuses = Counter(project.status for project in projects)
    assert metrics.total_projects == len(projects)
    assert metrics.healthy_projects == statuses["healthy"]
    assert metrics.warning_projects == statuses["warning"]
    assert metrics.critical_projects == statuses["critical"]
    assert metrics.active_experts == sum(project.active_experts for project in projects)
    assert metrics.total_reflexions == sum(project.reflexions_count for project in projects)
    assert 0 < metrics.avg_success_rate < 1
    fresh = Installation(seed=7, start=NOON, rate=5.0).metrics()
    runs = sum(event.event_type == "evaluation" for event in events)
    assert metrics.total_runs_today - fresh.total_runs_today == runs > 0


def test_runs_today_begin_again_at_midnight() -> None:
    midnight = NOON - NOON % 86_400 + 86_400
    installation = Installation(seed=7, start=midnight - 5, rate=50.0)
    installation.advance(midnight - 1)
    before = installation.metrics().total_runs_today
    installation.advance(midnight + 1)
    assert installation.metrics().total_runs_today < before


def test_a_long_sleep_is_not_caught_up_with() -> None:
    installation = Installation(seed=7, start=NOON, rate=10.0)
    assert len(installation.advance(NOON + 86_400)) < 200
    assert installation.advance(NOON + 1) == []


def test_work_follows_the_hour() -> None:
    midnight = NOON - NOON % 86_400
    assert day_load(midnight + 15 * 3600) == pytest.approx(1.0)
    assert day_load(midnight + 3 * 3600) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("health", "status"), [(80, "healthy"), (79.9, "warning"), (60, "warning"), (59.9, "critical")]
)
def test_status_follows_health(health: float, status: str) -> None:
    assert status_of(health) == status


def test_details_show_what_happened_to_one_project() -> None:
    installation, events = lived(600)
    details = installation.details("support-triage")
    assert details is not None
    own = [event for event in events if event.project == "support-triage"]
    reflexions = [event.id for event in reversed(own) if event.event_type == "reflexion"]
    assert [event.id for event in details["recent_reflexions"]] == reflexions[:10]
    assert details["recent_errors"]
    assert all(event.severity in ("error", "critical") for event in details["recent_errors"])
    evaluations = sum(event.event_type == "evaluation" for event in own)
    assert sum(expert["evaluations"] for expert in details["expert_performance"]) == evaluations
    assert installation.details("nobody") is None


def test_patterns_name_the_best_expert_of_each_project() -> None:
    installation, _ = lived(600)
    assert {pattern["project"] for pattern in installation.patterns()} == {item.id for item in installation.projects()}
    assert Installation(seed=7, start=NOON, rate=5.0).patterns() == []


def test_more_projects_than_names_are_numbered() -> None:
    projects = Installation(seed=7, start=NOON, rate=1.0, projects=20).projects()
    assert len({project.id for project in projects}) == 20
