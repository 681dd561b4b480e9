"""What the dialect of IRIS says, where its documents are, and what frames other than text mean to it."""

import json

import pytest

from iris_exporter.decoding.dialect import Binary, NamedEvent
from iris_exporter.decoding.iris_json import outgoing
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import Overview, Page, Ping, Pong
from iris_exporter.errors import DecodeError

PING = b'{"type":"ping"}'


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("application/json", True), ("text/json", True), ("application/problem+json", True),
        ("text/html", False), ("text/event-stream", False), ("", False),
    ],
)  # fmt: skip
def test_documents_are_json(media_type: str, expected: bool) -> None:
    assert IrisJson().reads(media_type) is expected


def test_a_connection_is_resumed_where_there_is_a_position() -> None:
    assert IrisJson().on_open("") == ()
    (message,) = IrisJson().on_open("e-7")
    assert json.loads(message) == {"type": "resume", "lastEventId": "e-7"}


def test_a_page_is_its_body_and_its_head() -> None:
    body = b'[{"id":"7","event_type":"x"}]'
    assert IrisJson().decode_page(body, {}) is None, "a source that cannot page"
    page = IrisJson().decode_page(body, {"Iris-Cursor": "e-7", "Iris-Missed": "3", "Iris-More": "TRUE"})
    assert page is not None
    assert (page.cursor, page.missed, page.more, page.overview.cursor) == ("e-7", 3, True, None)
    assert [event.id for event in page.overview.events or ()] == ["7"]
    assert IrisJson().decode_page(b"", {"Iris-Cursor": "e-7", "Iris-Missed": "9" * 19}) == Page(Overview(), "e-7")


def test_a_binary_frame_is_an_error_in_its_turn() -> None:
    found = list(IrisJson().decode([PING, Binary(PING), PING]))
    assert [getattr(each, "reason", each) for each in found] == [Ping(), "binary", Ping()]


@pytest.mark.parametrize("name", sorted(IrisJson.event_names))
@pytest.mark.parametrize("data", [b"{}", b"", b"null", b"ping", b"2025-01-01T00:00:00Z", b'{"time": 1}'])
def test_an_event_that_is_a_sign_of_life_by_its_name_is_no_message(name: str, data: bytes) -> None:
    assert list(IrisJson().decode([NamedEvent(name, data)])) == []
    assert list(IrisJson().decode([NamedEvent(name, PING)])) == [Ping()], "unless it carries one"


def test_what_is_peeked_at_are_pings_and_pongs_and_leaves_no_trace() -> None:
    dialect = IrisJson()
    frames = [
        PING,
        b"{",
        b'{"type":"update","data":{"metrics":{"total_projects":"x"}}}',
        Binary(b""),
        b'{"type":"pong"}',
    ]
    assert list(dialect.peek(frames)) == [Ping(), Pong()]
    assert not dialect.problems
    assert [type(found) for found in dialect.decode(frames)].count(DecodeError) == 2
    assert dialect.problems


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://h:1/api/stream/overview", ("http://h:1/api/overview", "http://h:1/api/iris/overview")),
        (
            "https://h/iris/api/stream/x?k=1",
            ("https://h/iris/api/overview?k=1", "https://h/iris/api/iris/overview?k=1"),
        ),
        ("wss://h/api/iris/ws", ("https://h/api/iris/overview", "https://h/api/overview")),
        ("http://h/stream", ("http://h/api/overview", "http://h/api/iris/overview")),
    ],
)
def test_the_snapshot_is_looked_for_beside_the_stream(url: str, expected: tuple[str, str]) -> None:
    assert outgoing.snapshot_addresses(url) == expected


@pytest.mark.parametrize("query", ["api_key=K", "sig=a%2Fb%2Bc%3D%3D&project=x&project=y", "key"])
@pytest.mark.parametrize("where", ["ws://h:1/pre/api/stream/overview", "http://u:p@h:1/pre/api/iris/stream/x"])
def test_derived_addresses_keep_what_the_configured_one_had(where: str, query: str) -> None:
    base = where.replace("ws:", "http:").partition("/api/")[0]
    addresses = outgoing.snapshot_addresses(f"{where}?{query}#part")
    assert set(addresses) == {f"{base}/api/overview?{query}", f"{base}/api/iris/overview?{query}"}
    for address in addresses:
        page = outgoing.page_address(address, "e-1")
        assert page == address.replace("/overview?", "/events?") + "&after=e-1&limit=1000"


def test_the_position_of_a_page_is_the_one_that_is_asked_for() -> None:
    assert (
        outgoing.page_address("http://h/api/overview?limit=5&key=%2F&after=x&afterwards=1", "e-1")
        == "http://h/api/events?key=%2F&afterwards=1&after=e-1&limit=1000"
    )
