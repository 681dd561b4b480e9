"""Counting what a WebSocket writes to its socket, after compression and framing, which aiohttp does out of sight."""

import asyncio
from typing import Any

from aiohttp import web

from iris_exporter.backend.stats import Traffic


class MeteredTransport:
    """Counts what is written to a transport; everything else is the transport's own."""

    def __init__(self, transport: asyncio.Transport, traffic: Traffic) -> None:
        self._transport = transport
        self._traffic = traffic

    def write(self, data: bytes) -> None:
        """Write, and count."""
        self._traffic.wire_bytes += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def meter(socket: web.WebSocketResponse, traffic: Traffic) -> None:
    """Count what is written from now on to a WebSocket that has been prepared."""
    writer: Any = socket._writer  # noqa: SLF001 (aiohttp shows nowhere what it writes)
    writer.transport = MeteredTransport(writer.transport, traffic)
