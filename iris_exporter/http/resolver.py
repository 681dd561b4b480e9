"""Name look-ups without threads, so that a resolver that is silent holds up nothing but who asks it."""

import asyncio
import socket

from aiohttp import AsyncResolver
from aiohttp.abc import AbstractResolver, ResolveResult

TRY_SECONDS = 1.5
TRIES = 2
LIMIT_SECONDS = 8.0
"""For all servers and search domains together; below the default of `--stream.connect-timeout`, to name the reason."""


class Resolver(AbstractResolver):
    """The hosts file, then the servers of resolv.conf; `nameservers` are asked in their place."""

    def __init__(self, nameservers: list[str] | None = None, seconds: float = LIMIT_SECONDS) -> None:
        self._seconds = seconds
        self._resolver = AsyncResolver(nameservers=nameservers, timeout=TRY_SECONDS, tries=TRIES)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look a name up. Raises OSError when there is none, or no answer in time."""
        try:
            async with asyncio.timeout(self._seconds) as limit:
                return await self._resolver.resolve(host, port, family)
        except TimeoutError:
            if not limit.expired():
                raise
            raise socket.gaierror(socket.EAI_AGAIN, "no answer from the resolver in time") from None

    async def close(self) -> None:
        """Give up what is under way."""
        await self._resolver.close()
