"""Credentials of a stream or client: the API key, headers of the operator's choice, certificates.

Files with credentials are read at each request, so that rotated ones are used without a restart.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from iris_exporter import logs
from iris_exporter.core import keys, request_headers
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.keys import BadKeyError
from iris_exporter.core.request_headers import BadHeaderError, Header
from iris_exporter.http import tls
from iris_exporter.process.blocking import FILES, BlockedError
from iris_exporter.settings import ClientSettings, StreamSettings

_log = logs.get_logger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Identity:
    """What one request sends and trusts. `elsewhere` is the trust for an origin that must not learn the credentials.

    None stands for `system_trust`: the address has no TLS, and nothing was loaded in case that a redirect leads to it.
    """

    headers: tuple[Header, ...] = field(repr=False)
    trust: ssl.SSLContext | None
    elsewhere: ssl.SSLContext | None


class Credentials:
    """The credentials of one stream or client. Each secret that is read is hidden from the log before it is used.

    `key_header` is where the key goes: `Authorization`, as a bearer token, another header, as it is, or None for none.
    """

    def __init__(self, settings: ClientSettings, key_header: str | None = "Authorization") -> None:
        self._key_header = key_header
        self._key_file = settings.api_key_file
        self._headers = settings.headers
        self._secret_files: tuple[tuple[str, Path], ...] = ()
        if settings.api_key_file is not None:
            self._secret_files += (("", settings.api_key_file),)
        if isinstance(settings, StreamSettings):
            self._secret_files += settings.secrets
        self._headers_file = settings.headers_file
        self._files = tls.Files(settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)
        self._verify = not settings.tls_insecure_skip_verify
        self._is_plain = settings.url.lower().startswith(("http:", "ws:"))
        self._used: Identity | None = None
        if not self._verify:
            hint = "anybody on the way can read the key and invent data"
            if isinstance(settings, StreamSettings):
                _log.warning("stream.tls_not_verified", stream=settings.name, hint=hint)
            else:
                _log.warning("client.tls_not_verified", client=settings.name, hint=hint)

    async def identity(self) -> Identity:
        """What the next request is to use.

        Raises:
            TransportError: A file cannot be read, or what it holds cannot be used.
        """
        self._used = await self._load()
        return self._used

    async def changed(self) -> bool:
        """Whether the files differ from what was last used; False when they cannot be read."""
        try:
            return await self._load() != self._used
        except TransportError:
            return False

    async def _load(self) -> Identity:
        key: str | None = None
        from_file: tuple[Header, ...] = ()
        if self._key_file is not None:
            key = await _read(self._key_file, keys.MAX_BYTES, keys.parse)
            logs.protect(key)
        if self._headers_file is not None:
            from_file = await _read(
                self._headers_file, request_headers.MAX_HEADERS_FILE_BYTES, request_headers.parse_file
            )
        headers = {name.lower(): (name, value) for name, value in (*self._headers, *from_file)}
        for _, value in headers.values():
            if len(value) >= request_headers.SHORTEST_SECRET:
                logs.protect(value)
        if key is not None and (name := self._key_header) is not None:
            value = f"Bearer {key}" if name.lower() == request_headers.AUTHORIZATION else key
            headers[name.lower()] = (name, value)
        return Identity(tuple(headers.values()), await self._trust(), await self._trust_elsewhere())

    async def secrets(self) -> Mapping[str, str]:
        """The content of each file with a secret by its name, that of the key by the empty name.

        Raises:
            TransportError: A file cannot be read, or what it holds is no key.
        """
        found = {}
        for name, path in self._secret_files:
            found[name] = await _read(path, keys.MAX_BYTES, keys.parse)
            logs.protect(found[name])
        return found

    async def _trust(self) -> ssl.SSLContext | None:
        if self._verify and self._files == tls.Files() and self._is_plain:
            return None
        return await _context(self._files, verify=self._verify)

    async def _trust_elsewhere(self) -> ssl.SSLContext | None:
        """The operator's own authorities apply to every origin; our certificate and skipped verification do not."""
        if self._files.authorities is None and self._is_plain:
            return None
        return await _context(tls.Files(self._files.authorities), verify=True)


async def system_trust() -> ssl.SSLContext:
    """The authorities of the system, without a certificate of ours. Raises TransportError: they cannot be read."""
    return await _context(tls.Files(), verify=True)


async def _context(files: tls.Files, *, verify: bool) -> ssl.SSLContext:
    try:
        return await FILES.run(lambda: tls.current(files, verify=verify), files)
    except tls.UnusableFileError as error:
        raise TransportError(Failure("credentials", str(error))) from None
    except BlockedError as error:
        raise TransportError(Failure("credentials", f"files with certificates: {error.strerror}")) from None


async def _read(path: Path, limit: int, parse: Callable[[bytes], _T]) -> _T:
    """What is in a file, of which one byte more than `limit` is read.

    Raises:
        TransportError: It cannot be read, or `parse` says that it cannot be used.
    """

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(limit + 1)

    try:
        return parse(await FILES.run(read, path))
    except OSError as error:
        raise TransportError(Failure("credentials", f"{path}: {error.strerror}")) from None
    except BadKeyError as error:
        raise TransportError(Failure("credentials", f"{path}: no key: {error}")) from None
    except BadHeaderError as error:
        raise TransportError(Failure("credentials", f"{path}: {error}")) from None
