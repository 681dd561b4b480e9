"""Limits as numbers: rates, connections, timeouts, and the event loop's lag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter.web.rate_limits import (
    BLOCKED_WINDOW_SECONDS,
    DELAY_WINDOW_SECONDS,
    MAX_BLOCKED_SECONDS,
    TICK_SECONDS,
    ConnectionTimer,
    EventLoopLag,
    Limiter,
    RateLimiter,
    Timeouts,
)


def test_a_burst_passes_then_one_for_each_interval() -> None:
    limiter = RateLimiter(2.0, 3)
    assert [limiter.take(100.0) for _ in range(4)] == pytest.approx([0.0, 0.0, 0.0, 2.0])
    assert limiter.take(101.5) == pytest.approx(0.5)
    assert limiter.take(102.0) == 0.0
    assert limiter.take(102.0) == pytest.approx(2.0)
    assert [limiter.take(1000.0) for _ in range(4)] == pytest.approx([0.0, 0.0, 0.0, 2.0])


@given(
    st.floats(1e-3, 1e3),
    st.integers(1, 50),
    st.lists(st.floats(0, 100), min_size=1, max_size=100),
)
def test_no_pattern_of_requests_gets_more_than_the_rate(interval: float, burst: int, pauses: list[float]) -> None:
    limiter, now, passed = RateLimiter(interval, burst), 0.0, 0
    for pause in pauses:
        now += pause
        wait = limiter.take(now)
        passed += wait == 0.0
        assert 0.0 <= wait <= interval
    assert passed <= burst + now / interval + 1e-6


def test_room_is_limited_in_all_and_for_each_client() -> None:
    room = Limiter(8, 2)
    assert [room.acquire("10.0.0.1") for _ in range(3)] == [None, None, "client_limit"]
    for address in ("10.0.0.2", "10.0.0.3", "10.0.0.4"):
        assert [room.acquire(address), room.acquire(address)] == [None, None]
    assert (room.acquire("10.0.0.5"), len(room)) == ("limit", 8)
    room.release("10.0.0.1")
    assert room.acquire("10.0.0.5") is None


def test_addresses_of_one_ipv6_network_are_one_client_and_mapped_ones_are_ipv4() -> None:
    room = Limiter(8, 2)
    assert [room.acquire(a) for a in ("2001:db8::1", "2001:db8::2", "2001:db8::3")] == [None, None, "client_limit"]
    assert room.acquire("2001:db8:0:1::1") is None
    assert [room.acquire(a) for a in ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1")] == [None, None, "client_limit"]


def test_who_has_most_makes_room_for_who_has_fewer() -> None:
    room = Limiter(4, 4)
    assert room.busiest_client("192.0.2.1") is None
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"):
        room.acquire(address)
    assert room.busiest_client("192.0.2.3") == "192.0.2.1"
    assert room.busiest_client("192.0.2.2") == "192.0.2.1"
    assert room.busiest_client("192.0.2.1") is None


def test_rates_of_clients_are_kept_apart_in_bounded_memory() -> None:
    limiter = RateLimiter(10.0, 1, max_clients=2)
    assert [limiter.take(0.0, client) for client in ("a", "b", "a")] == pytest.approx([0.0, 0.0, 10.0])
    # No room: newcomers share one limit, until somebody has rested.
    assert [limiter.take(1.0, client) for client in ("c", "d")] == pytest.approx([0.0, 10.0])
    assert limiter.take(20.0, "e") == 0.0
    assert len(limiter) <= 3


def test_even_one_connection_leaves_room_for_one_client() -> None:
    room = Limiter(1, 1)
    assert [room.acquire("a"), room.acquire("a")] == [None, "limit"]


def timer(now: float = 0.0) -> ConnectionTimer:
    return ConnectionTimer(Timeouts(head_seconds=10, idle_seconds=75, stall_seconds=30), now)


def test_a_first_request_has_ten_seconds_however_slowly_it_drips() -> None:
    one = timer()
    for second in range(10):
        one.received(second)
        assert one.expired(second, 0) is None
    assert one.expired(10.0, 0) == "head_timeout"


def test_a_next_request_has_ten_seconds_from_its_first_byte_on() -> None:
    one = timer()
    one.request_began()
    assert one.expired(500.0, 0) is None  # what takes us long is not the client's fault
    one.request_ended()
    assert one.expired(559.0, 0) is None  # aiohttp's keep-alive timeout ends a connection without a request
    one.received(560.0)
    assert (one.expired(569.9, 0), one.expired(570.0, 0)) == (None, "head_timeout")


def test_an_answer_that_nobody_takes_is_cut_and_one_that_is_taken_slowly_is_not() -> None:
    one = timer()
    one.request_began()
    one.request_ended()
    pending = 1_000_000
    for second in range(1, 200):
        assert one.expired(second, pending - second) is None
    assert one.expired(228.9, pending - 199) is None
    assert one.expired(229.9, pending - 199) == "stalled"


def test_an_answer_that_stalls_while_it_is_written_is_cut_too() -> None:
    one = timer()
    one.request_began()
    assert one.expired(0.0, 65536) is None
    assert one.expired(29.9, 65536) is None
    assert one.expired(30.0, 65536) == "stalled"


def test_the_clock_of_the_next_head_starts_when_the_answer_has_been_taken() -> None:
    one = timer()
    one.request_began()
    one.request_ended()
    one.received(1.0)  # pipelined, behind a large answer
    for second, pending in ((5, 900), (15, 800), (25, 700)):
        assert one.expired(second, pending) is None
    assert (one.expired(34.9, 0), one.expired(35.0, 0)) == (None, "head_timeout")


def test_idle_is_a_connection_without_a_request() -> None:
    one = timer()
    assert one.is_idle
    one.request_began()
    assert not one.is_idle
    one.request_ended()
    assert one.is_idle
    one.received(2.0)
    assert not one.is_idle


def ticked(*delays: float) -> tuple[EventLoopLag, float]:
    now = 0.0
    lag = EventLoopLag(now)
    for delay in delays:
        now += TICK_SECONDS + delay
        lag.tick(now)
    return lag, now


def test_a_loop_on_time_is_healthy_and_its_longest_delay_is_shown_for_a_minute() -> None:
    lag, now = ticked(0.0, 0.4, 0.0, 0.1)
    assert lag.trouble(now) is None
    assert lag.longest_delay(now) == pytest.approx(0.4)
    while now < DELAY_WINDOW_SECONDS + 3:
        now += TICK_SECONDS
        lag.tick(now)
    assert lag.longest_delay(now) == pytest.approx(0.0)


def test_the_delay_that_is_under_way_counts() -> None:
    lag, now = ticked(0.0)
    assert lag.longest_delay(now + TICK_SECONDS + 3) == pytest.approx(3)


def test_a_timer_that_is_silent_is_trouble() -> None:
    lag, now = ticked(0.0)
    assert lag.trouble(now + TICK_SECONDS + MAX_BLOCKED_SECONDS - 0.1) is None
    assert "silent for 10 s" in str(lag.trouble(now + TICK_SECONDS + MAX_BLOCKED_SECONDS))


def test_a_loop_that_is_blocked_again_and_again_is_trouble_until_it_was_on_time_for_a_while() -> None:
    lag, now = ticked(4.0, 4.0)
    assert lag.trouble(now) is None
    lag, now = ticked(4.0, 4.0, 4.0)
    assert "blocked for 12 s" in str(lag.trouble(now))
    for _ in range(round(BLOCKED_WINDOW_SECONDS / TICK_SECONDS)):
        now += TICK_SECONDS
        lag.tick(now)
    assert lag.trouble(now) is None


@given(st.lists(st.floats(0, 5), max_size=600))
def test_the_lag_is_bounded_and_agrees_with_a_plain_maximum(delays: list[float]) -> None:
    lag, now = ticked(*delays)
    at, recent = 0.0, []
    for delay in delays:
        at += TICK_SECONDS + delay
        if now - at < DELAY_WINDOW_SECONDS:
            recent.append(delay)
    assert lag.longest_delay(now) == pytest.approx(max(recent, default=0.0), abs=1e-6)
    assert len(lag._delays) <= DELAY_WINDOW_SECONDS / TICK_SECONDS + 1
