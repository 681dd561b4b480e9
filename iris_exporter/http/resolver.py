"""Name look-ups without threads, so that a name server that does not answer delays only who waits for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from aiohttp import AsyncResolver
from aiohttp.abc import AbstractResolver, ResolveResult

TRY_SECONDS = 1.5
TRIES = 2
LIMIT_SECONDS = 8.0
"""The most for all servers and search domains together."""
_SHARE = 0.8
"""Share of the connect timeout: a look-up ends before it, so that the reason is `dns` and not `timeout`."""
_limit_seconds: ContextVar[float] = ContextVar("look_up_limit_seconds", default=LIMIT_SECONDS)


@asynccontextmanager
async def connect_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when the block takes longer than `seconds`; its look-ups fail some time before.

    Requests for the same name at the same time share one look-up, with the limit of the first.
    """
    token = _limit_seconds.set(min(LIMIT_SECONDS, seconds * _SHARE))
    try:
        async with asyncio.timeout(seconds):
            yield
    finally:
        _limit_seconds.reset(token)


class Resolver(AbstractResolver):
    """The hosts file, then the servers of resolv.conf; `nameservers` are asked in their place."""

    def __init__(self, nameservers: list[str] | None = None) -> None:
        self._resolver = AsyncResolver(nameservers=nameservers, timeout=TRY_SECONDS, tries=TRIES)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up. Raises OSError when there is none, or no answer in time."""
        try:
            async with asyncio.timeout(_limit_seconds.get()) as limit:
                return await self._resolver.resolve(host, port, family)
        except TimeoutError:
            if not limit.expired():
                raise
            raise socket.gaierror(socket.EAI_AGAIN, "no answer from the resolver in time") from None

    async def close(self) -> None:
        """Give up what is under way."""
        await self._resolver.close()
