"""What one stream is believed to be, message after message."""

from dataclasses import replace

import msgspec
import pytest

from iris_exporter.core.cursor import Cursor
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.core.positions import CursorState, Outcome
from iris_exporter.decoding.messages import Anomaly, EventMessage, Metrics, Overview, Project, Resumed, Update
from iris_exporter.model.source_state import NO_CHANGES, Changes
from iris_exporter.model.state import OVERFLOW_KEY, StreamState
from tests.model.short import NOW, STALE_AFTER, counted, event, feed, message, update


@pytest.fixture
def state() -> StreamState:
    return StreamState("default", STALE_AFTER)


# Nothing yet


def test_a_new_stream_shows_nothing(state: StreamState) -> None:
    view = state.view(NOW)
    assert (view.stream, view.metrics, view.projects, view.anomalies, view.events) == ("default", None, (), (), ())
    assert (dict(view.event_counts), view.last_data_timestamp) == ({}, None)


# Metrics


def test_headline_figures_replace_field_by_field(state: StreamState) -> None:
    state.apply(update(metrics=Metrics(projects=3.0, runs_today=10.0)), NOW)
    state.apply(update(metrics=Metrics(runs_today=11.0, active_experts=0.0)), NOW)
    assert state.view(NOW).metrics == Metrics(projects=3.0, runs_today=11.0, active_experts=0.0)


def test_a_snapshot_without_a_figure_keeps_it(state: StreamState) -> None:
    """The deployed REST interface sends fewer fields than the stream; they must not come and go."""
    state.apply(update(metrics=Metrics(projects=3.0, reflexions=7.0)), NOW)
    state.apply_snapshot(Overview(metrics=Metrics(projects=4.0)), NOW)
    assert state.view(NOW).metrics == Metrics(projects=4.0, reflexions=7.0)


# Projects


def test_projects_merge_by_id_and_field(state: StreamState) -> None:
    state.apply_snapshot(Overview(projects=(Project("a", name="A", runs=5.0), Project("b"))), NOW)
    state.apply(update(projects=(Project("a", runs=6.0), Project("c"))), NOW)
    assert state.view(NOW).projects == (Project("a", name="A", runs=6.0), Project("b"), Project("c"))


def test_a_partial_update_removes_no_project(state: StreamState) -> None:
    state.apply_snapshot(Overview(projects=(Project("a"), Project("b"))), NOW)
    state.apply(update(projects=()), NOW)
    assert len(state.view(NOW).projects) == 2


def test_what_a_full_snapshot_lacks_vanishes(state: StreamState) -> None:
    state.apply(update(projects=(Project("a", latency_seconds=0.5), Project("b"))), NOW)
    state.apply_snapshot(Overview(projects=(Project("a", runs=1.0),)), NOW)
    assert state.view(NOW).projects == (Project("a", latency_seconds=0.5, runs=1.0),)


def test_what_the_first_state_of_a_subscription_lacks_vanishes(state: StreamState) -> None:
    state.apply(update(projects=(Project("a"), Project("b")), anomalies=(Anomaly("x"),)), NOW)
    state.apply(Update(Overview(projects=(Project("a"),)), is_whole=True), NOW)
    view = state.view(NOW)
    assert [each.id for each in view.projects] == ["a"]
    assert [each.id for each in view.anomalies] == ["x"], "a list that is not there says nothing"


def test_a_project_that_is_removed_vanishes(state: StreamState) -> None:
    state.apply(update(projects=(Project("a"), Project("b"))), NOW)
    state.apply(update(removed=("a", "nobody")), NOW)
    assert [each.id for each in state.view(NOW).projects] == ["b"]


