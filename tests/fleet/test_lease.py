"""Leader election: at most one leader at any moment, whatever is slow, lost or killed."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.fleet.lease import Election, Observed, Step, read_lease
from tests.examples import examples

DURATION = 15.0


def lease(holder: str, version: int, duration: float = 15.0) -> Observed:
    return Observed(holder, str(version), duration, 0)


def test_the_first_candidate_creates_the_lease_and_leads() -> None:
    a = Election("a", DURATION)
    a.observe(None, 0.0)
    assert a.next_step(0.0) is Step.CREATE
    assert not a.is_leader(0.0)
    a.written(lease("a", 1), 0.0, 0.1)
    assert a.is_leader(0.2)
    assert a.next_step(2.0) is Step.RENEW


def test_a_leader_that_cannot_renew_stops_before_anybody_takes_over() -> None:
    a, b = Election("a", DURATION), Election("b", DURATION)
    a.written(lease("a", 1), 0.0, 0.0)
    b.observe(lease("a", 1), 0.0)
    assert a.is_leader(9.9)
    assert not a.is_leader(10.0)
    assert b.next_step(11.9) is Step.WAIT
    assert b.next_step(12.0) is Step.TAKE


def test_a_leader_that_is_killed_is_followed_within_one_duration() -> None:
    """The worst case: it dies right after it has written, and the other one had looked right before."""
    b = Election("b", DURATION)
    b.observe(lease("a", 1), 0.0)
    killed = 0.01
    seen = b.pause(0.0)
    assert seen == 2.0
    b.observe(lease("a", 2), seen)
    now = seen
    while b.next_step(now) is Step.WAIT:
        assert b.pause(now) > 0.0
        now += b.pause(now)
        b.observe(lease("a", 2), now)
    assert now - killed < 14.0


def test_the_holder_and_a_candidate_for_a_free_lease_read_again_after_the_retry() -> None:
    a = Election("a", DURATION)
    assert a.pause(0.0) == 2.0
    a.written(lease("a", 1), 0.0, 0.0)
    assert a.pause(11.0) == 2.0
    a.observe(lease("", 2), 11.0)
    assert a.pause(11.0) == 2.0


def test_a_lease_that_changes_is_not_taken_whatever_its_clock_says() -> None:
    b = Election("b", DURATION)
    for version in range(10):
        b.observe(lease("a", version), version * 12.0)
        assert b.next_step(version * 12.0 + 11.9) is Step.WAIT


def test_a_lease_that_was_given_up_is_taken_at_once() -> None:
    b = Election("b", DURATION)
    b.observe(lease("a", 1), 0.0)
    b.observe(lease("", 2), 1.0)
    assert b.next_step(1.0) is Step.TAKE


def test_a_leader_that_sees_another_holder_no_longer_leads() -> None:
    a = Election("a", DURATION)
    a.written(lease("a", 1), 0.0, 0.0)
    a.observe(lease("b", 2), 1.0)
    assert not a.is_leader(1.0)
    assert a.leads_for(1.0) == 0.0


def test_the_deadline_counts_from_the_beginning_of_the_write() -> None:
    """The answer may have been under way for long; the others may have counted since the write."""
    a = Election("a", DURATION)
    a.written(lease("a", 1), 100.0, 109.0)
    assert a.leads_for(109.0) == 1.0


@dataclass
class Server:
    """The API server: one object, and the last write with the right version wins."""

    holder: str | None = None
    version: int = 0

    def read(self) -> Observed | None:
        return None if self.holder is None else lease(self.holder, self.version)

    def write(self, holder: str, version: str | None) -> Observed | None:
        if version != (None if self.holder is None else str(self.version)):
            return None
        self.holder, self.version = holder, self.version + 1
        return lease(holder, self.version)


@examples(3)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.floats(0.0, 6.0),  # time since the last step
            st.floats(0.0, 4.0),  # how long the answer takes
            st.sampled_from(["ok", "read lost", "write lost", "answer lost"]),
        ),
        max_size=60,
    )
)
def test_never_two_leaders(steps: list[tuple[str, float, float, str]]) -> None:
    server = Server()
    candidates = {name: Election(name, DURATION) for name in "abc"}
    now = 0.0
    for name, pause, slow, fate in steps:
        now += pause
        candidate = candidates[name]
        if fate == "read lost":
            continue
        seen = server.read()
        candidate.observe(seen, now)
        step = candidate.next_step(now)
        if step is not Step.WAIT and fate != "write lost":
            written = server.write(name, None if seen is None else seen.version)
            if written is not None and fate == "ok":
                candidate.written(written, now, now + slow)
        now += slow
        assert sum(one.is_leader(now) for one in candidates.values()) <= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
SPECS = st.dictionaries(st.sampled_from(["holderIdentity", "leaseDurationSeconds", "leaseTransitions"]), JSON)


@given(
    st.fixed_dictionaries({"metadata": JSON | st.dictionaries(st.just("resourceVersion"), JSON), "spec": JSON | SPECS})
)
def test_every_lease_can_be_observed_and_is_free_in_the_end(raw: dict[str, object]) -> None:
    a = Election("a", DURATION)
    a.observe(read_lease(raw), 0.0)
    assert a.next_step(2.0**31) in (Step.TAKE, Step.RENEW)
    assert 0 <= a.pause(0.0) <= a.retry_seconds
    assert 0 <= a.transitions() < 2**31


def test_no_answer_is_no_lease() -> None:
    assert read_lease({}) is None
