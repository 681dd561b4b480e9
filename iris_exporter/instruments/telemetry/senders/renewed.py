"""A sender that is made anew when a certificate, a key or the authorities in its files have changed."""

from collections.abc import Callable

from iris_exporter.instruments.telemetry.senders.base import Answer, Sender
from iris_exporter.logs import get_logger
from iris_exporter.transports import tls

_log = get_logger("otlp").limited(per_minute=6)


class RenewedSender:
    """Looks at the files before each batch. What cannot be used leaves the sender that there is in use.

    `make` raises `tls.UnusableFileError` for files that cannot be used; the first time, `send` does too.
    """

    def __init__(self, signal: str, files: tls.Files, make: Callable[[], Sender]) -> None:
        self._signal = signal
        self._files = files
        self._make = make
        self._sender: Sender | None = None
        self._stamps: tuple[tls.Stamp | None, ...] = ()

    def send(self, body: bytes, count: int, timeout_seconds: float) -> Answer:
        """See `Sender.send`."""
        return self._current().send(body, count, timeout_seconds)

    def _current(self) -> Sender:
        before = self._sender
        try:
            stamps = tls.stamps(self._files)
            if before is not None and stamps == self._stamps:
                return before
            sender = self._make()
        except (tls.UnusableFileError, OSError) as error:
            if before is None:
                raise
            # Half of a rotation: it is looked at again with the next batch.
            _log.warning("otlp.certificates_unusable", signal=self._signal, reason=str(error))
            return before
        self._sender, self._stamps = sender, stamps
        if before is not None:
            before.close()
            _log.info("otlp.certificates_renewed", signal=self._signal)
        return sender

    def close(self) -> None:
        """See `Sender.close`."""
        if self._sender is not None:
            self._sender.close()