def test_a_part_of_the_overview_says_nothing_about_the_rest(state: StreamState) -> None:
    state.apply_snapshot(Overview(projects=(Project("a"),), anomalies=(Anomaly("x"),)), NOW)
    state.apply_snapshot(Overview(metrics=Metrics(projects=1.0)), NOW)
    state.apply_snapshot(Overview(projects=(Project("b"),), anomalies=(Anomaly("y"),)), NOW, full=False)
    view = state.view(NOW)
    assert [project.id for project in view.projects] == ["a", "b"]
    assert [anomaly.id for anomaly in view.anomalies] == ["x", "y"]


def test_a_project_stays_the_same_object_until_something_about_it_changes(state: StreamState) -> None:
    state.apply(update(projects=(Project("a", runs=1.0), Project("b", runs=1.0))), NOW)
    before = state.view(NOW).projects
    state.apply(update(projects=(Project("a", runs=1.0), Project("b", runs=2.0))), NOW)
    after = state.view(NOW).projects
    assert after[0] is before[0]
    assert after[1] is not before[1]
    state.apply_snapshot(Overview(projects=(Project("a", runs=1.0), Project("b", runs=2.0))), NOW)
    assert state.view(NOW).projects is after


# Anomalies


def test_an_anomaly_opens_changes_and_closes(state: StreamState) -> None:
    opened = Anomaly("x", project="a", severity="critical", metric="m", value=1.0)
    state.apply(update(anomalies=(opened,)), NOW)
    assert state.view(NOW).anomalies == (opened,)
    state.apply(update(anomalies=(Anomaly("x", value=2.0),)), NOW)
    merged = Anomaly("x", project="a", severity="critical", metric="m", value=2.0)
    assert state.view(NOW).anomalies == (merged,)
    state.apply(update(anomalies=(Anomaly("x", resolved=True),)), NOW)
    assert state.view(NOW).anomalies == ()


def test_a_severity_may_fall_to_info(state: StreamState) -> None:
    state.apply(update(anomalies=(Anomaly("x", severity="critical", metric="m"),)), NOW)
    state.apply(update(anomalies=(Anomaly("x", severity="info", metric="m"),)), NOW)
    assert state.view(NOW).anomalies[0].severity == "info"


def test_an_anomaly_that_is_resolved_before_it_was_known_is_nothing(state: StreamState) -> None:
    state.apply(update(anomalies=(Anomaly("x", resolved=True),)), NOW)
    assert state.view(NOW).anomalies == ()


def test_a_full_snapshot_closes_the_anomalies_it_lacks(state: StreamState) -> None:
    state.apply(update(anomalies=(Anomaly("x"), Anomaly("y"))), NOW)
    state.apply_snapshot(Overview(anomalies=(Anomaly("y"), Anomaly("z"))), NOW)
    assert [anomaly.id for anomaly in state.view(NOW).anomalies] == ["y", "z"]


# Events


def test_an_event_counts_once_over_all_ways_it_arrives(state: StreamState) -> None:
    assert state.apply(message(1), NOW).events == (event(1),)
    assert state.apply(message(1), NOW) == Changes(duplicates=1)
    assert state.apply(Update(Overview(events=(event(1), event(2))), "telemetry"), NOW).duplicates == 1
    assert state.apply_snapshot(Overview(events=(event(2), event(1))), NOW).duplicates == 2
    assert state.apply(message(2, replay=True), NOW) == Changes(duplicates=1, replayed=1)
    assert state.view(NOW).event_counts == {("a", "evaluation", "info"): 2}


def test_the_events_of_the_first_snapshot_count(state: StreamState) -> None:
    assert len(state.apply_snapshot(Overview(events=(event(2), event(1))), NOW).events) == 2
    assert counted(state) == 2


def test_counts_are_kept_by_project_type_and_severity(state: StreamState) -> None:
    state.apply(EventMessage(event(1, project="b", severity="error")), NOW)
    state.apply(EventMessage(event(2, project="b", severity="error")), NOW)
    state.apply(EventMessage(event(3, event_type="rotation")), NOW)
    assert state.view(NOW).event_counts == {("b", "evaluation", "error"): 2, ("a", "rotation", "info"): 1}


