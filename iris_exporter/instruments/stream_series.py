"""The series of one stream: what the catalogue's declarations give for it, of its projects and events."""

from collections.abc import Generator, Sequence

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments.entities import EntitySeries
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.instruments.text import exemplar_text
from iris_exporter.instruments.view import StreamView
from iris_exporter.model.snapshot import Snapshot


class StreamSeries:
    """Writes the metrics of one stream, and caches each text together with the value that it shows."""

    def __init__(self, instruments: StreamInstruments) -> None:
        self.instruments = instruments
        self._entities = EntitySeries(instruments)

    def view(self, status: LinkStatus, snapshot: Snapshot, *, entities: bool) -> Generator[bytes, None, StreamView]:
        """The stream as its metrics see it, after empty pieces. `entities` off leaves out the expensive part."""
        if not entities:
            return StreamView(status, snapshot)
        found = self._entities.unchanged(snapshot)
        if found is None:
            found = yield from self._entities.view(snapshot)
        return StreamView(status, snapshot, found)

    def event_lines(self, view: StreamView, *, exemplars: bool) -> Sequence[bytes]:
        """The lines of the event counter."""
        if exemplars and self.instruments.event_exemplars:
            return self._with_exemplars(view)
        return view.entities.event_lines

    def _with_exemplars(self, view: StreamView) -> list[bytes]:
        """The lines of the event counter with exemplars, which are found by the same labels."""
        found = map(self.instruments.event_exemplars.get, view.entities.event_keys)
        return [
            line if exemplar is None else line[:-1] + exemplar_text(exemplar).encode() + b"\n"
            for line, exemplar in zip(view.entities.event_lines, found, strict=True)
        ]
