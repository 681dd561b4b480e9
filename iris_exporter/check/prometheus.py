"""What a Prometheus has of this exporter: is it scraped, is each stream there, are the rules loaded and evaluated.

Source: Prometheus, HTTP API: /api/v1/query, /api/v1/rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from iris_exporter.check.findings import Found
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.http.resolver import connect_timeout
from iris_exporter.http.session import open_session
from iris_exporter.instruments import catalog
from iris_exporter.settings import ClientSettings
from iris_exporter.transports.polling import read_body

GROUP = "iris-"
"""What the names of the groups in alerts/iris.rules.yaml begin with."""
_SECONDS = 10.0
_MAX_BYTES = 16 * 1024 * 1024
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}


class _Series(msgspec.Struct):
    metric: dict[str, str]


class Vector(msgspec.Struct):
    """The data of an answer to a query."""

    result: list[_Series]


class _Rule(msgspec.Struct):
    name: str
    health: str = ""


class _Group(msgspec.Struct):
    name: str
    rules: list[_Rule]


class Rules(msgspec.Struct):
    """The data of an answer to what rules there are."""

    groups: list[_Group]


class _Answer(msgspec.Struct):
    data: dict[str, Any]


Data = TypeVar("Data", Vector, Rules)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a Prometheus says: how many exporters it has, the values of `iris_up` by stream, and our rules."""

    exporters: int
    streams: frozenset[str]
    rules: int
    failing: tuple[str, ...]


async def examine_prometheus(url: str, streams: Sequence[str]) -> list[Found]:
    """Ask the Prometheus at `url` about this exporter's streams; an empty list is a healthy one."""
    base, settings = url.rstrip("/"), ClientSettings("prometheus", url)
    try:
        async with open_session() as session:
            requester = Requester(settings, session, Credentials(settings))
            exporters = await _ask(requester, f"{base}/api/v1/query?query={quote(catalog.BUILD_INFO.name)}", Vector)
            up = await _ask(requester, f"{base}/api/v1/query?query={quote(catalog.UP.name)}", Vector)
            rules = await _ask(requester, f"{base}/api/v1/rules", Rules)
    except TransportError as error:
        return [Found("prometheus_unreachable", str(error.failure))]
    return list(findings(read_answers(exporters, up, rules), streams))


def read_answers(exporters: Vector, up: Vector, rules: Rules) -> Answers:
    """The answers as values, with our rules alone."""
    owned = [rule for group in rules.groups if group.name.startswith(GROUP) for rule in group.rules]
    return Answers(
        exporters=len(exporters.result),
        streams=frozenset(each.metric.get("stream", "") for each in up.result),
        rules=len(owned),
        failing=tuple(rule.name[:80] for rule in owned if rule.health == "err"),
    )


def findings(answers: Answers, streams: Sequence[str]) -> Iterator[Found]:
    """What is wrong with them."""
    if not answers.exporters:
        yield Found("prometheus_not_scraped")
    elif missing := [name for name in streams if name not in answers.streams]:
        yield Found("prometheus_stream_missing", ", ".join(missing[:10]))
    if not answers.rules:
        yield Found("prometheus_no_rules")
    elif answers.failing:
        yield Found("prometheus_rules_fail", ", ".join(answers.failing[:5]))


async def _ask(requester: Requester, url: str, form: type[Data]) -> Data:
    """The data of an answer. Raises TransportError, also for what has another form."""
    try:
        async with connect_timeout(_SECONDS):
            response = await requester.get(url, _HEADERS)
        try:
            if response.status != 200:
                raise TransportError(from_status(response.status))
            body, _ = await read_body(response, _MAX_BYTES)
        finally:
            response.close()
    except LINK_ERRORS as error:
        raise TransportError(failure_of(error)) from None
    try:
        return msgspec.convert(msgspec.json.decode(body, type=_Answer).data, form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise TransportError(Failure("not_json", "this is no answer of Prometheus")) from None