def test_new_events_stand_in_front_and_the_feed_is_cut(state: StreamState) -> None:
    for number in range(DEFAULT_LIMITS.max_events + 5):
        state.apply(message(number), NOW)
    assert feed(state) == [f"evt-{number}" for number in range(DEFAULT_LIMITS.max_events + 4, 4, -1)]
    assert counted(state) == DEFAULT_LIMITS.max_events + 5


@pytest.mark.parametrize("numbers", [(3, 2, 1), (1, 2, 3), (2, 3, 1)])
def test_a_list_of_events_is_put_in_front_by_its_moments(state: StreamState, numbers: tuple[int, ...]) -> None:
    """Some sources list the newest first, others the oldest."""
    state.apply(message(9), NOW)
    changes = state.apply(update(events=tuple(event(number) for number in numbers)), NOW)
    assert [event.id for event in changes.events] == ["evt-1", "evt-2", "evt-3"]
    assert feed(state) == ["evt-3", "evt-2", "evt-1", "evt-9"]


def test_a_list_without_moments_is_taken_as_newest_first(state: StreamState) -> None:
    events = tuple(event(number, timestamp=None) for number in (3, 2, 1))
    changes = state.apply(update(events=events), NOW)
    assert [event.id for event in changes.events] == ["evt-1", "evt-2", "evt-3"]
    assert feed(state) == ["evt-3", "evt-2", "evt-1"]


def test_a_full_snapshot_removes_no_event(state: StreamState) -> None:
    state.apply(message(1), NOW)
    state.apply_snapshot(Overview(events=()), NOW)
    assert feed(state) == ["evt-1"]


def test_a_duplicate_makes_no_objects(state: StreamState) -> None:
    state.apply(message(1), NOW)
    assert state.apply(message(1), NOW) is state.apply(message(1), NOW)
    assert state.apply(message(1, replay=True), NOW) is state.apply(message(1, replay=True), NOW)


# Delay


def test_the_delay_of_a_live_message_is_given(state: StreamState) -> None:
    assert state.apply(message(1, timestamp=NOW - 0.25), NOW).delay_seconds == 0.25
    assert state.apply(Update(Overview(), timestamp=NOW - 0.5), NOW).delay_seconds == 0.5


def test_a_clock_that_is_ahead_gives_no_negative_delay(state: StreamState) -> None:
    assert state.apply(message(1, timestamp=NOW + 5), NOW).delay_seconds == 0
    assert state.apply(Update(Overview(), timestamp=NOW + 5), NOW).delay_seconds == 0


def test_what_is_not_live_has_no_delay(state: StreamState) -> None:
    assert state.apply(message(1, timestamp=NOW - 9, replay=True), NOW).delay_seconds is None
    assert state.apply(message(2), NOW).delay_seconds is None
    assert state.apply(message(2, timestamp=NOW - 9), NOW).delay_seconds is None  # seen before
    assert state.apply(Update(Overview(), timestamp=NOW - 9, replay=True), NOW).delay_seconds is None
    assert state.apply_snapshot(Overview(events=(event(3),)), NOW).delay_seconds is None


# Replays, positions and gaps


def test_replays_are_counted(state: StreamState) -> None:
    assert state.apply(message(1, replay=True), NOW) == Changes(events=(event(1),), replayed=1)
    changes = state.apply(Update(Overview(events=(event(1), event(2))), replay=True), NOW)
    assert (changes.replayed, changes.duplicates, changes.events) == (2, 1, (event(2),))


def known(offset: int) -> StreamState:
    """A stream whose source is known to number its events, read up to `offset`."""
    return StreamState("default", STALE_AFTER, cursor=Cursor(CursorState("e", offset, confirmed=True)))


