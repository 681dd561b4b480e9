"""The queues of one subscriber, with the time handed in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.backend.history import Entry, History
from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project
from iris_exporter.backend.options import parse_options
from iris_exporter.backend.patches import merge_patch
from iris_exporter.backend.send_queue import (
    MAX_ANSWERS,
    Outgoing,
    Say,
    SendBatch,
    SendDropped,
    SendEvent,
    SendQueue,
    SendState,
)
from iris_exporter.backend.state import ReportedState

ANSWER = {"type": "subscribed"}


class Installation:
    """A source that a test sets."""

    version = 0

    def __init__(self) -> None:
        self.figures = Metrics(1, 1, 0, 0, 5, 0.9, 2, 3)
        self.all_projects = [Project(name, name.upper(), "healthy", 90.0, None, 1, 1.0, 1, 1, 1.0) for name in "ab"]
        self.all_anomalies: list[Anomaly] = []

    def advance(self, until: float) -> list[Event]:
        return []

    def metrics(self) -> Metrics:
        return self.figures

    def projects(self) -> list[Project]:
        return self.all_projects

    def anomalies(self) -> list[Anomaly]:
        return self.all_anomalies

    def patterns(self) -> list[dict[str, Any]]:
        return []

    def details(self, project_id: str) -> dict[str, Any] | None:
        return None


class Rig:
    """One subscriber of an installation, and a clock that is a number."""

    def __init__(self, max_events: int = 1000, max_bytes: int = 10**6) -> None:
        self.installation = Installation()
        self.history = History("ep", 10_000)
        self.state = ReportedState()
        self.state.report(self.installation)
        self.send_queue = SendQueue(max_events, max_bytes)
        self.now = 100.0
        self.copies = 0

    def subscribe(
        self, first: Sequence[Entry] | None = None, replay: Sequence[Entry] | None = None, **options: Any
    ) -> None:
        self.send_queue.subscribe(parse_options(options).grant, ANSWER, self.now, first=first, replay=replay)

    def started(self, **options: Any) -> "Rig":
        """Subscribed, with the answer and the first state taken."""
        self.subscribe(**options)
        self.take()
        return self

    def make(self, count: int = 1, **changes: Any) -> list[Entry]:
        values = {"project": "a", "event_type": "info", "severity": "info", "message": "", "metadata": {}} | changes
        events = [Event(f"e{self.history.last + number + 1}", "", **values) for number in range(count)]
        return self.history.extend([(event, msgspec.json.encode(event)) for event in events])

    def happen(self, count: int = 1, **changes: Any) -> int:
        """Let events happen; returns how many are lost."""
        offered = self.send_queue.offer(self.make(count, **changes), self.now)
        self.copies += offered.copies
        return offered.lost

    def project(self, name: str, **changes: Any) -> None:
        old = self.installation.all_projects
        new = [msgspec.structs.replace(each, **changes) if each.id == name else each for each in old]
        self.installation.all_projects = new
        self.send_queue.mark(self.state.report(self.installation), self.state, self.now)

    def vanish(self, name: str) -> None:
        self.installation.all_projects = [each for each in self.installation.all_projects if each.id != name]
        self.send_queue.mark(self.state.report(self.installation), self.state, self.now)

    def come(self, name: str) -> None:
        known = {each.id: each for each in Installation().all_projects}
        self.installation.all_projects = [*self.installation.all_projects, known[name]]
        self.send_queue.mark(self.state.report(self.installation), self.state, self.now)

    def anomaly(self, **changes: Any) -> None:
        usual = Anomaly("n1", "", "a", "spike", "critical", "m", 2.0, 1.0, 100.0, "", False)
        found = (self.installation.all_anomalies or [usual])[0]
        self.installation.all_anomalies = [msgspec.structs.replace(found, **changes)]
        self.send_queue.mark(self.state.report(self.installation), self.state, self.now)

    def take(self) -> list[Outgoing]:
        return self.send_queue.take(self.now, self.state)

    def due(self) -> float | None:
        due = self.send_queue.due_at()
        return None if due is None else max(0.0, due - self.now)


def shown(items: Sequence[Outgoing]) -> list[Any]:
    """What is sent, short: events by offset, `~` before a replay and `!` before an advance copy; state by its data."""
    found: list[Any] = []
    for item in items:
        match item:
            case SendEvent(entry, replay, advance):
                found.append(f"{'~' if replay else ''}{'!' if advance else ''}{entry.offset}")
            case SendState(payload, _, _):
                found.append(payload.data)
            case SendDropped(count, after, last):
                found.append((count, after, last))
            case SendBatch(inner):
                found.append(shown(inner))
            case Say(message):
                found.append(message["type"])
    return found


def test_the_answer_comes_first_then_the_state_then_the_replay_then_live_events() -> None:
    rig = Rig()
    old = rig.make(3)
    rig.subscribe(replay=old)
    rig.happen(2)
    found = shown(rig.take())
    assert (found[0], set(found[1])) == ("subscribed", {"metrics", "projects", "anomalies"})
    assert found[2:] == ["~1", "~2", "~3", "4", "5"]
    assert rig.send_queue.empty
    assert rig.due() is None


def test_the_first_state_has_the_latest_events_that_match() -> None:
    rig = Rig()
    entries = [*rig.make(1), *rig.make(1, project="b")][::-1]
    rig.subscribe(first=entries, channels=["events"], projects=["a"])
    _, first = rig.take()
    assert isinstance(first, SendState)
    assert [event["id"] for event in first.payload.data["events"]] == ["e1"]
    assert first.offset == 1


def test_nothing_is_sent_before_a_subscribe() -> None:
    rig = Rig()
    rig.happen()
    rig.project("a", status="warning")
    assert rig.send_queue.empty
    rig.send_queue.say({"type": "pong"}, rig.now)
    assert shown(rig.take()) == ["pong"]


def test_only_events_that_pass_the_filters_are_sent() -> None:
    rig = Rig().started(projects=["a"], severities=["error", "critical"])
    for project in "ab":
        for severity in ("info", "error", "critical", "odd"):
            rig.happen(project=project, severity=severity)
    assert shown(rig.take()) == ["2", "3"]


def test_a_slow_reader_is_sent_the_newest_state() -> None:
    rig = Rig().started(channels=["projects"])
    for number in range(50):
        rig.project("a", total_runs=number + 10)
    (update,) = rig.take()
    assert isinstance(update, SendState)
    assert [project["total_runs"] for project in update.payload.data["projects"]] == [59]
    assert rig.send_queue.empty


def test_a_change_that_was_taken_back_is_not_sent() -> None:
    rig = Rig().started(delta=True)
    rig.project("a", status="warning")
    rig.project("a", status="healthy")
    assert shown(rig.take()) == []


def test_a_delta_has_what_changed_since_the_client_was_told() -> None:
    rig = Rig().started(delta=True)
    rig.project("a", status="warning", last_run="x")
    rig.project("a", total_runs=7)
    assert shown(rig.take()) == [{"projects": [{"id": "a", "status": "warning", "last_run": "x", "total_runs": 7}]}]
    rig.project("a", last_run=None)
    rig.installation.figures = msgspec.structs.replace(rig.installation.figures, total_projects=3)
    rig.anomaly()
    (delta,) = shown(rig.take())
    assert delta["metrics"] == {"total_projects": 3}
    assert delta["projects"] == [{"id": "a", "last_run": None}]
    assert delta["anomalies"][0]["id"] == "n1"
    assert len(delta["anomalies"][0]) == 11, "whole, since the client does not know it"


def test_states_are_numbered_where_deltas_are_granted() -> None:
    rig = Rig()
    rig.subscribe(delta=True)
    first = [item.seq for item in rig.take() if isinstance(item, SendState)]
    rig.project("a", status="warning")
    second = [item.seq for item in rig.take() if isinstance(item, SendState)]
    rig.subscribe(delta=True)
    again = [item.seq for item in rig.take() if isinstance(item, SendState)]
    assert (first, second, again) == ([1], [2], [1])
    rig.subscribe()
    assert [item.seq for item in rig.take() if isinstance(item, SendState)] == [None]


def test_a_change_in_fields_that_were_not_asked_for_is_not_sent() -> None:
    rig = Rig().started(fields={"projects": ["status"], "metrics": ["active_experts"]})
    rig.project("a", total_runs=99)
    assert shown(rig.take()) == []
    rig.project("a", status="critical")
    assert shown(rig.take()) == [{"projects": [{"id": "a", "status": "critical"}]}]


def test_an_anomaly_that_leaves_the_filter_is_followed_to_its_end() -> None:
    rig = Rig().started(channels=["anomalies"], severities=["critical"], delta=True)
    rig.anomaly(severity="warning")
    assert shown(rig.take()) == []
    rig.anomaly(severity="critical")
    assert len(shown(rig.take())[0]["anomalies"][0]) == 11
    rig.anomaly(severity="warning")
    assert shown(rig.take()) == [{"anomalies": [{"id": "n1", "severity": "warning"}]}]
    rig.anomaly(resolved=True)
    assert shown(rig.take()) == [{"anomalies": [{"id": "n1", "resolved": True}]}]


@pytest.mark.parametrize("options", [{}, {"delta": True}, {"fields": {"projects": ["name"]}}, {"projects": ["a"]}])
def test_a_project_that_vanishes_is_removed_once(options: dict[str, Any]) -> None:
    rig = Rig().started(**options)
    rig.vanish("a")
    assert shown(rig.take()) == [{"removed": {"projects": ["a"]}}]
    assert rig.send_queue.empty
    rig.come("a")
    (again,) = shown(rig.take())
    assert again["projects"][0]["name"] == "A", "whole, since the client has forgotten it"


@pytest.mark.parametrize("options", [{"channels": ["events", "metrics"]}, {"projects": ["b"]}])
def test_a_project_that_a_client_does_not_have_vanishes_without_a_word(options: dict[str, Any]) -> None:
    rig = Rig().started(**options)
    rig.vanish("a")
    assert shown(rig.take()) == []


def test_a_project_that_is_back_before_a_slow_reader_heard_of_it_has_changed() -> None:
    rig = Rig().started(delta=True)
    rig.vanish("a")
    rig.come("a")
    rig.project("a", total_runs=9)
    assert shown(rig.take()) == [{"projects": [{"id": "a", "total_runs": 9}]}]
    rig.vanish("b")
    rig.come("b")
    rig.vanish("b")
    assert shown(rig.take()) == [{"removed": {"projects": ["b"]}}]


def test_a_list_of_projects_that_a_source_no_longer_has_says_nothing_of_them() -> None:
    rig = Rig().started()
    rig.installation.all_projects = None  # type: ignore[assignment]
    rig.send_queue.mark(rig.state.report(rig.installation), rig.state, rig.now)
    assert shown(rig.take()) == []


def test_debounce_waits_for_newer_state_and_never_for_events() -> None:
    rig = Rig().started(debounceMs=200)
    rig.project("a", total_runs=2)
    rig.now += 0.1
    rig.project("a", total_runs=3)
    rig.happen()
    assert shown(rig.take()) == ["1"]
    assert rig.due() == pytest.approx(0.1)
    rig.now += 0.11
    (update,) = shown(rig.take())
    assert update["projects"][0]["total_runs"] == 3


def test_a_batch_goes_when_it_is_full_or_the_oldest_has_waited() -> None:
    rig = Rig().started(batch={"maxMessages": 3, "maxDelayMs": 500})
    rig.happen(2)
    assert rig.take() == []
    assert rig.due() == pytest.approx(0.5)
    rig.now += 0.3
    rig.happen(2)
    assert shown(rig.take()) == [["1", "2", "3"]]
    assert rig.due() == pytest.approx(0.5)
    rig.now += 0.51
    assert shown(rig.take()) == ["4"], "one message needs no batch"


def test_state_waits_in_a_batch_with_events() -> None:
    rig = Rig().started(batch={"maxMessages": 100, "maxDelayMs": 500}, channels=["projects", "events"])
    rig.project("a", status="warning")
    rig.now += 0.2
    rig.happen()
    assert rig.take() == []
    rig.now += 0.31
    ((update, event),) = shown(rig.take())
    assert (update["projects"][0]["status"], event) == ("warning", "1")


def test_a_critical_event_overtakes_what_waits_and_keeps_its_place() -> None:
    rig = Rig().started(priority=True)
    rig.happen(2)
    rig.happen(severity="critical")
    rig.happen()
    assert shown(rig.take()) == ["!3", "1", "2", "3", "4"]
    assert rig.copies == 1


def test_a_critical_event_that_nothing_waits_before_needs_no_copy() -> None:
    rig = Rig().started(priority=True, batch={"maxMessages": 100, "maxDelayMs": 10_000})
    rig.happen(severity="critical")
    assert shown(rig.take()) == ["1"], "and it does not wait for the batch"
    rig.happen()
    assert rig.take() == []
    rig.happen(severity="critical")
    assert shown(rig.take()) == ["!3"], "the ordinary one waits with the others"
    rig.now += 10.1
    assert shown(rig.take()) == [["2", "3"]]


def test_without_priority_nothing_overtakes() -> None:
    rig = Rig().started()
    rig.happen(2)
    rig.happen(severity="critical")
    rig.send_queue.say({"type": "error"}, rig.now, urgent=True)
    assert shown(rig.take()) == ["error", "1", "2", "3"]
    rig.happen()
    rig.send_queue.say({"type": "error"}, rig.now, urgent=True)
    first = rig.take()[0]
    assert isinstance(first, Say)
    assert "priority" not in first.message


def test_an_error_before_events_that_wait_says_that_it_is_urgent() -> None:
    rig = Rig().started(priority=True)
    rig.happen()
    rig.send_queue.say({"type": "error"}, rig.now, urgent=True)
    assert rig.take()[0] == Say({"type": "error", "priority": "high"})
    rig.send_queue.say({"type": "error"}, rig.now, urgent=True)
    assert rig.take()[0] == Say({"type": "error"})


def test_a_slow_reader_loses_the_oldest_events_and_is_told_which() -> None:
    rig = Rig(max_events=3).started()
    assert rig.happen(2) == 0
    assert rig.happen(4) == 3
    assert rig.happen() == 1
    assert shown(rig.take()) == [(4, 0, 4), "5", "6", "7"]
    assert rig.happen(1) == 0
    assert shown(rig.take()) == ["8"]


def test_the_bound_counts_bytes_too() -> None:
    rig = Rig(max_bytes=1000).started()
    lost = rig.happen(10, message="x" * 300)
    found = shown(rig.take())
    assert found[0] == (lost, 0, lost)
    assert len(found) == 11 - lost
    assert lost > 5
    assert rig.happen(1, message="x" * 5000) == 0, "one too large is still sent"
    assert shown(rig.take()) == ["11"]


def test_a_replay_is_not_lost_for_live_events() -> None:
    rig = Rig(max_events=2)
    rig.subscribe(channels=["events"], replay=rig.make(5))
    rig.happen(3)
    assert shown(rig.take()) == ["subscribed", "~1", "~2", "~3", "~4", "~5", (1, 5, 6), "7", "8"]


def test_another_subscribe_lets_events_go_on_where_they_were() -> None:
    rig = Rig().started()
    rig.happen(3)
    assert rig.send_queue.next_offset() == 0
    rig.subscribe(channels=["events"], fields={"events": ["severity"]})
    rig.happen(1)
    assert shown(rig.take()) == ["subscribed", "1", "2", "3", "4"]


def test_another_subscribe_with_a_position_replays_from_there_alone() -> None:
    rig = Rig().started()
    entries = rig.make(3)
    rig.send_queue.offer(entries, rig.now)
    rig.subscribe(channels=["events"], replay=entries[1:])
    assert shown(rig.take()) == ["subscribed", "~2", "~3"]


def test_another_subscribe_holds_what_waits_to_its_filters() -> None:
    rig = Rig().started()
    rig.happen(1)
    rig.happen(1, project="b")
    rig.subscribe(channels=["events"], projects=["b"])
    assert shown(rig.take()) == ["subscribed", "2"]
    rig.happen(1)
    rig.happen(1, project="b")
    rig.subscribe(channels=["metrics"])
    assert shown(rig.take())[0] == "subscribed"
    assert rig.send_queue.empty


def test_a_subscribe_in_place_of_one_that_was_not_answered_yet_has_its_first_events() -> None:
    rig = Rig()
    entries = rig.make(2)
    rig.subscribe(first=entries[::-1])
    rig.subscribe(channels=["events"])
    found = shown(rig.take())
    assert found[:2] == ["subscribed", "subscribed"]
    assert [event["id"] for event in found[2]["events"]] == ["e2", "e1"]


def test_a_client_that_asks_without_reading_has_too_many_answers() -> None:
    rig = Rig().started()
    for _ in range(MAX_ANSWERS):
        assert rig.send_queue.say({"type": "pong"}, rig.now)
    assert not rig.send_queue.say({"type": "pong"}, rig.now)


def test_the_oldest_entry_of_each_queue_is_known() -> None:
    rig = Rig().started(priority=True, debounceMs=500)
    assert rig.send_queue.oldest() == {}
    rig.happen()
    rig.now += 1
    rig.happen(severity="critical")
    rig.project("a", status="warning")
    rig.now += 1
    rig.send_queue.say({"type": "pong"}, rig.now)
    rig.happen()
    assert rig.send_queue.oldest() == {"answers": 102.0, "urgent": 101.0, "state": 101.0, "events": 100.0}


def test_all_of_it_lets_nothing_wait() -> None:
    rig = Rig().started(batch={"maxMessages": 10, "maxDelayMs": 10_000}, debounceMs=10_000)
    rig.happen()
    rig.project("a", status="warning")
    ((state, event),) = shown(rig.send_queue.take(rig.now, rig.state, all_of_it=True))
    assert (list(state), event) == (["projects"], "1")
    assert rig.send_queue.empty


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from("ab"), st.sampled_from(["info", "error", "critical"])),
        st.tuples(st.just("project"), st.sampled_from("ab"), st.integers(0, 3)),
        st.tuples(st.just("vanish"), st.sampled_from("ab"), st.none()),
        st.tuples(st.just("come"), st.sampled_from("ab"), st.none()),
        st.tuples(st.just("anomaly"), st.sampled_from(["critical", "warning"]), st.booleans()),
        st.tuples(st.just("take"), st.none(), st.none()),
        st.tuples(st.just("wait"), st.floats(0, 2), st.none()),
        st.tuples(st.just("subscribe"), st.none(), st.none()),
        st.tuples(st.just("reconnect"), st.none(), st.none()),
    ),
    max_size=40,
)
EXTENSIONS = st.fixed_dictionaries(
    {},
    optional={
        "delta": st.booleans(),
        "batch": st.fixed_dictionaries({"maxMessages": st.integers(2, 5), "maxDelayMs": st.integers(0, 1500)}),
        "debounceMs": st.integers(0, 1500),
        "priority": st.booleans(),
        "projects": st.just(["a"]),
    },
)


class Client:
    """What a client makes of messages, by the rules of the protocol."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"metrics": {}, "projects": {}, "anomalies": {}}
        self.events: list[int] = []
        self.copies: list[int] = []
        self.lost = 0
        self.told: list[int] = []
        self.seq = 0
        self.is_whole = False

    @property
    def cursor(self) -> int:
        """The offset up to which it has everything, or knows that it is lost."""
        return max(self.events[-1:] + self.told[-1:], default=0)

    def read(self, items: Sequence[Outgoing]) -> None:
        for item in items:
            match item:
                case SendBatch(inner):
                    assert len(inner) >= 2
                    self.read(inner)
                case SendEvent(entry, _, advance):
                    (self.copies if advance else self.events).append(entry.offset)
                case SendDropped(count, after, last):
                    assert after == self.cursor
                    self.lost += count
                    self.told.append(last)
                case SendState(payload, _, seq):
                    self.take_state(payload.kind, payload.data, seq)
                case Say(_):
                    self.seq, self.is_whole = 0, True

    def take_state(self, kind: str, data: Any, seq: int | None) -> None:
        if seq is not None:
            self.seq += 1
            assert seq == self.seq
        for channel in ("projects", "anomalies"):
            if self.is_whole and channel in data:
                self.state[channel] = {}
            for found in data.get(channel, ()):
                base = self.state[channel].get(found["id"], {}) if kind == "delta" else {}
                self.state[channel][found["id"]] = merge_patch(base, found)
        self.is_whole = False
        for project in data.get("removed", {}).get("projects", ()):
            del self.state["projects"][project]
        if "metrics" in data:
            self.state["metrics"] = merge_patch(self.state["metrics"] if kind == "delta" else {}, data["metrics"])


