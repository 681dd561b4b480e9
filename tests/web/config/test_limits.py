"""Limits as numbers: rates, room, patience, and the event loop's pulse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.web.rate_limits import (
    DELAY_WINDOW_SECONDS,
    HELD_WINDOW_SECONDS,
    MOST_HELD_SECONDS,
    TICK_SECONDS,
    ClientBuckets,
    Deadlines,
    LoopWatch,
    Occupancy,
    Patience,
    TokenBucket,
    most_scrapes_per_client,
)


def test_a_burst_passes_then_one_for_each_interval() -> None:
    bucket = TokenBucket(2.0, 3, 100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    assert bucket.take(101.5) == pytest.approx(0.5)
    assert bucket.take(102.0) == 0.0
    assert bucket.take(102.0) == pytest.approx(2.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]


@given(
    st.floats(1e-3, 1e3),
    st.integers(1, 50),
    st.lists(st.floats(0, 100), min_size=1, max_size=100),
)
def test_no_pattern_of_requests_gets_more_than_the_rate(interval: float, burst: int, pauses: list[float]) -> None:
    bucket, now, passed = TokenBucket(interval, burst, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        passed += wait == 0.0
        assert 0.0 <= wait <= interval
    assert passed <= burst + now / interval + 1e-6


def test_room_is_limited_in_all_and_for_each_client() -> None:
    room = Occupancy(8)
    assert [room.enter("10.0.0.1") for _ in range(3)] == [None, None, "client_limit"]
    for address in ("10.0.0.2", "10.0.0.3", "10.0.0.4"):
        assert [room.enter(address), room.enter(address)] == [None, None]
    assert (room.enter("10.0.0.5"), len(room)) == ("limit", 8)
    room.leave("10.0.0.1")
    assert room.enter("10.0.0.5") is None


def test_addresses_of_one_ipv6_network_are_one_client_and_mapped_ones_are_ipv4() -> None:
    room = Occupancy(8)
    assert [room.enter(a) for a in ("2001:db8::1", "2001:db8::2", "2001:db8::3")] == [None, None, "client_limit"]
    assert room.enter("2001:db8:0:1::1") is None
    assert [room.enter(a) for a in ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1")] == [None, None, "client_limit"]


def test_who_has_most_makes_room_for_who_has_fewer() -> None:
    room = Occupancy(4, 4)
    assert room.crowder("192.0.2.1") is None
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"):
        room.enter(address)
    assert room.crowder("192.0.2.3") == "192.0.2.1"
    assert room.crowder("192.0.2.2") == "192.0.2.1"
    assert room.crowder("192.0.2.1") is None


def test_one_client_leaves_places_for_scrapes_to_others() -> None:
    assert [most_scrapes_per_client(most) for most in (0, 1, 2, 3, 4, 8, 40)] == [0, 1, 2, 3, 3, 6, 30]


def test_rates_of_clients_are_kept_apart_in_bounded_memory() -> None:
    buckets = ClientBuckets(10.0, 1, most=2)
    assert [buckets.take(client, 0.0) for client in ("a", "b", "a")] == [0.0, 0.0, 10.0]
    # No room: newcomers share one bucket, until somebody has rested.
    assert [buckets.take(client, 1.0) for client in ("c", "d")] == [0.0, 10.0]
    assert buckets.take("e", 20.0) == 0.0
    assert len(buckets) <= 3


def test_even_one_connection_leaves_room_for_one_client() -> None:
    room = Occupancy(1)
    assert [room.enter("a"), room.enter("a")] == [None, "limit"]


def patience(now: float = 0.0) -> Patience:
    return Patience(Deadlines(head_seconds=10, idle_seconds=75, stall_seconds=30), now)


def test_a_first_request_has_ten_seconds_however_slowly_it_drips() -> None:
    one = patience()
    for second in range(10):
        one.received(second)
        assert one.verdict(second, 0) is None
    assert one.verdict(10.0, 0) == "head_timeout"


def test_between_requests_there_are_75_seconds_and_ten_from_the_next_first_byte() -> None:
    one = patience()
    one.request_began()
    assert one.verdict(500.0, 0) is None  # what takes us long is not the client's fault
    one.request_ended(500.0)
    assert (one.verdict(574.9, 0), one.verdict(575.0, 0)) == (None, "idle")
    one.received(560.0)
    assert (one.verdict(569.9, 0), one.verdict(570.0, 0)) == (None, "head_timeout")


def test_an_answer_that_nobody_takes_is_cut_and_one_that_is_taken_slowly_is_not() -> None:
    one = patience()
    one.request_began()
    one.request_ended(1.0)
    pending = 1_000_000
    for second in range(1, 200):
        assert one.verdict(second, pending - second) is None
    assert one.verdict(228.9, pending - 199) is None
    assert one.verdict(229.9, pending - 199) == "stalled"


def test_an_answer_that_stalls_while_it_is_written_is_cut_too() -> None:
    one = patience()
    one.request_began()
    assert one.verdict(0.0, 65536) is None
    assert one.verdict(29.9, 65536) is None
    assert one.verdict(30.0, 65536) == "stalled"


def test_the_clock_of_the_next_head_starts_when_the_answer_has_been_taken() -> None:
    one = patience()
    one.request_began()
    one.request_ended(0.0)
    one.received(1.0)  # pipelined, behind a large answer
    for second, pending in ((5, 900), (15, 800), (25, 700)):
        assert one.verdict(second, pending) is None
    assert (one.verdict(34.9, 0), one.verdict(35.0, 0)) == (None, "head_timeout")


def test_idle_is_a_connection_without_a_request() -> None:
    one = patience()
    assert one.is_idle
    one.request_began()
    assert not one.is_idle
    one.request_ended(1.0)
    assert one.is_idle
    one.received(2.0)
    assert not one.is_idle


def ticked(*delays: float) -> tuple[LoopWatch, float]:
    now = 0.0
    watch = LoopWatch(now)
    for delay in delays:
        now += TICK_SECONDS + delay
        watch.tick(now)
    return watch, now


def test_a_loop_that_turns_is_healthy_and_its_longest_delay_is_told_for_a_minute() -> None:
    watch, now = ticked(0.0, 0.4, 0.0, 0.1)
    assert watch.trouble(now) is None
    assert watch.longest_delay(now) == pytest.approx(0.4)
    while now < DELAY_WINDOW_SECONDS + 3:
        now += TICK_SECONDS
        watch.tick(now)
    assert watch.longest_delay(now) == pytest.approx(0.0)


def test_the_delay_that_is_under_way_counts() -> None:
    watch, now = ticked(0.0)
    assert watch.longest_delay(now + TICK_SECONDS + 3) == pytest.approx(3)


def test_a_ticker_that_is_silent_is_trouble() -> None:
    watch, now = ticked(0.0)
    assert watch.trouble(now + TICK_SECONDS + MOST_HELD_SECONDS - 0.1) is None
    assert "silent for 10 s" in str(watch.trouble(now + TICK_SECONDS + MOST_HELD_SECONDS))


def test_a_loop_that_is_held_again_and_again_is_trouble_until_it_has_turned_for_a_while() -> None:
    watch, now = ticked(4.0, 4.0)
    assert watch.trouble(now) is None
    watch, now = ticked(4.0, 4.0, 4.0)
    assert "held for 12 s" in str(watch.trouble(now))
    for _ in range(round(HELD_WINDOW_SECONDS / TICK_SECONDS)):
        now += TICK_SECONDS
        watch.tick(now)
    assert watch.trouble(now) is None


@given(st.lists(st.floats(0, 5), max_size=600))
def test_the_watch_is_bounded_and_agrees_with_a_plain_maximum(delays: list[float]) -> None:
    watch, now = ticked(*delays)
    at, recent = 0.0, []
    for delay in delays:
        at += TICK_SECONDS + delay
        if now - at < DELAY_WINDOW_SECONDS:
            recent.append(delay)
    assert watch.longest_delay(now) == pytest.approx(max(recent, default=0.0), abs=1e-6)
    assert len(watch._delays) <= DELAY_WINDOW_SECONDS / TICK_SECONDS + 1