def test_a_gap_in_the_positions_is_noticed() -> None:
    state = known(0)
    gaps = []
    for number in (1, 2, 5, 5, 6):
        state.apply(message(number, position=f"e-{number}"), NOW)
        gaps.append(state.cursor.gap_after)
    assert gaps == [None, None, "e-2", "e-2", "e-2"]
    assert state.apply(message(1, position="e-9"), NOW) == Changes(duplicates=1)
    assert state.cursor.abandon() == 4


def test_an_update_moves_over_the_events_it_carries() -> None:
    state = known(1)
    several = Update(Overview(events=(event(2), event(3), event(4))), position="e-4")
    state.apply(several, NOW)
    state.apply(Update(Overview(anomalies=(Anomaly("x"),)), position="e-5"), NOW)
    assert not state.cursor.has_gap
    state.apply(Update(Overview(events=(event(7),)), position="e-7"), NOW)
    assert state.cursor.abandon() == 1


def test_the_first_snapshot_says_where_the_stream_begins(state: StreamState) -> None:
    state.apply_snapshot(Overview(events=(event(4),), cursor="e-4"), NOW)
    assert state.cursor.resume_from == "e-4"
    state.apply(message(7, position="e-7"), NOW)
    assert state.cursor.abandon() == 2


def test_a_polled_document_says_what_lies_between(state: StreamState) -> None:
    state.apply_snapshot(Overview(events=(event(4),), cursor="e-4"), NOW, polling=True)
    state.apply_snapshot(Overview(events=(event(9), event(8)), cursor="e-9"), NOW, polling=True)
    assert state.cursor.resume_from == "e-4"
    assert state.cursor.abandon() == 3


def test_what_a_resume_declares_missed_is_one_gap() -> None:
    state = known(1)
    state.cursor.begin(asked=True)
    answer = Resumed(Outcome.PARTIAL, replayed=1, missed=3, epoch="e", last_event_id="e-5")
    assert state.apply(answer, NOW).gap == 3
    assert state.apply(message(5, position="e-5", replay=True), NOW).gap == 0
    state.apply(message(6, position="e-6"), NOW)
    assert not state.cursor.has_gap


@pytest.mark.parametrize("killed_after", [None, 0, 12, 60])
def test_what_a_snapshot_brings_before_a_long_replay_counts_once(killed_after: int | None) -> None:
    """As after a kill: the newest events come with the snapshot and again at the end of a replay that is longer than
    the memory of ids. In between the process may be killed once more, with its cursor on disk."""
    limits = replace(DEFAULT_LIMITS, max_event_ids=10)
    state = StreamState("default", STALE_AFTER, SeenIds(10), Cursor(CursorState("e", 0, confirmed=True)), limits)
    counted_before = 0

    def connect() -> None:
        state.cursor.begin(asked=True)
        state.apply_snapshot(Overview(events=tuple(map(event, range(96, 101))), cursor="e-100"), NOW)
        at = state.cursor.state.offset
        state.apply(Resumed(Outcome.FULL, replayed=100 - at, epoch="e", last_event_id="e-100"), NOW)

    connect()
    # Live messages go on beside the replay.
    for number in range(101, 111):
        state.apply(message(number, position=f"e-{number}"), NOW)
    for number in range(1, 101):
        state.apply(message(number, position=f"e-{number}", replay=True), NOW)
        if number == killed_after or (killed_after == 0 and number == 1):
            counted_before += counted(state)
            seen = SeenIds(10, state.seen.ids(), state.seen.pinned)
            state = StreamState("default", STALE_AFTER, seen, Cursor(state.cursor.state), limits)
            state.cursor.begin(asked=True)
            answer = Resumed(Outcome.FULL, replayed=110 - number, epoch="e", last_event_id="e-110")
            state.apply(answer, NOW)
    if killed_after is not None:
        for number in range(101, 111):
            state.apply(message(number, position=f"e-{number}", replay=True), NOW)
    state.apply(message(111, position="e-111"), NOW)
    assert counted_before + counted(state) == 111
    assert not state.seen.pinned


