"""The messages of docs/protocol.md are what they should be."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.decoding.iris_stream.dialect import IrisStream
from iris_exporter.decoding.iris_stream.options import Asked
from iris_exporter.errors import DecodeError
from iris_exporter.transports.sse_parser import SseParser
from tests.api_documents import check, check_message, document
from tests.settings import stream_settings
from tests.waiting import BUSY

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
MESSAGES = [json.loads(text) for text in re.findall(r"```json\n(.+?)\n```", PROTOCOL, re.DOTALL)]
# In the text, without those that leave something out.
MESSAGES += [json.loads(text) for text in re.findall(r'`(\{"type".+?\})`', PROTOCOL) if "..." not in text]
FROM_CLIENTS = {"subscribe": "Subscribe", "resume": "Resume", "ping": "ClientPing", "pong": "ClientPong"}


def of_clients(message: dict[str, Any]) -> bool:
    return message["type"] in FROM_CLIENTS and "timestamp" not in message


def identified(values: list[Any]) -> list[str]:
    return [f"{number}-{value['type'] if isinstance(value, dict) else value}" for number, value in enumerate(values)]


@pytest.mark.parametrize("message", MESSAGES, ids=identified(MESSAGES))
def test_messages_are_what_asyncapi_says(message: dict[str, Any]) -> None:
    if of_clients(message):
        check("asyncapi.yaml", {"$ref": f"#/components/schemas/{FROM_CLIENTS[message['type']]}"}, message)
    else:
        path = "/api/stream/events" if message["type"] == "resumed" else "/api/stream"
        check_message(path, message, whole=message["type"] != "delta")


def test_messages_of_every_section_are_there() -> None:
    kinds = {message["type"] for message in MESSAGES}
    assert kinds == {
        *("event", "update", "delta", "ping", "pong", "resume", "resumed", "subscribe", "subscribed", "dropped"),
    }


async def test_the_backend_takes_what_clients_say() -> None:
    """Each on a connection of its own, and on the older path as far as it is there."""
    async with Backend(BackendSettings(port=0, seed=7)) as backend, aiohttp.ClientSession() as http:
        for message in filter(of_clients, MESSAGES):
            old = ["/api/stream/overview"] if message["type"] != "subscribe" else []
            for path in ["/api/stream", *old]:
                async with http.ws_connect(backend.url + path) as socket:
                    await socket.send_json(message)
                    await socket.send_json({"type": "ping"})
                    kinds = []
                    while "pong" not in kinds:
                        kinds.append((await socket.receive_json(timeout=5 * BUSY))["type"])
                    assert "error" not in kinds
                    assert message["type"] != "subscribe" or "subscribed" in kinds


def test_the_exporter_reads_what_backends_say() -> None:
    """At the path of subscriptions with all that it asks for; a change that has no base is noticed, not refused."""
    settings = stream_settings(url="ws://127.0.0.1/api/stream")
    assert Asked.of(settings) is not None
    for message in MESSAGES:
        if of_clients(message):
            continue
        dialect = IrisStream()
        dialect.configure(settings)
        dialect.reset()
        found = list(dialect.decode([json.dumps(message).encode()]))
        assert not any(isinstance(each, DecodeError) for each in found), (message, found)


def test_events_of_the_page_are_server_sent_events() -> None:
    blocks = re.findall(r"```sse\n(.+?)```", PROTOCOL, re.DOTALL)
    assert blocks
    for block in blocks:
        (event,) = SseParser(100_000).feed(block.encode())
        message = json.loads(event.data)
        assert (event.name, event.id) == (message["type"], message["id"])
        check_message("/api/stream", message)


def test_documents_are_linked() -> None:
    for name in ("asyncapi.yaml", "openapi.yaml"):
        assert f"]({name})" in PROTOCOL
        assert document(name)["info"]["title"]