@given(EXTENSIONS, STEPS, st.integers(1, 20))
def test_every_mix_of_extensions_gives_the_same_model_and_every_event_once(
    options: dict[str, Any], steps: list[tuple[str, Any, Any]], max_events: int
) -> None:
    rig = Rig(max_events=max_events)
    client = Client()
    rig.subscribe(**options)
    lost = 0
    for kind, one, two in steps:
        if kind == "event":
            lost += rig.happen(project=one, severity=two)
        elif kind == "project":
            rig.project(one, total_runs=two, last_run="x" if two % 2 else None)
        elif kind == "vanish":
            rig.vanish(one)
        elif kind == "come":
            if one not in [each.id for each in rig.installation.all_projects]:
                rig.come(one)
        elif kind == "anomaly":
            rig.anomaly(severity=one, resolved=two)
        elif kind == "take":
            client.read(rig.take())
        elif kind == "subscribe":
            rig.subscribe(**options)
        elif kind == "reconnect":
            # What was not taken is lost with the connection; the client resumes from what it has.
            rig.send_queue = SendQueue(max_events, 10**6)
            rig.subscribe(replay=rig.history.after(client.cursor), **options)
        else:
            rig.now += one
    rig.now += 20
    while not rig.send_queue.empty:
        client.read(rig.take())
    assert client.events == sorted(set(client.events))
    shown_events = [each for each in rig.history.after(0) if each.event.project in options.get("projects", "ab")]
    assert len(client.events) + client.lost == len(shown_events)
    assert client.lost <= lost
    assert not client.copies or options["priority"]
    plain = Client()
    rig.subscribe(**{name: value for name, value in options.items() if name == "projects"})
    plain.read(rig.take())
    assert _bare(client.state) == _bare(plain.state)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(member) for name, member in value.items() if member is not None}
    return value


