"""What belongs together in how a stream or a client identifies itself: headers, the key, certificates."""

from collections.abc import Iterator, Mapping
from typing import Any

from iris_exporter.core import requestheaders


def problems(values: Mapping[str, Any], key: str = "api-key-file") -> Iterator[tuple[str, str]]:
    """Yield option name and expectation for each given option of a stream or a client that does not fit the others.

    Args:
        values: By option name, without those that could not be read.
        key: The option that names the file with the key.
    """
    headers = values.get("headers") or ()
    if twice := requestheaders.repeated(headers):
        yield "headers", f"each name once, in whatever case (two are {twice})"
    if values.get(key) and requestheaders.has_authorization(headers):
        yield "headers", f"no Authorization, because {key} makes one"
    yield from _tls_problems(values)


def _tls_problems(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    authorities, certificate, key = (values.get(f"tls-{what}-file") for what in ("ca", "cert", "key"))
    if key and not certificate:
        yield "tls-key-file", "tls-cert-file beside it"
        return
    if not authorities and not certificate:
        return
    from iris_exporter.transports import tls  # here, because few need it

    try:
        tls.current(tls.Files(authorities, certificate, key))  # shared by streams with the same files
    except tls.UnusableFileError as error:
        option = {certificate: "tls-cert-file", key: "tls-key-file", authorities: "tls-ca-file"}[error.path]
        yield option, error.expected
