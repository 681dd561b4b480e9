"""Redirects: how far, where to, and never with the key to another origin."""

import pytest

from iris_exporter.core.failures import Failure
from iris_exporter.http.redirects import MAX_HOPS, Hop, next_hop, refused_without_credentials

HOME = "https://iris.example.com/api/stream"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/v2/stream", "https://iris.example.com/v2/stream"),
        ("v2", "https://iris.example.com/api/v2"),
        ("?page=2", "https://iris.example.com/api/stream?page=2"),
        (" https://iris.example.com/x ", "https://iris.example.com/x"),
        ("https://iris.example.com:443/x#part", "https://iris.example.com:443/x"),
        ("HTTPS://IRIS.example.com/x", "https://IRIS.example.com/x"),
        ("//iris.example.com/x", "https://iris.example.com/x"),
        ("wss://iris.example.com/x", "https://iris.example.com/x"),
    ],
)
def test_the_key_goes_along_within_an_origin(location: str, url: str) -> None:
    assert next_hop(HOME, location, [HOME]) == Hop(url, keep_credentials=True)


@pytest.mark.parametrize(
    "location",
    [
        "https://iris.example.com:8443/x",
        "https://example.com/x",
        "https://iris.example.com.evil.test/x",
        "//evil.test/x",
        "https://iris.example.com./x",
        "https://[::1]/x",
    ],
)
def test_another_host_or_port_gets_no_key(location: str) -> None:
    hop = next_hop(HOME, location, [HOME])
    assert isinstance(hop, Hop)
    assert not hop.keep_credentials


def test_another_scheme_gets_no_key() -> None:
    hop = next_hop("http://h/x", "https://h/x", ["http://h/x"])
    assert hop == Hop("https://h/x", keep_credentials=False)


def test_a_websocket_address_is_of_the_origin_of_its_handshake() -> None:
    assert next_hop("ws://h/x", "http://h/y", ["ws://h/x"]) == Hop("http://h/y", keep_credentials=True)
    assert next_hop("wss://h/x", "/y", ["wss://h/x"]) == Hop("https://h/y", keep_credentials=True)


def test_a_key_that_was_left_behind_stays_behind() -> None:
    """Or another host could choose which of our addresses gets an authenticated request."""
    hops = [HOME, "https://other.example.com/"]
    assert next_hop(hops[-1], HOME + "/admin", hops) == Hop(HOME + "/admin", keep_credentials=False)


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://iris.example.com/x", "not encrypted"),
        ("ws://iris.example.com/x", "not encrypted"),
        ("", "without an address"),
        ("  ", "without an address"),
        ("ftp://iris.example.com/", "cannot be requested"),
        ("file:///etc/passwd", "cannot be requested"),
        ("javascript:alert(1)", "cannot be requested"),
        ("https://iris.example.com\\.evil.test/", "characters"),
        ("https://[::1/x", "cannot be requested"),
        ("https://h:99999/x", "cannot be requested"),
        ("https://user:hidden@iris.example.com/x", "user or a password"),
        ("https://iris.example.com@evil.test/", "user or a password"),
        ("/a b", "characters"),
        ("/a\x00b", "characters"),
        ("/\u00e9", "characters"),
        (HOME, "in circles"),
        (HOME + "#again", "in circles"),
    ],
)
def test_a_redirect_that_is_not_followed_has_a_detail(location: str, why: str) -> None:
    failure = next_hop(HOME, location, [HOME])
    assert isinstance(failure, Failure)
    assert failure.reason == "redirect"
    assert why in failure.detail
    assert "hidden" not in failure.detail


def test_a_longer_circle_is_a_circle() -> None:
    hops = ["http://h", "http://h/a", "http://h/b"]
    for location in ("/", "/a"):
        failure = next_hop("http://h/b", location, hops)
        assert isinstance(failure, Failure)
        assert "circles" in failure.detail


def test_a_chain_has_a_limit() -> None:
    hops = ["http://h/0"]
    for number in range(1, MAX_HOPS + 1):
        hop = next_hop(hops[-1], f"/{number}", hops)
        assert isinstance(hop, Hop)
        hops.append(hop.url)
    assert next_hop(hops[-1], "/more", hops) == Failure("redirect", f"a redirect after {MAX_HOPS} others")


def test_no_detail_shows_a_path_or_a_query() -> None:
    for failure in (
        next_hop(HOME, "http://h/hidden?token=hidden", [HOME]),
        refused_without_credentials("https://h:8443/hidden?token=hidden", Failure("unauthorized")),
    ):
        assert isinstance(failure, Failure)
        assert "hidden" not in str(failure)
    assert refused_without_credentials("https://h/", Failure("forbidden")).reason == "redirect"
    assert refused_without_credentials("https://h/", Failure("not_found")) == Failure("not_found")
