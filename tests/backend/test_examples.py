"""The examples of docs/protocol.md and docs/backend.md: messages are what they should be, and commands work."""

import asyncio
import json
import re
import shlex
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.commands.arguments import Parser
from iris_exporter.commands.backend import add_arguments
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
COMMANDS = [
    line.removeprefix("$ ")
    for page in ("protocol.md", "backend.md")
    for block in re.findall(r"```console\n(.+?)```", (DOCS / page).read_text(), re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("$ ")
]


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
    assert kinds == {"event", "ping", "pong", "resume", "resumed", "subscribe", "subscribed", "dropped", "delta"}


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


def test_commands_of_the_backend_have_options_that_there_are() -> None:
    parser = Parser(prog="backend")
    add_arguments(parser)
    found = [shlex.split(line, comments=True) for line in COMMANDS if line.startswith("iris-exporter backend")]
    assert found
    for words in found:
        parser.parse_args(words[2:])


@pytest.mark.needs("curl")
@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("curl")])
async def test_curl(command: str) -> None:
    """Each ends well; one that follows a stream (`-N`) is sent a message."""
    async with Backend(BackendSettings(port=0, seed=7, rate=20.0)) as backend:
        line = command.replace("http://127.0.0.1:14748", backend.url).replace("curl ", "exec curl -s --fail ", 1)
        assert backend.url in line
        process = await asyncio.create_subprocess_exec("bash", "-c", line, stdout=PIPE, stderr=PIPE, limit=2**24)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(10 * BUSY):
                if " -N " in command:
                    while not (text := await process.stdout.readline()).startswith(b"data: "):
                        assert text, "the stream ended"
                    message = json.loads(text[6:])
                    assert message.get("type") or message["data"]
                else:
                    text, _ = await process.communicate()
                    assert process.returncode == 0
                    assert text
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def test_documents_are_linked() -> None:
    for name in ("asyncapi.yaml", "openapi.yaml"):
        assert f"]({name})" in PROTOCOL
        assert document(name)["info"]["title"]
