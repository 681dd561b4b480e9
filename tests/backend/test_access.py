"""Keys and limits."""

import logging
from pathlib import Path

import pytest

from iris_exporter.backend.access import (
    KEY_IN_URL,
    NO_BEARER,
    NO_KEY,
    TICKET_FOR_TICKET,
    WRONG_KEY,
    Admission,
    Authenticator,
    KeyFile,
    Limits,
    RateWindow,
)
from iris_exporter.backend.tickets import UNKNOWN, USED, Tickets
from iris_exporter.errors import ConfigError


def test_the_key_is_the_content_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret\n")
    key = KeyFile(file)
    assert key.accepts("secret")
    assert not key.accepts("secret\n")
    assert not key.accepts("")
    assert not key.accepts("s\u00e9cret")


def test_a_changed_file_changes_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    key = KeyFile(file)
    (tmp_path / "next").write_text("two")
    (tmp_path / "next").replace(file)
    assert key.accepts("two")
    assert not key.accepts("one")


def test_a_file_that_went_away_leaves_the_last_key_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    key = KeyFile(file)
    file.unlink()
    with caplog.at_level(logging.WARNING):
        assert key.accepts("one")
    assert "key.unreadable" in caplog.text


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="--api-key-file"):
        KeyFile(file)


@pytest.fixture
def tickets() -> Tickets:
    return Tickets()


def authenticator(tmp_path: Path, tickets: Tickets, *, key_in_url: bool = False) -> Authenticator:
    file = tmp_path / "key"
    file.write_text("the-key")
    return Authenticator(KeyFile(file), tickets, key_in_url=key_in_url)


@pytest.mark.parametrize(
    ("header", "query", "refusal"),
    [
        ("Bearer the-key", {}, None),
        ("bearer  the-key", {"api_key": "other", "ticket": "other"}, None),
        ("Bearer other", {"api_key": "the-key"}, WRONG_KEY),
        ("Bearer", {}, WRONG_KEY),
        ("Basic the-key", {"api_key": "the-key"}, NO_BEARER),
        ("the-key", {}, NO_BEARER),
        (None, {}, NO_KEY),
        (None, {"api_key": "the-key"}, KEY_IN_URL),
        (None, {"ticket": "the-key"}, UNKNOWN),
        (None, {"ticket": "other", "api_key": "the-key"}, UNKNOWN),
    ],
)
def test_who_may_use_the_api(
    header: str | None, query: dict[str, str], refusal: str | None, tmp_path: Path, tickets: Tickets
) -> None:
    assert authenticator(tmp_path, tickets).refusal(header, query, 0.0) == refusal


def test_a_key_in_an_address_is_accepted_where_that_is_switched_on(tmp_path: Path, tickets: Tickets) -> None:
    it = authenticator(tmp_path, tickets, key_in_url=True)
    assert it.refusal(None, {"api_key": "the-key"}, 0.0) is None
    assert it.refusal(None, {"api_key": "other"}, 0.0) == WRONG_KEY
    assert it.refusal("Bearer other", {"api_key": "the-key"}, 0.0) == WRONG_KEY
    assert it.refusal(None, {"api_key": "the-key"}, 0.0, header_only=True) == TICKET_FOR_TICKET


def test_a_ticket_opens_once_and_gives_no_other_ticket(tmp_path: Path, tickets: Tickets) -> None:
    it = authenticator(tmp_path, tickets)
    ticket = tickets.issue(0.0)
    assert isinstance(ticket, str)
    assert it.refusal(None, {"ticket": ticket}, 1.0, header_only=True) == TICKET_FOR_TICKET
    assert it.refusal("Bearer the-key", {"ticket": ticket}, 1.0) is None, "the header decides alone"
    assert it.refusal(None, {"ticket": ticket}, 1.0) is None
    assert it.refusal(None, {"ticket": ticket}, 1.0) == USED
    assert it.refusal(None, {}, 1.0, header_only=True) == NO_KEY


def test_without_a_key_nothing_is_asked_for(tickets: Tickets) -> None:
    assert (
        Authenticator(None, tickets).refusal("Basic x", {"ticket": "x", "api_key": "x"}, 0.0, header_only=True) is None
    )


def test_a_rate_window_lets_in_again_what_has_left_it() -> None:
    window = RateWindow(2, 60.0)
    assert window.use(0.0) is None
    assert window.use(10.0) is None
    assert window.use(20.0) == pytest.approx(40.0)
    assert window.use(60.0) is None
    assert window.use(61.0) == pytest.approx(9.0)


def test_connections_are_limited_by_hour_and_address() -> None:
    admission = Admission(Limits(connections_per_hour=2))
    assert [admission.admit("a", now) for now in (0.0, 1.0)] == [None, None]
    assert admission.admit("a", 2.0) == pytest.approx(3598.0)
    assert admission.admit("b", 2.0) is None
    assert admission.admit("a", 3601.0) is None


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(one: str, other: str, together: bool) -> None:
    admission = Admission(Limits(connections_per_hour=1))
    assert admission.admit(one, 0.0) is None
    assert (admission.admit(other, 0.0) is not None) == together


def test_connections_are_limited_at_once() -> None:
    admission = Admission(Limits(connections_at_once=2, connections_per_hour=3))
    assert [admission.admit("a", 0.0) for _ in range(3)] == [None, None, 60.0]
    admission.leave()
    assert admission.admit("a", 0.0) is None, "a refusal uses up nothing"
    assert admission.admit("b", 0.0) == 60.0
    admission.leave()
    assert admission.admit("a", 1.0) == pytest.approx(3599.0)
    assert admission.admit("b", 1.0) is None


def test_addresses_are_forgotten_after_an_hour_and_beyond_a_number() -> None:
    admission = Admission(Limits(connections_per_hour=1))
    for number in range(3 * Admission.MAX_ADDRESSES):
        assert admission.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0) is None
    assert len(admission._by_address) == Admission.MAX_ADDRESSES
    admission.admit("192.0.2.1", 3600.0)
    assert len(admission._by_address) == 1


def test_without_limits_everybody_comes_in() -> None:
    admission = Admission(Limits())
    assert all(admission.admit("a", 0.0) is None for _ in range(1000))
