"""What readers see of the state, and for how long; and that it holds in any order."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import (
    Anomaly,
    EventMessage,
    Metrics,
    Overview,
    Ping,
    Pong,
    Project,
    Resumed,
    Unknown,
    UpstreamError,
)
from iris_exporter.model.snapshot import DataFlow
from iris_exporter.model.source_state import NO_CHANGES, Changes
from iris_exporter.model.state import StreamState
from tests.decoding.envelopes import decode_one
from tests.model.short import NOW, STALE_AFTER, counted, event, feed, message, update


@pytest.fixture
def state() -> StreamState:
    return StreamState("default", STALE_AFTER)


def test_what_was_not_confirmed_for_long_is_not_shown(state: StreamState) -> None:
    state.apply_snapshot(
        Overview(Metrics(projects=1.0), (Project("a"),), (event(1),), (Anomaly("x"),)),
        NOW,
    )
    assert not state.view(NOW + STALE_AFTER - 1).stale
    view = state.view(NOW + STALE_AFTER)
    assert view.stale
    assert (view.metrics, view.projects, view.anomalies) == (None, (), ())
    assert feed(state) == ["evt-1"]
    assert sum(view.event_counts.values()) == 1
    assert view.last_data_timestamp == NOW


@pytest.mark.parametrize("sign", [Ping(), Unknown("x"), Resumed("none")])
def test_a_heartbeat_keeps_the_state_but_is_no_data(state: StreamState, sign: Any) -> None:
    state.apply(update(projects=(Project("a"),)), NOW)
    assert state.apply(sign, NOW + 200) is NO_CHANGES
    view = state.view(NOW + 400)
    assert len(view.projects) == 1
    assert view.last_data_timestamp == NOW
    assert state.view(NOW + 500).stale
    state.heard(NOW + 501)
    assert state.view(NOW + 501).projects == (Project("a"),)


def test_an_answer_to_our_own_ping_shows_only_that_the_link_is_alive(state: StreamState) -> None:
    state.apply(update(projects=(Project("a"),)), NOW)
    assert state.apply(Pong(), NOW + 200) is NO_CHANGES
    assert state.view(NOW + STALE_AFTER).flow is DataFlow.SILENT


def test_three_kinds_of_quiet_are_told_apart(state: StreamState) -> None:
    assert state.view(NOW).flow is DataFlow.SILENT, "nothing was heard yet"
    state.apply(message(1), NOW)
    assert state.view(NOW + STALE_AFTER - 1).flow is DataFlow.FLOWING
    state.apply(Ping(), NOW + STALE_AFTER - 1)
    assert state.view(NOW + STALE_AFTER).flow is DataFlow.IDLE
    assert state.view(NOW + 2 * STALE_AFTER).flow is DataFlow.SILENT


def test_an_error_of_the_source_is_no_sign_of_life(state: StreamState) -> None:
    state.apply(update(projects=(Project("a"),)), NOW)
    assert state.apply(UpstreamError("STREAM_UNAVAILABLE"), NOW + 200) is NO_CHANGES
    assert state.view(NOW + STALE_AFTER).stale


def test_the_view_is_made_once_until_something_changes(state: StreamState) -> None:
    state.apply(message(1), NOW)
    view = state.view(NOW)
    state.heard(NOW + 1)
    assert state.view(NOW + 2) is view
    state.apply(message(2), NOW + 3)
    assert state.view(NOW + 3) is not view
    assert state.view(NOW + 1000) is state.view(NOW + 1001)


def test_a_view_shows_what_only_vanished_or_only_changed(state: StreamState) -> None:
    state.apply_snapshot(Overview(projects=(Project("a"), Project("b")), anomalies=(Anomaly("x", value=1.0),)), NOW)
    state.view(NOW)
    state.apply_snapshot(Overview(projects=(Project("a"),), anomalies=(Anomaly("x", value=2.0),)), NOW)
    view = state.view(NOW)
    assert view.projects == (Project("a"),)
    assert view.anomalies == (Anomaly("x", value=2.0),)


def test_a_view_that_somebody_holds_does_not_change(state: StreamState) -> None:
    state.apply(message(1), NOW)
    view = state.view(NOW)
    state.apply(message(2), NOW)
    assert len(view.events) == 1
    assert view.event_counts == {("a", "evaluation", "info"): 1}


def test_forgetting_clears_what_is_shown_and_keeps_what_was_counted(state: StreamState) -> None:
    full = Overview(Metrics(projects=1.0), (Project("a"),), (event(1),), (Anomaly("x"),), "e-1")
    state.apply_snapshot(full, NOW)
    counts = state.view(NOW).event_counts
    state.forget()
    view = state.view(NOW)
    assert (view.metrics, view.projects, view.anomalies, view.events) == (None, (), (), ())
    assert (view.last_data_timestamp, view.flow) == (None, DataFlow.SILENT)
    assert view.event_counts == counts
    assert state.apply_snapshot(full, NOW).duplicates == 1
    assert counted(state) == 1
    assert state.cursor.resume_from == "e-1"


# Any order

STEPS = st.lists(
    st.tuples(st.sampled_from(["event", "replay", "update", "snapshot", "forget"]), st.lists(st.integers(0, 15))),
    max_size=25,
)


@given(STEPS)
def test_each_event_counts_once_and_no_counter_falls_in_any_order(steps: list[tuple[str, list[int]]]) -> None:
    state = StreamState("default", STALE_AFTER)
    seen: set[int] = set()
    before: Counter[Any] = Counter()
    reported = 0
    for way, numbers in steps:
        events = tuple(event(number, severity="error" if number % 2 else "info") for number in numbers)
        changes: list[Changes] = []
        if way in ("event", "replay"):
            changes = [state.apply(EventMessage(each, replay=way == "replay"), NOW) for each in events]
        elif way == "update":
            changes = [state.apply(update(events=events), NOW)]
        elif way == "snapshot":
            changes = [state.apply_snapshot(Overview(events=events), NOW)]
        else:
            state.forget()
        arrived = [] if way == "forget" else numbers
        seen.update(arrived)
        reported += sum(len(each.events) for each in changes)
        assert sum(len(each.events) + each.duplicates for each in changes) == len(arrived)
        counts = Counter(state.view(NOW).event_counts)
        assert not before - counts
        before = counts
    assert before.total() == reported == len(seen)
    assert len(set(feed(state))) == len(feed(state))


def test_a_recorded_life_from_bytes_to_view(state: StreamState) -> None:
    """Snapshot, live messages, the same again after a reconnect: decoded, merged, counted."""
    decoder = IrisJson()
    overview = (
        b'{"metrics":{"total_projects":2},"projects":[{"project":"a","overallHealth":"healthy","avgSuccessRate":93},'
        b'{"project":"b","avgSuccessRate":1}],"events":[{"id":1,"project":"a","event_type":"info"}],"anomalies":[]}'
    )
    live = (
        b'{"type":"event","data":{"id":"1","project":"a","event_type":"info"}}',
        b'{"type":"update","data":{"projects":[{"id":"a","success_rate":0.5,"avg_latency":250}]}}',
        b'{"type":"event","data":{"id":2,"project":"b","event_type":"rotation","severity":"WARNING"}}',
        b'{"type":"ping"}',
    )
    for _ in range(2):
        state.apply_snapshot(decoder.decode_document(overview), NOW)
        for data in live:
            state.apply(decode_one(decoder, data), NOW)
    view = state.view(NOW)
    assert view.metrics == Metrics(projects=2.0)
    assert view.projects == (
        Project("a", status="healthy", success_ratio=0.5, latency_seconds=0.25),
        Project("b", success_ratio=0.01),
    )
    assert view.event_counts == {("a", "info", "info"): 1, ("b", "rotation", "warning"): 1}
    assert [event.id for event in view.events] == ["2", "1"]


def test_changes_do_not_burden_the_garbage_collector() -> None:
    """Millions are made a minute; none can be part of a cycle."""
    assert msgspec.structs.fields(Changes)
    assert Changes.__struct_config__.gc is False
