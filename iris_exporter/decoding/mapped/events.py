"""What a part's `log` and `trace` make of an element: an event, as IRIS has them, for whoever logs and traces events.

Both ways of decoding collect the values at `EventMaker.paths`, and it is made of them when somebody wants it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from iris_exporter.decoding.json_text import encode
from iris_exporter.decoding.mapped import values
from iris_exporter.decoding.mapped.columns import SCALARS
from iris_exporter.decoding.mapped.places import paths_of_events
from iris_exporter.decoding.messages import Event, MappedEvent
from iris_exporter.decoding.trace_context import valid
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.mapping.spec import PartSpec

MAX_SEVERITY_CHARS = 50
_LARGEST_INT = 2**63 - 1


class EventMaker:
    """Makes the events of one part's elements, of the kind `kind`, for the mapping `mapping`.

    `paths` are those whose values it needs. What is no text, number or boolean there has to be made plain by `plain`.
    """

    def __init__(self, spec: PartSpec, kind: str, mapping: str) -> None:
        self._kind, self._mapping = kind, mapping
        self._log = log = spec.log
        self._severity = None if log is None else log.severity
        self._has_path = self._severity is not None and self._severity.path is not None
        self._first = 0 if spec.trace is None else 1  # the place of the body
        self.paths = tuple(paths_of_events(spec))

    @classmethod
    def of(cls, spec: PartSpec, kind: str, mapping: str) -> "EventMaker | None":
        """That of a part; None for one that wants neither log records nor spans."""
        return None if spec.log is None and spec.trace is None else cls(spec, kind, mapping)

    def plain(self, place: int, raw: object) -> Any:
        """A value of any kind as a plain one: an object or a list as JSON, in `msgspec.Raw`.

        Raises:
            UnusableValueError: `wrong_type`, where only text can stand; `not_a_traceparent`, `too_deep`.
        """
        if place < self._first:
            return self._traceparent(raw)
        if type(raw) in SCALARS:
            return raw
        if self._has_path and place == self._first + 1:
            raise UnusableValueError("wrong_type")
        try:
            return msgspec.Raw(encode(raw))
        except RecursionError:
            raise UnusableValueError("too_deep") from None

    @staticmethod
    def _traceparent(raw: object) -> str | None:
        if raw is None or raw == "":
            return None
        if not isinstance(raw, str):
            raise UnusableValueError("wrong_type")
        if not (found := valid(raw)):
            raise UnusableValueError("not_a_traceparent")
        return found

    def odd_rows(self, columns: Sequence[Sequence[Any]]) -> list[int]:
        """The rows whose values have to be made plain."""
        odd: set[int] = set()
        for place, column in enumerate(columns):
            if place < self._first:
                odd.update(row for row, raw in enumerate(column) if raw is not None and valid(raw) != raw)
            elif not set(map(type, column)) <= SCALARS:
                odd.update(row for row, raw in enumerate(column) if type(raw) not in SCALARS)
        return sorted(odd)

    def make(self, raws: tuple[Any, ...], event_id: str | None, time: float | datetime | None) -> MappedEvent:
        """The event of an element, from plain values."""
        severity, message, metadata = _INFO, "", b"{}"
        if self._log is not None:
            rest = raws[self._first :]
            names = [name for name, _ in self._log.attributes]
            attributes = zip(names, rest[1 + self._has_path :], strict=True)
            severity, message = self._severity_of(rest), _text(rest[0])
            metadata = encode({name: _value(raw) for name, raw in attributes if raw is not None})
        return MappedEvent(
            event_id or "",
            time.timestamp() if isinstance(time, datetime) else time,
            event_type=self._kind,
            severity=severity,
            message=message,
            metadata=metadata,
            traceparent=(raws[0] or "") if self._first else "",
            mapping=self._mapping,
            is_logged=self._log is not None,
        )

    def _severity_of(self, rest: Sequence[Any]) -> str:
        """The word for how bad it is, in lower case; that of an ordinary event where the element has none."""
        if self._severity is None:
            return _INFO
        try:
            text, _ = values.label(self._severity, rest[1] if self._has_path else None, MAX_SEVERITY_CHARS)
        except UnusableValueError:  # not finite
            return _INFO
        return text.lower() or _INFO


_INFO: str = Event("").severity


def _text(raw: Any) -> str:
    """A text as it is, anything else as JSON; empty for nothing."""
    if raw is None or isinstance(raw, str):
        return raw or ""
    return (bytes(raw) if isinstance(raw, msgspec.Raw) else encode(_value(raw))).decode()


def _value(raw: Any) -> Any:
    """A value that the JSON of a record can have: a number that no 64 bits hold is a double, or else a text."""
    if type(raw) is int and abs(raw) > _LARGEST_INT:
        try:
            return float(raw)
        except OverflowError:
            return str(raw)
    return repr(raw) if type(raw) is float and raw - raw != 0 else raw
