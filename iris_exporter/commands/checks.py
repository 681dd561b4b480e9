"""Checks at the start. Few configurations name such files, so what reads them is imported at its first use."""

from collections.abc import Mapping
from pathlib import Path

from iris_exporter.config import FileChecks
from iris_exporter.errors import ConfigError, Problem


def environment_problems(environment: Mapping[str, str]) -> list[Problem]:
    """What is wrong with variables that libraries read: they would fail later, and far from the cause.

    SSLKEYLOGFILE is opened with each TLS context, the first of which the HTTP client makes when it is imported.
    """
    path = environment.get("SSLKEYLOGFILE")
    if not path:
        return []
    try:
        with Path(path).open("ab"):
            return []
    except OSError as error:
        return [Problem("environment", "SSLKEYLOGFILE", repr(path), f"a file that can be written ({error.strerror})")]


def _tls(authorities: Path | None, certificate: Path | None, key: Path | None) -> tuple[Path, str] | None:
    from iris_exporter.http.tls import unusable_file

    return unusable_file(authorities, certificate, key)


def _web(path: Path) -> list[Problem]:
    from iris_exporter.web import config

    try:
        config.load(path)
    except ConfigError as error:
        return error.problems
    return []


FILE_CHECKS = FileChecks(tls=_tls, web=_web)
