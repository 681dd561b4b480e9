"""Checks of files at load; few configurations name such a file, so what reads it is imported at its first use."""

from pathlib import Path

from iris_exporter.config import FileChecks
from iris_exporter.errors import ConfigError, Problem


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