def test_data_is_made_once_for_subscribers_of_the_same_kind() -> None:
    rig, other = Rig().started(delta=True), SendQueue(10, 1000)
    other.subscribe(parse_options({"delta": True}).grant, ANSWER, 0.0)
    other.take(0.0, rig.state)
    before = rig.installation.all_projects
    rig.installation.all_projects = [replace_status(before[0]), before[1]]
    changes = rig.state.report(rig.installation)
    rig.send_queue.mark(changes, rig.state, 0.0)
    other.mark(changes, rig.state, 0.0)
    (one,), (two,) = rig.take(), other.take(0.0, rig.state)
    assert isinstance(one, SendState)
    assert isinstance(two, SendState)
    assert one.payload is two.payload
    assert replace(one, seq=9) == replace(two, seq=9)


def replace_status(project: Project) -> Project:
    return msgspec.structs.replace(project, status="critical")


def test_a_batch_does_not_grow_beyond_what_a_message_may_be() -> None:
    rig = Rig().started(batch={"maxMessages": 1000, "maxDelayMs": 0})
    rig.happen(20, message="x" * 9000)
    sizes = [len(part) if isinstance(part, list) else 1 for part in shown(rig.take())]
    assert (sum(sizes), max(sizes)) == (20, 8)


def test_what_the_whole_state_has_is_not_sent_again() -> None:
    rig = Rig().started()
    rig.project("a", status="warning")
    rig.subscribe()
    rig.project("b", status="critical")
    (answer, whole) = shown(rig.take())
    assert answer == "subscribed"
    assert [project["status"] for project in whole["projects"]] == ["warning", "critical"]
    assert rig.send_queue.empty


