"""Rules for the options by which a stream or a client identifies itself: headers, the key, certificates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris_exporter.core import request_headers
from iris_exporter.errors import Problem

TlsCheck = Callable[[Path | None, Path | None, Path | None], tuple[Path, str] | None]
"""Looks into the files with authorities, certificate and key; returns the broken one and what is expected of it."""


@dataclass(frozen=True, slots=True)
class FileChecks:
    """Checks of what is in the files that options name.

    TLS and the web configuration are read by the rooms that use them, which import this one: whoever loads the
    configuration hands these functions in.
    """

    tls: TlsCheck
    web: Callable[[Path], list[Problem]]


def problems(
    values: Mapping[str, Any], tls: TlsCheck | None = None, key: str = "api-key-file"
) -> Iterator[tuple[str, str]]:
    """Yield option name and expectation for each given option of a stream or a client that does not fit the others.

    Args:
        values: By option name, without those that could not be read.
        tls: None leaves the files with certificates unread.
        key: The option that names the file with the key.
    """
    headers = values.get("headers") or ()
    if twice := request_headers.repeated(headers):
        yield "headers", f"each name once, in whatever case (two are {twice})"
    if values.get(key) and request_headers.has_authorization(headers):
        yield "headers", f"no Authorization, because {key} makes one"
    yield from _tls_problems(values, tls)


def _tls_problems(values: Mapping[str, Any], check: TlsCheck | None) -> Iterator[tuple[str, str]]:
    authorities, certificate, key = (values.get(f"tls-{what}-file") for what in ("ca", "cert", "key"))
    if key and not certificate:
        yield "tls-key-file", "tls-cert-file beside it"
        return
    if check is None or not (authorities or certificate):
        return
    if (broken := check(authorities, certificate, key)) is not None:
        path, expected = broken
        options = {certificate: "tls-cert-file", key: "tls-key-file", authorities: "tls-ca-file"}
        # SSLKEYLOGFILE may be the broken one, which no option names.
        yield options.get(path, "tls-ca-file" if authorities else "tls-cert-file"), expected
