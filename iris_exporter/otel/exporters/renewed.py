"""An exporter that is made anew when a certificate, a key or the authorities in its files have changed."""

from collections.abc import Callable, Sequence
from typing import Any

from iris_exporter.http import tls
from iris_exporter.logs import get_logger
from iris_exporter.otel.exporters.base import Answer, Exporter

_log = get_logger("otlp").limited(per_minute=6)


class RenewedExporter:
    """Looks at the files before each batch. What cannot be used leaves the exporter that there is in use.

    `make` raises `tls.UnusableFileError` for files that cannot be used; the first time, `export` does too.
    """

    def __init__(self, signal: str, files: tls.Files, make: Callable[[], Exporter]) -> None:
        self._signal = signal
        self._files = files
        self._make = make
        self._exporter: Exporter | None = None
        self._stamps: tuple[tls.Stamp | None, ...] = ()

    def export(self, batch: Sequence[Any], timeout_seconds: float) -> Answer:
        """See `Exporter.export`."""
        return self._current().export(batch, timeout_seconds)

    def _current(self) -> Exporter:
        before = self._exporter
        try:
            stamps = tls.stamps(self._files)
            if before is not None and stamps == self._stamps:
                return before
            exporter = self._make()
        except (tls.UnusableFileError, OSError) as error:
            if before is None:
                raise
            # Half of a rotation: it is looked at again with the next batch.
            _log.warning("otlp.certificates_unusable", signal=self._signal, reason=str(error))
            return before
        self._exporter, self._stamps = exporter, stamps
        if before is not None:
            before.close()
            _log.info("otlp.certificates_renewed", signal=self._signal)
        return exporter

    def close(self) -> None:
        """See `Exporter.close`."""
        if self._exporter is not None:
            self._exporter.close()