def test_a_replay_in_many_pieces_is_whole_before_anything_live() -> None:
    rig = Rig(max_events=1)
    rig.subscribe(channels=["events"], replay=rig.make(20, message="x" * 9000))
    rig.happen(2)
    found = []
    while not rig.send_queue.empty:
        found += shown(rig.take())
    assert found == ["subscribed", *(f"~{number}" for number in range(1, 21)), (1, 20, 21), "22"]


def test_what_was_taken_does_not_count_towards_the_bound() -> None:
    rig = Rig(max_bytes=1000).started()
    for _ in range(20):
        assert rig.happen(2) == 0
        assert len(rig.take()) == 2
    rig.happen(2, message="x" * 300)
    rig.subscribe(channels=["metrics"])
    rig.subscribe(channels=["events"])
    rig.take()
    assert rig.happen(6) == 0


def test_another_subscribe_takes_back_advance_copies() -> None:
    rig = Rig().started(priority=True)
    rig.happen()
    rig.happen(severity="critical")
    rig.subscribe(channels=["events"], severities=["info"])
    assert shown(rig.take()) == ["subscribed", "1"]


def test_a_history_that_begins_again_is_not_taken_for_the_one_before() -> None:
    rig = Rig()
    rig.subscribe(first=rig.make(1), channels=["events"])
    rig.take()
    rig.history.restart("other")
    rig.subscribe(first=rig.make(1, message="of another history"), channels=["events"])
    _, whole = shown(rig.take())
    assert whole["events"][0]["message"] == "of another history"
