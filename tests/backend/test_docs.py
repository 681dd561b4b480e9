"""docs/backend.md and docs/protocol.md name what there is."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from iris_exporter.backend.faults import KINDS
from iris_exporter.backend.feed import MAX_TELEMETRY_EVENTS, MAX_UPDATE_EVENTS
from iris_exporter.backend.options import (
    BATCH_DELAY_MS,
    BATCH_MESSAGES,
    DEFAULT_BATCH_DELAY_MS,
    DEFAULT_BATCH_MESSAGES,
    MAX_ID_CHARS,
    MAX_PROJECTS,
    parse_options,
    query_options,
)
from iris_exporter.backend.relay.journal import MAX_AGE_SECONDS
from iris_exporter.backend.relay.relayed import LEAST_STALE_SECONDS, STALE_POLLS
from iris_exporter.backend.relay.stats import RelayStats
from iris_exporter.backend.relay.upstream import MOST_EVENTS
from iris_exporter.backend.rest import DEFAULT_EVENTS, GET_ROUTES, MAX_EVENTS
from iris_exporter.backend.service import BackendSettings
from iris_exporter.backend.streams import PATHS
from iris_exporter.backend.wire import CHANGE_TYPES, ERROR_MESSAGES
from iris_exporter.commands.arguments import Parser
from iris_exporter.commands.backend import add_arguments
from iris_exporter.commands.relay_options import DEFAULT_POLL_INTERVAL
from iris_exporter.wire import protobuf

DOCS = Path(__file__).parents[2] / "docs"


def test_every_fault_has_a_row_with_its_usage() -> None:
    rows = [line.split("|")[1] for line in (DOCS / "backend.md").read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert {kind.usage for kind in KINDS.values()} <= named


def test_every_option_is_described() -> None:
    parser = Parser(prog="backend")
    general = set(parser._option_string_actions)
    add_arguments(parser)
    text = (DOCS / "backend.md").read_text()
    assert [option for option in {*parser._option_string_actions} - general if f"`{option}" not in text] == []


def test_every_endpoint_error_code_and_older_message_type_is_described() -> None:
    text = (DOCS / "protocol.md").read_text()
    words = [*PATHS, *GET_ROUTES, *ERROR_MESSAGES, *CHANGE_TYPES.values()]
    assert [word for word in words if f"`{word}" not in text] == []


def test_every_metric_of_a_relay_is_described() -> None:
    text = (DOCS / "backend.md").read_text()
    stats = RelayStats(last_success=1.0)
    names = [f"{family.name}_total" if family.type == "counter" else family.name for family in stats.collect()]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_numbers_are_those_of_the_program() -> None:
    settings = BackendSettings()
    text = (DOCS / "backend.md").read_text()
    assert f"The last {settings.history_events:,} events" in text
    assert f"`{settings.host}:{settings.port}`" in text
    assert f"{settings.history_events:,} events of at most seven days" in text
    assert (MAX_AGE_SECONDS, STALE_POLLS, LEAST_STALE_SECONDS) == (7 * 86_400, 3, 15)
    assert f"asks for {MOST_EVENTS:,} events" in text
    assert f"| {DEFAULT_POLL_INTERVAL} | time between two polls" in text
    protocol = (DOCS / "protocol.md").read_text()
    assert f"`update` carries at most {MAX_UPDATE_EVENTS} events, `telemetry` {MAX_TELEMETRY_EVENTS}" in protocol
    assert f"{DEFAULT_EVENTS} by default, {MAX_EVENTS} at most" in protocol
    assert f"at most {MAX_PROJECTS} of at most {MAX_ID_CHARS} characters" in protocol
    assert f"`maxMessages` (from {BATCH_MESSAGES[0]}; {DEFAULT_BATCH_MESSAGES})" in protocol
    assert f"`maxDelayMs` ({DEFAULT_BATCH_DELAY_MS})" in protocol
    assert f"{BATCH_MESSAGES[1]} messages, {BATCH_DELAY_MS[1]:,} ms" in protocol


def test_the_examples_of_subscriptions_are_messages_in_both_encodings() -> None:
    section = (DOCS / "protocol.md").read_text().partition("## 6. ")[2].partition("## 7. ")[0]
    messages = [json.loads(text) for text in re.findall(r"```json\n(.+?)\n```", section)]
    assert [message["type"] for message in messages] == ["subscribe", "subscribed", "dropped", "delta"]
    for message in messages:
        assert protobuf.decode(protobuf.encode(message), "9f31c2") == message
    granted = parse_options(messages[0]["data"]).grant.document()
    assert granted == {name: messages[1]["data"][name] for name in granted}
    (address,) = re.findall(r"GET (/api/stream\?\S+)", section)
    grant = parse_options(query_options(parse_qsl(urlsplit(address).query, strict_parsing=True))).grant
    assert set(grant.document()) == {"channels", "fields", "delta", "batch", "debounceMs"}
