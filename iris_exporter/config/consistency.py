"""What has to fit together in one stream: durations in pairs, the address and the protocol, credentials."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from iris_exporter.config import credentials
from iris_exporter.config.credentials import TlsCheck
from iris_exporter.config.options import STREAM_OPTIONS

_PAIRS = (("reconnect-initial", "reconnect-max", True), ("heartbeat-interval", "heartbeat-timeout", False))


def problems(
    values: Mapping[str, Any], given: Container[str], tls: TlsCheck | None = None
) -> Iterator[tuple[str, str]]:
    """Yield option name and expectation for each option of a stream that does not fit the others.

    Args:
        values: By option name, without those that could not be read.
        given: The options that are not defaults of ours; of two that do not fit, the complaint goes to one of these.
        tls: None leaves the files with certificates unread.
    """
    yield from _pairs(values, given)
    url, protocol = values.get("url"), values.get("protocol")
    if url is not None and protocol in {"sse", "poll"} and url.lower().startswith("ws"):
        yield "url", f"an http:// or https:// URL, because protocol is {protocol}"
    yield from credentials.problems(values, tls)


def _pairs(values: Mapping[str, Any], given: Container[str]) -> Iterator[tuple[str, str]]:
    for lower, upper, may_be_equal in _PAIRS:
        low, high = values.get(lower), values.get(upper)
        if low is None or high is None or low < high or (may_be_equal and low == high):
            continue
        name, relation, other = (lower, "at most", upper) if lower in given else (upper, "at least", lower)
        if not may_be_equal:
            relation = "less than" if name == lower else "more than"
        yield name, f"{relation} {other}, which is {STREAM_OPTIONS[other].kind.write(values[other])}"
