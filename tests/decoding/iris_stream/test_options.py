"""What is asked for, as a message and as a query, and what was granted."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from iris_exporter.decoding.iris_stream.options import FIELDS, Asked, extensions_of, subscribe, with_options
from tests.settings import stream_settings

URL = "https://iris.test/api/stream"


def asked(**changes: Any) -> Asked:
    found = Asked.of(stream_settings(url=changes.pop("url", URL), **changes))
    assert found is not None
    return found


OFF = {"fields": "off", "delta": "off", "batch_seconds": 0.0, "debounce_seconds": 0.0}


@pytest.mark.parametrize(
    "path", ["/api/stream/overview", "/api/stream/events", "/api/iris/ws", "/api/stream/", "/", "/api/streams"]
)
def test_other_addresses_take_no_subscription(path: str) -> None:
    assert Asked.of(stream_settings(url=f"https://iris.test{path}?a=/api/stream")) is None


def test_everything_is_asked_for_by_default() -> None:
    found = asked()
    assert found.subprotocols == ("iris.v1+protobuf", "iris.v1+json")
    assert found.compression
    assert found.options() == {
        "priority": True,
        "fields": {channel: list(names) for channel, names in FIELDS.items()},
        "delta": True,
        "batch": {"maxMessages": 100, "maxDelayMs": 100},
        "debounceMs": 200,
    }


def test_what_is_off_is_not_asked_for() -> None:
    found = asked(url="wss://iris.test/tenant/api/stream?x=1", encoding="json", compression="off", **OFF)
    assert (found.subprotocols, found.compression, found.options()) == (("iris.v1+json",), False, {"priority": True})


def test_fields_are_those_of_the_channels_that_are_asked_for() -> None:
    options = asked(channels=("metrics", "events"), batch_seconds=0.0021, debounce_seconds=10.0).options()
    assert options["channels"] == ["metrics", "events"]
    assert sorted(options["fields"]) == ["events", "metrics"]
    assert options["batch"]["maxDelayMs"] == 2
    assert options["debounceMs"] == 10_000


def test_a_source_is_asked_without_what_it_fails_at() -> None:
    options = asked().options(delta=False, fields=False)
    assert not {"delta", "fields"} & set(options)


def test_the_message_names_the_position_where_there_is_one() -> None:
    assert msgspec.json.decode(subscribe({"delta": True}, "e-7")) == {
        "type": "subscribe", "data": {"delta": True, "after": "e-7"},
    }  # fmt: skip
    assert msgspec.json.decode(subscribe({"delta": True}))["data"] == {"delta": True}


def test_the_query_says_the_same_behind_what_was_there() -> None:
    options = {"delta": True, "batch": {"maxMessages": 5}, "fields": {"events": ["id", "a&b"]}, "debounceMs": 20}
    parts = urlsplit(with_options(f"{URL}?tenant=%2Fa&x", options))
    assert parts.query.startswith("tenant=%2Fa&x&")
    assert parse_qsl(parts.query)[1:] == [
        ("delta", "true"), ("batch.maxMessages", "5"), ("fields.events", "id"), ("fields.events", "a&b"),
        ("debounceMs", "20"),
    ]  # fmt: skip
    assert with_options(URL, {}) == URL


@pytest.mark.parametrize(
    ("granted", "extensions"),
    [
        ({}, set()),
        ({"delta": True, "priority": True, "encoding": "json"}, {"delta", "priority"}),
        ({"delta": 1, "priority": "yes", "batch": True, "debounceMs": "9", "channels": "events"}, set()),
        ({"batch": {"maxMessages": 9}, "debounceMs": 9, "fields": {"events": ["id"]}}, {"batch", "debounce", "fields"}),
        ({"batch": None, "debounceMs": 0, "fields": {}}, set()),
        ({"channels": ["metrics", {}, 7]}, {"channels"}),
        ({"channels": ["metrics", "projects", "events", "anomalies"]}, set()),
    ],
)
def test_what_is_in_use_follows_from_what_was_granted(granted: dict[str, Any], extensions: set[str]) -> None:
    assert extensions_of(granted) == extensions
