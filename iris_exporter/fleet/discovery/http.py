"""Discovery from an HTTP endpoint in the form of Prometheus's http_sd."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp

from iris_exporter.config.yaml_tree import Scalar
from iris_exporter.core import stream_names
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.core.stream_names import DEFAULT_PATH, DEFAULT_SCHEME
from iris_exporter.errors import Problem
from iris_exporter.fleet.discovery.source import MAX_BYTES, Entry, Source
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.transports.polling import read_body

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_REQUEST_SECONDS = 10.0


@dataclass(slots=True)
class HttpDiscovery(Source):
    """An endpoint that answers a list of groups with `targets` and `labels`.

    A target is an address of a stream, or `host:port`. Labels that begin with `__iris_` are stream options with
    underscores in place of dashes (`__iris_name`, `__iris_protocol`); `__scheme__` and `__iris_path` complete a
    `host:port`. Without `__iris_name` the name is made from the address (`core.stream_names`).
    """

    name = "http"
    session: aiohttp.ClientSession

    async def run(self) -> None:
        """Ask at each interval."""
        client = self.settings.http
        requester, url = Requester(client, self.session, Credentials(client)), without_credentials(client.url)
        while True:
            try:
                groups = await self._ask(requester)
            except (TransportError, *LINK_ERRORS) as error:
                failure = failure_of(error)
                self.failed(url, failure, failure.listed_reason)
            else:
                await self.report_entries(_entries(groups, url))
            await self.clock.sleep(self.settings.http_interval_seconds)

    async def _ask(self, requester: Requester) -> list[object]:
        async with asyncio.timeout(_REQUEST_SECONDS):
            response = await requester.get(
                self.settings.http.url, {"Accept": "application/json", "Accept-Encoding": "gzip"}
            )
            async with response:
                if response.status != 200:
                    raise TransportError(from_status(response.status))
                content, _ = await read_body(response, MAX_BYTES)
        return _groups(content)


def _groups(content: bytes) -> list[object]:
    """The groups of an answer; numbers stay as they are written, as in a file."""
    try:
        groups = json.loads(content, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise TransportError(Failure("not_json", "the answer is no JSON")) from None
    if not isinstance(groups, list):
        raise TransportError(Failure("not_json", "the answer is no list of groups"))
    return groups


def _entries(groups: Iterable[object], url: str) -> Iterable[Entry]:
    for index, group in enumerate(groups):
        where = f"{url}[{index}]"
        targets = group.get("targets") if isinstance(group, Mapping) else None
        labels = group.get("labels") or {} if isinstance(group, Mapping) else {}
        if not isinstance(targets, list) or not isinstance(labels, Mapping):
            problem = Problem(where, "targets", "something else", "a list of targets, and labels with values")
            yield Entry(Scalar(None, 0), where, problems=[problem])
            continue
        options = {
            str(name).removeprefix("__iris_").replace("_", "-"): value
            for name, value in labels.items()
            if str(name).startswith("__iris_") and name != "__iris_path"
        }
        for target in targets:
            address = str(target)
            if "://" not in address:
                # In front of a query a path would become part of a value.
                path = "" if "?" in address else str(labels.get("__iris_path") or DEFAULT_PATH)
                address = f"{labels.get('__scheme__') or DEFAULT_SCHEME}://{address}{path}"
            entry = {"name": stream_names.from_address(address), **options, "url": address}
            yield Entry.of(entry, where)
