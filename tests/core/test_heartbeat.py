"""Pings of a link and its silence, as numbers."""

from iris_exporter.core.heartbeat import Heartbeat


def test_a_ping_is_due_once_an_interval() -> None:
    beat = Heartbeat(30.0, 60.0, 100.0)
    assert not beat.ping_due(129.9)
    assert beat.wait_seconds(129.0) == 1.0
    assert beat.ping_due(131.0)
    assert not beat.ping_due(160.9), "an interval after the last ping, not after the last due time"
    assert beat.ping_due(161.0)


def test_silence_for_the_timeout_is_death_and_any_byte_is_life() -> None:
    beat = Heartbeat(30.0, 60.0, 100.0)
    assert not beat.is_dead(159.9)
    beat.heard = 159.0
    assert not beat.is_dead(218.9)
    assert beat.is_dead(219.0)


def test_it_waits_for_whatever_is_due_first() -> None:
    beat = Heartbeat(30.0, 20.0, 100.0)
    assert beat.wait_seconds(105.0) == 15.0, "the timeout"
    beat.heard = 125.0
    assert beat.wait_seconds(125.0) == 5.0, "the ping"


def test_the_first_answer_to_a_ping_is_a_round_trip_and_a_second_one_is_not() -> None:
    beat = Heartbeat(30.0, 60.0, 100.0)
    assert beat.answered(101.0) is None
    beat.sent(130.0)
    assert beat.answered(130.25) == 0.25
    assert beat.answered(130.5) is None
