"""A simple consumer in Python: aiohttp receives, json decodes, the Prometheus client counts.

`python_consumer.py URL PORT`: events of a WebSocket or an event stream are counted at http://127.0.0.1:PORT/metrics.
"""

import asyncio
import json
import sys

import aiohttp
from prometheus_client import Counter, start_http_server

EVENTS = Counter("events", "Events received.", ["project", "event_type", "severity"])


def count(text: str | bytes) -> None:
    """Count one envelope."""
    event = json.loads(text)["data"]
    EVENTS.labels(event["project"], event["event_type"], event["severity"]).inc()


async def main(url: str) -> None:
    """Receive until the source ends."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        if url.startswith("ws"):
            async with session.ws_connect(url) as socket:
                async for message in socket:
                    count(message.data)
        else:
            async with session.get(url) as response:
                async for line in response.content:
                    if line.startswith(b"data: "):
                        count(line[6:])


if __name__ == "__main__":
    start_http_server(int(sys.argv[2]), "127.0.0.1")
    asyncio.run(main(sys.argv[1]))
