"""The source of a relay over REST: where its documents are, and what has changed in them since they were last read."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from iris_exporter.backend.relay.stats import RelayStats
from iris_exporter.clock import Clock
from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.decoding.json_text import parse
from iris_exporter.decoding.messages import Anomaly, Event, Overview, Page
from iris_exporter.errors import DecodeError
from iris_exporter.http.credentials import Credentials
from iris_exporter.logs import get_logger
from iris_exporter.settings import StreamSettings
from iris_exporter.streams.profile import IRIS
from iris_exporter.transports.base import Polled
from iris_exporter.transports.polling import Poller

WINDOW_EVENTS = 100
"""Events that are asked for again and again, where the overview has none."""
MOST_EVENTS = 1000
"""Events that are asked for when the newest ones are all new: the most that the protocol allows."""
MISSING_SECONDS = 60.0
"""A document that is not there is asked for again after this long."""
# A web application may answer with its page at any address that it does not know.
_NOT_THERE = frozenset({"not_found", "gone", "http_client_error", "not_json"})
_T = TypeVar("_T")

_log = get_logger(__name__).limited(5)


@dataclass(eq=False)
class Upstream:
    """Asks for the documents of one source. All methods raise TransportError, for an answer that is of no use, too."""

    settings: StreamSettings
    session: aiohttp.ClientSession
    clock: Clock
    stats: RelayStats
    _missing: dict[str, float] = field(default_factory=dict, init=False)
    """Documents beside the overview that the source has not, and when that was found out (monotonic)."""

    def __post_init__(self) -> None:
        self._dialect = IRIS.dialect(DEFAULT_LIMITS)
        credentials = Credentials(self.settings)
        self._poller = Poller(self.settings, self.session, credentials, self.clock, self._dialect)
        self._addresses = addresses(self.settings.url)

    def forget(self) -> None:
        """Take nothing for known: the next answers are whole ones, and all addresses are tried again."""
        self._poller.forget()
        self._missing.clear()
        self._addresses = addresses(self.settings.url)

    async def overview(self) -> Overview | None:
        """The whole state; None when it has not changed. The first address that has it is kept."""
        failures: list[Failure] = []
        for address in self._addresses:
            try:
                polled = await self._fetch(address)
            except TransportError as error:
                if error.failure.reason not in _NOT_THERE:
                    raise
                failures.append(error.failure)
                continue
            self._addresses = (address,)
            return None if polled.body is None else self._read(polled.body, self._dialect.decode_document)
        # "Not found" says least of what is wrong.
        raise TransportError(next((each for each in failures if each.reason != "not_found"), failures[0]))

    async def events(self, limit: int) -> tuple[Event, ...] | None:
        """The newest events; None when they have not changed, or the source has no such list."""
        found = await self._beside("events", f"limit={limit}")
        return None if found is None else found.events or ()

    async def anomalies(self) -> tuple[Anomaly, ...] | None:
        """The anomalies; None when they have not changed, or the source has no such list."""
        found = await self._beside("anomalies")
        return None if found is None else found.anomalies or ()

    async def page(self, after: str) -> Page | None:
        """The events after a position of the source; None when it cannot page."""
        address = self._dialect.page_address(self._addresses[0], after)
        if address is None:
            return None
        try:
            polled = await self._fetch(address, remember=False)
        except TransportError as error:
            if error.failure.reason in _NOT_THERE:
                return None
            raise
        return self._read(polled.body or b"[]", lambda body: self._dialect.decode_page(body, polled.headers))

    async def document(self, name: str, query: str) -> bytes | None:
        """Another document beside the overview, as JSON that was looked at; None when the source has none."""
        address = beside(self._addresses[0], name, query)
        if address is None:
            return None
        try:
            polled = await self._fetch(address, remember=False)
        except TransportError as error:
            if error.failure.reason in _NOT_THERE:
                return None
            raise
        body = polled.body or b""
        try:
            parse(body)
        except DecodeError as error:
            raise TransportError(Failure("decode", str(error))) from error
        return body

    async def _beside(self, name: str, query: str = "") -> Overview | None:
        address = beside(self._addresses[0], name, query)
        now = self.clock.monotonic()
        if address is None or now - self._missing.get(name, -math.inf) < MISSING_SECONDS:
            return None
        try:
            polled = await self._fetch(address)
        except TransportError as error:
            if error.failure.reason not in _NOT_THERE:
                raise
            self._missing[name] = now
            return None
        return None if polled.body is None else self._read(polled.body, self._dialect.decode_document)

    async def _fetch(self, address: str, *, remember: bool = True) -> Polled:
        self.stats.requests += 1
        polled = await self._poller.fetch(address, remember=remember)
        self.stats.not_modified += polled.body is None
        return polled

    def _read(self, body: bytes, decode: Callable[[bytes], _T]) -> _T:
        try:
            return decode(body)
        except DecodeError as error:
            self._poller.forget()
            raise TransportError(Failure("decode", str(error))) from error
        finally:
            for problem in self._dialect.problems.take():
                self.stats.problems[problem.reason] += problem.times
                _log.warning("source.field_unusable", reason=problem.reason, path=problem.path, times=problem.times)


def addresses(url: str) -> tuple[str, ...]:
    """Where the overview of a source is likely to be. An address without `/api/` is what stands before it."""
    parts = urlsplit(url)
    if "/api/" not in parts.path:
        url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/api/overview"))
    return IRIS.dialect(DEFAULT_LIMITS).snapshot_addresses(url)


def beside(overview: str, name: str, query: str = "") -> str | None:
    """Where another document is, beside the overview and with its query; None when that has an address of its own."""
    parts = urlsplit(overview)
    base, found, _ = parts.path.rpartition("/overview")
    if not found:
        return None
    return urlunsplit(parts._replace(path=f"{base}/{name}", query="&".join(filter(None, (parts.query, query)))))
