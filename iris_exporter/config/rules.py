"""What has to fit together in one stream or client: durations in pairs, the address and the protocol, credentials."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iris_exporter.config import mappings
from iris_exporter.config.options import STREAM_OPTIONS
from iris_exporter.core import request_headers
from iris_exporter.errors import Problem

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

TlsCheck = Callable[[Path | None, Path | None, Path | None], tuple[Path, str] | None]
"""Reads the files with authorities, certificate and key; returns the broken one and what is expected of it."""

_PAIRS = (("reconnect-initial", "reconnect-max", True), ("heartbeat-interval", "heartbeat-timeout", False))


@dataclass(frozen=True, slots=True)
class FileChecks:
    """Checks of what is in the files that options name.

    TLS and the web configuration are read by the rooms that use them, which import this one: whoever loads the
    configuration passes these functions in.
    """

    tls: TlsCheck
    web: Callable[[Path], list[Problem]]


def stream_problems(
    values: Mapping[str, Any],
    given: Container[str],
    tls: TlsCheck | None = None,
    mapped: "spec.Mapping | None" = None,
) -> Iterator[tuple[str, str]]:
    """Yield option name and expectation for each option of a stream that does not fit the others.

    Args:
        values: By option name, without those that could not be read.
        given: The options that are not defaults of ours; of two that do not fit, the complaint goes to one of these.
        tls: None leaves the files with certificates unread.
        mapped: The mapping of the stream; None for IRIS, and for one that could not be read.
    """
    yield from mappings.stream_problems(values, given, mapped)
    for lower, upper, may_be_equal in _PAIRS:
        low, high = values.get(lower), values.get(upper)
        if low is None or high is None or low < high or (may_be_equal and low == high):
            continue
        name, other = (lower, upper) if lower in given else (upper, lower)
        relations = ("at most", "at least") if may_be_equal else ("less than", "more than")
        relation = relations[name == upper]
        yield name, f"{relation} {other}, which is {STREAM_OPTIONS[other].type.write(values[other])}"
    url, protocol = values.get("url"), values.get("protocol")
    if url is not None and protocol in {"sse", "poll"} and url.lower().startswith("ws"):
        yield "url", f"an http:// or https:// URL, because protocol is {protocol}"
    channels = values.get("channels") or ()
    if len(channels) > 1 and "auto" in channels:
        yield "channels", "auto alone, or channels by their names"
    yield from client_problems(values, tls)


def client_problems(
    values: Mapping[str, Any], tls: TlsCheck | None = None, key: str = "api-key-file"
) -> Iterator[tuple[str, str]]:
    """Yield the same for the options by which a stream or a client identifies itself; `key` names the key's file."""
    headers = values.get("headers") or ()
    if twice := request_headers.repeated(headers):
        yield "headers", f"each name once, in whatever case (two are {twice})"
    if values.get(key) and request_headers.has_authorization(headers):
        yield "headers", f"no Authorization, because {key} makes one"
    authorities, certificate, private_key = (values.get(f"tls-{what}-file") for what in ("ca", "cert", "key"))
    if private_key and not certificate:
        yield "tls-key-file", "tls-cert-file beside it"
        return
    files = (authorities, certificate, private_key)
    if tls is not None and (authorities or certificate) and (broken := tls(*files)) is not None:
        path, expected = broken
        options = {certificate: "tls-cert-file", private_key: "tls-key-file", authorities: "tls-ca-file"}
        # SSLKEYLOGFILE may be the broken one, which no option names.
        yield options.get(path, "tls-ca-file" if authorities else "tls-cert-file"), expected