def test_live_events_beyond_a_gap_count_once_when_a_restart_has_them_replayed() -> None:
    limits = replace(DEFAULT_LIMITS, max_event_ids=10)
    state = StreamState("default", STALE_AFTER, SeenIds(10), Cursor(CursorState("e", 0, confirmed=True)), limits)
    for number in (40, 41, 42):
        state.apply(message(number, position=f"e-{number}"), NOW)
    assert counted(state) == 3
    seen = SeenIds(10, state.seen.ids(), state.seen.pinned)
    again = StreamState("default", STALE_AFTER, seen, Cursor(state.cursor.state), limits)
    again.cursor.begin(asked=True)
    again.apply(Resumed(Outcome.FULL, replayed=42, epoch="e", last_event_id="e-42"), NOW)
    for number in range(1, 43):
        again.apply(message(number, position=f"e-{number}", replay=True), NOW)
    assert counted(state) + counted(again) == 42


def test_a_resume_that_misses_nothing_changes_nothing(state: StreamState) -> None:
    assert state.apply(Resumed(Outcome.FULL, replayed=2), NOW) is NO_CHANGES


def test_events_of_the_same_moment_keep_their_order(state: StreamState) -> None:
    """Lists come newest first; a moment that two share must not turn them around."""
    same = tuple(msgspec.structs.replace(event(number), timestamp=NOW) for number in (3, 2, 1))
    state.apply_snapshot(Overview(events=same), NOW)
    assert [shown.id for shown in state.view(NOW).events] == ["evt-3", "evt-2", "evt-1"]


def test_the_memory_of_ids_can_be_handed_in() -> None:
    seen = SeenIds(ids=["evt-1"])
    assert StreamState("default", STALE_AFTER, seen).apply(message(1), NOW) == Changes(duplicates=1)


# Limits


def test_labels_without_end_are_counted_together() -> None:
    state = StreamState("default", STALE_AFTER, limits=Limits(max_event_series=2))
    for number in range(5):
        state.apply(EventMessage(event(number, project=f"p{number}")), NOW)
    counts = state.view(NOW).event_counts
    assert len(counts) == 3
    assert counts[OVERFLOW_KEY] == 3
    assert state.take_dropped() == {"event_labels": 3}
    assert not state.take_dropped()


def test_objects_over_the_limit_are_dropped_and_counted() -> None:
    state = StreamState("default", STALE_AFTER, limits=Limits(max_projects=2, max_anomalies=1))
    state.apply(
        update(
            projects=tuple(Project(name) for name in "abca"),
            anomalies=(Anomaly("x"), Anomaly("y"), Anomaly("x", value=1.0)),
        ),
        NOW,
    )
    assert state.take_dropped() == {"projects": 1, "anomalies": 1}
    assert [project.id for project in state.view(NOW).projects] == ["a", "b"]
    assert state.view(NOW).anomalies == (Anomaly("x", value=1.0),)


def test_ids_that_are_forgotten_are_counted() -> None:
    state = StreamState("default", STALE_AFTER, limits=Limits(max_event_ids=100))
    for number in range(250):
        state.apply(message(number), NOW)
    assert state.take_dropped() == {"event_ids": 100}
    assert len(state.seen) == 150


def test_other_limits_shrink_the_feed_and_the_ids_and_keep_the_newest() -> None:
    state = StreamState("default", STALE_AFTER)
    for number in range(1000):
        state.apply(message(number), NOW)
    state.limit(Limits(max_events=3, max_event_ids=100))
    assert feed(state) == ["evt-999", "evt-998", "evt-997"]
    assert state.take_dropped() == {"event_ids": 800}
    assert not state.seen.knows("evt-799")
    assert state.seen.knows("evt-800")
    assert counted(state) == 1000
    state.apply(message(1000), NOW)
    assert feed(state) == ["evt-1000", "evt-999", "evt-998"]
