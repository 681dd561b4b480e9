"""A small client of the Kubernetes API: get, list, create, update and watch, and nothing else.

In a pod the address comes from two environment variables, token and certificate authority from files that are renewed
while the process runs, and therefore read for each request. Proxies are those of the environment, as for client-go: a
cluster whose pods have HTTPS_PROXY names its own addresses in NO_PROXY.
Source: Kubernetes API conventions; "Accessing the API from a Pod".
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from iris_exporter.core.failures import TransportError, from_status
from iris_exporter.errors import IrisExporterError, LimitExceededError
from iris_exporter.http.classify import failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.settings import ClientSettings
from iris_exporter.transports.polling import read_body

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The session does not decompress, and an API server compresses long lists and the beginning of a watch.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_REQUEST_SECONDS = 5.0
# A list of some thousand Services with all their fields.
_MAX_BODY_BYTES = 64 * 1024 * 1024
_MAX_LINE_BYTES = 4 * 1024 * 1024
# A version is opaque; those of every known server are numbers.
_VERSION = re.compile(r"[!-~]{1,256}")


@dataclass(eq=False)
class KubernetesError(IrisExporterError):
    """The API server refused or could not be reached. `status` is 0 for the latter."""

    status: int
    message: str

    @property
    def reason(self) -> str:
        """The one of `core.reasons` that it is."""
        if self.status:
            return from_status(self.status).listed_reason
        return "other" if self.__cause__ is None else failure_of(self.__cause__).listed_reason

    def __str__(self) -> str:
        return f"Kubernetes API: {self.message}" + (f" (status {self.status})" if self.status else "")


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the API server. `token_file` and `ca_file` None: without, as in a test on loopback."""

    url: str
    namespace: str
    token_file: Path | None
    ca_file: Path | None


def access_from(environment: Mapping[str, str], directory: Path = SERVICE_ACCOUNT) -> Access:
    """What a pod finds around itself.

    Raises:
        KubernetesError: This is no pod with a service account.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubernetesError(0, "not in a cluster: KUBERNETES_SERVICE_HOST is not set")
    try:
        namespace = (directory / "namespace").read_text().strip()
    except OSError as error:
        raise KubernetesError(0, f"no service account is mounted: {error.filename}: {error.strerror}") from error
    bracketed = f"[{host}]" if ":" in host else host
    return Access(f"https://{bracketed}:{port}", namespace, directory / "token", directory / "ca.crt")


class Kubernetes:
    """Requests to one API server. Paths begin with `/api` or `/apis`; objects are plain JSON."""

    def __init__(self, access: Access, session: aiohttp.ClientSession) -> None:
        self.access = access
        client = ClientSettings("kubernetes", access.url, api_key_file=access.token_file, tls_ca_file=access.ca_file)
        self._requester = Requester(client, session, Credentials(client))

    async def get(self, path: str) -> dict[str, Any] | None:
        """One object or list; None when there is none (404)."""
        try:
            return await self._request("GET", path)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object in the collection at `path`; KubernetesError 409 when there is one of that name."""
        return await self._request("POST", path, body)

    async def update(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object; KubernetesError 409 when `metadata.resourceVersion` is an old one."""
        return await self._request("PUT", path, body)

    async def watch(self, path: str, version: str) -> AsyncIterator[dict[str, Any]]:
        """Events that follow resource version `version`, until the server ends the watch.

        Raises:
            KubernetesError: Status 410 when the version is too old: list again.
        """
        joint = "&" if "?" in path else "?"
        since = quote(version, safe="")
        address = f"{path}{joint}watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion={since}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS, sock_read=300)
        with self._errors("the watch ended"):
            response = await self._requester.send("GET", self.access.url + address, _HEADERS, timeout=timeout)
            async with response:
                if response.status != 200:
                    raise KubernetesError(response.status, "the watch was refused")
                async for line in _lines(response):
                    if (event := _decode(line)) is None:
                        raise KubernetesError(response.status, "an event of the watch is not a JSON object")
                    if event.get("type") == "ERROR":
                        status = event.get("object")
                        code = status.get("code") if isinstance(status, dict) else None
                        raise _refusal(code if isinstance(code, int) else 500, status)
                    yield event

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers, data = _HEADERS, None
        if body is not None:
            headers = {**_HEADERS, "Content-Type": "application/json"}
            data = msgspec.json.encode(body)
        with self._errors("no answer"):
            async with asyncio.timeout(_REQUEST_SECONDS):
                response = await self._requester.send(method, self.access.url + path, headers, data=data)
                async with response:
                    content, _ = await read_body(response, _MAX_BODY_BYTES)
        answer = _decode(content)
        if response.status >= 300:
            raise _refusal(response.status, answer)
        # Never to be taken for a list of nothing.
        if answer is None:
            raise KubernetesError(response.status, "the answer is not a JSON object")
        return answer

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except TransportError as error:  # of a file or a proxy, before anything was sent
            raise KubernetesError(0, str(error.failure)) from error
        except LimitExceededError as error:
            raise KubernetesError(0, "the answer is too large") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubernetesError(0, f"{what}: {type(error).__name__}") from error


def _refusal(status: int, answer: object) -> KubernetesError:
    """The error of a `Status` object."""
    fields = answer if isinstance(answer, dict) else {}
    return KubernetesError(status, str(fields.get("reason") or fields.get("message") or "refused"))


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length up to a bound; aiohttp's own line reader stops at half a megabyte."""
    pending = b""
    async for piece in response.content.iter_any():
        *lines, pending = (pending + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(pending) > _MAX_LINE_BYTES:
            raise KubernetesError(0, "an object in the watch is too large")


def version_of(thing: Mapping[str, Any]) -> str:
    """The resource version of an object or list; empty, which means any, where it is none that a request can carry."""
    metadata = thing.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else ""


def _decode(content: bytes) -> dict[str, Any] | None:
    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
