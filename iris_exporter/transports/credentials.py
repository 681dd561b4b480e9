"""The API key: read from its file at each dial, so that a rotated key is used without a restart."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from iris_exporter.core.failures import Failure
from iris_exporter.transports.base import TransportError


class Credentials:
    """The key of one stream. `protect` is told every key that is read, before anything else sees it."""

    def __init__(self, key_file: Path | None, protect: Callable[[str], None]) -> None:
        self._key_file = key_file
        self._protect = protect
        self._used: str | None = None

    async def headers(self) -> dict[str, str]:
        """The header that authenticates a request; empty when no key is configured.

        Raises:
            TransportError: The file cannot be read or holds no usable key.
        """
        self._used = await self._read()
        return {} if self._used is None else {"Authorization": f"Bearer {self._used}"}

    async def changed(self) -> bool:
        """Whether the file now holds another key than the one last used; False when it cannot be read."""
        try:
            return await self._read() != self._used
        except TransportError:
            return False

    async def _read(self) -> str | None:
        if self._key_file is None:
            return None
        try:
            # In a thread: the file may be on a network mount that hangs.
            key = (await asyncio.to_thread(self._key_file.read_text, "utf-8")).strip()
        except OSError as error:
            raise TransportError(Failure("credentials", f"{self._key_file}: {error.strerror}")) from error
        except UnicodeDecodeError as error:
            raise TransportError(Failure("credentials", f"{self._key_file}: not UTF-8 text")) from error
        self._protect(key)
        if not key or not key.isprintable() or not key.isascii():
            raise TransportError(
                Failure("credentials", f"{self._key_file}: the key is empty or has characters no header can carry")
            )
        return key
