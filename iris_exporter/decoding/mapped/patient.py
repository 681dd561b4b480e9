"""The patient way: one message at a time, on plain JSON values, noting what is left out.

What it gives for a message is the meaning of a mapping; the fast way gives the same, or leaves the message to this one.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from iris_exporter.core.positions import Outcome
from iris_exporter.decoding import values as plain_values
from iris_exporter.decoding.elements import MappedBatch
from iris_exporter.decoding.json_text import parse
from iris_exporter.decoding.mapped import values
from iris_exporter.decoding.mapped.conditions import holds
from iris_exporter.decoding.mapped.parts import PartReader
from iris_exporter.decoding.mapped.pieces import Piece
from iris_exporter.decoding.mapped.places import Scope, fits, kinds_of_steps
from iris_exporter.decoding.mapped.tally import MappingProblem, Tally
from iris_exporter.decoding.messages import Message, Ping, Pong, Resumed, Unknown, UpstreamError
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.paths import MISSING, Path, Paths, Root, Step, find
from iris_exporter.mapping.spec import Condition, Conditions, Entry, Mapping, Order, Role

OTHER = "other"
"""The `message_type` of messages that no entry takes."""


class EntryReader:
    """One entry: which messages it takes, and its parts. `first_part` is the number of its first part."""

    def __init__(self, entry: Entry, parts: Sequence[PartReader]) -> None:
        self.entry = entry
        self.parts = parts
        self.steps = kinds_of_steps(entry)
        self.deep = tuple(condition for condition in entry.when if _goes_through(condition, entry.json_text))
        self.flat = tuple(condition for condition in entry.when if condition not in self.deep)

    def taken(self, scope: Scope, text: bytes) -> Scope | None:
        """The message as the paths of the entry see it; None when the entry does not take it.

        `scope.message` is MISSING where `text` is no JSON.
        """
        entry = self.entry
        if entry.events and scope.event not in entry.events:
            return None
        if entry.text is not None:
            return scope if text == entry.text.encode() else None
        if scope.message is MISSING or not fits(self.steps, scope.message) or not all_hold(self.flat, scope):
            return None
        if entry.json_text:
            scope = expanded(scope, entry.json_text)
        return scope if all_hold(self.deep, scope) else None


class Patient:
    """Reads messages of one mapping. `in_history` is for whoever knows of connections to set."""

    def __init__(self, mapping: Mapping, tally: Tally, *, of_snapshot: bool = False) -> None:
        entries = mapping.entries
        first = 0
        self._snapshot = mapping.snapshot if of_snapshot else None
        if self._snapshot is not None:
            first, entries = sum(len(entry.parts) for entry in entries), self._snapshot.entries
        numbers = itertools.count(first)
        self.entries = [EntryReader(entry, PartReader.of(entry, numbers, mapping, tally)) for entry in entries]
        self.stream = ""
        self.in_history = False
        self._ends = frozenset(text.encode() for text in mapping.planned_end.texts)
        self._invalid = () if mapping.cursor is None else mapping.cursor.invalid.when
        self._mapping = mapping
        self._tally = tally

    def read(self, piece: Piece) -> Iterator[Message | DecodeError]:
        """The messages of a piece; batches are among them."""
        if piece.text in self._ends:
            self._tally.has_ended = True
            return
        error = None
        scope = Scope(MISSING, piece.event, piece.id, self.stream)
        try:
            scope.message = parse(piece.json)
        except DecodeError as found:
            error = found
        for reader in self.entries:
            if (taken := reader.taken(scope, piece.text)) is not None:
                yield from self._read_as(reader, taken)
                return
        if error is not None:
            yield error
            return
        self._note_history(scope)
        yield from self._position_alone(OTHER, scope)
        yield from self._refusal(scope)
        if self._mapping.unmatched_is_error:
            yield DecodeError("unknown_shape", "$", "no entry of the mapping takes the message")
        else:
            self._tally.messages[OTHER] += 1
            yield Unknown(OTHER)

    def _read_as(self, reader: EntryReader, scope: Scope) -> Iterator[Message]:
        entry = reader.entry
        self._tally.messages[entry.kind] += 1
        if scope.message is MISSING:
            scope.message = None  # an entry of a text has no paths
        self._note_history(scope)
        if entry.reply is not None:
            self._tally.reply = entry.reply
        if entry.role is Role.END:
            self._tally.has_ended = True
        for path in scope.broken:
            self._tally.problems[MappingProblem(entry.kind, "", "not_json", path.text)] += 1
        if self._snapshot is not None and self._snapshot.cursor is not None and entry.role is not Role.ERROR:
            yield from self._standing(entry.kind, self._snapshot.cursor, scope)
        if entry.role not in (Role.EVENT, Role.STATE):
            yield from self._position_alone(entry.kind, scope)
            yield from self._refusal(scope)
            yield sign(entry, scope)
        elif not reader.parts:
            yield from self._position_alone(entry.kind, scope, is_data=True)
        else:
            position = self._position(entry.kind, scope)
            for number, part in enumerate(reader.parts):
                batch = part.read(scope, is_history=self.in_history)
                if number == 0 and position is not None:
                    batch.positions, batch.position_keys = (position[0],), position[1]
                    batch.elements_each = None if batch.count == 1 else (batch.count,)
                yield batch

    def _note_history(self, scope: Scope) -> None:
        if self.in_history and self._mapping.history is not None and all_hold(self._mapping.history, scope):
            self.in_history = False

    # The position

    def _refusal(self, scope: Scope) -> Iterator[UpstreamError]:
        """The source says that the cursor is too old."""
        if self._invalid and all_hold(self._invalid, scope):
            yield UpstreamError("", "the source does not go on from the cursor", reason="position_refused")

    def _position(self, kind: str, scope: Scope) -> tuple[str, Sequence[str] | None] | None:
        """The cursor after a message, and its key where there is one for each."""
        # Events before the cursor of a document may still be on their way: it must not move that of the stream.
        spec = None if self._snapshot is not None else self._mapping.cursor
        if spec is None or spec.is_last_event_id or not all_hold(spec.when, scope):
            return None
        raw = scope.at(spec.path)
        try:
            position = values.cursor(spec.order, raw)
            key = None if spec.by is None else values.identity([scope.first(spec.by)])
        except UnusableValueError:
            self._tally.problems[MappingProblem(kind, "", "cursor", spec.path.text)] += 1
            return None
        if position is None or (spec.by is not None and key is None):
            return None
        return position, None if key is None else (key,)

    def _standing(self, kind: str, path: Path, scope: Scope) -> Iterator[MappedBatch]:
        """The position that a document beside the stream stands for."""
        order = Order.OPAQUE if self._mapping.cursor is None else self._mapping.cursor.order
        try:
            position = values.cursor(order, scope.at(path))
        except UnusableValueError:
            self._tally.problems[MappingProblem(kind, "", "cursor", path.text)] += 1
            return
        if position is not None:
            yield MappedBatch(kind, -1, 0, elements_each=(0,), stands_for=position, is_data=False)

    def _position_alone(self, kind: str, scope: Scope, *, is_data: bool = False) -> Iterator[MappedBatch]:
        position = self._position(kind, scope)
        if position is not None or is_data:
            yield MappedBatch(
                kind,
                -1,
                0,
                positions=() if position is None else (position[0],),
                position_keys=None if position is None else position[1],
                elements_each=(0,),
                is_data=is_data,
            )


def sign(entry: Entry, scope: Scope) -> Message:
    """What a message without data says."""
    match entry.role:
        case Role.HEARTBEAT:
            return Ping()
        case Role.PONG:
            return Pong()
        case Role.RESUMED:
            return Resumed(Outcome.FULL)
        case Role.ERROR:
            return error_of(entry, scope)
    return Unknown(entry.kind)


def error_of(entry: Entry, scope: Scope) -> UpstreamError:
    """The error that a message of the source reports."""
    spec = entry.error
    if spec is None:
        return UpstreamError("", reason="")

    def text(paths: Paths | None, limit: int) -> str:
        try:
            return (values.text_of(None if paths is None else scope.first(paths)) or "")[:limit]
        except UnusableValueError:
            return ""

    try:
        wait = None if spec.retry_after is None else plain_values.count(scope.first(spec.retry_after))
    except UnusableValueError:
        wait = None
    code = text(spec.code, plain_values.MAX_CODE_CHARS)
    return UpstreamError(code, text(spec.message, plain_values.MAX_REPORT_CHARS), wait, spec.reason)


def all_hold(conditions: Conditions, scope: Scope) -> bool:
    """Whether all conditions hold."""
    return all(holds(condition, scope.first(condition.path)) for condition in conditions)


# JSON within JSON


def expanded(scope: Scope, places: Sequence[Path]) -> Scope:
    """The message with the JSON that texts at these places hold, null for a text that is none; others stay."""
    inner = Scope(scope.message, scope.event, scope.id, scope.stream)
    for path in places:
        text = find(inner.message, path.steps)
        if isinstance(text, str):
            try:
                value = parse(text.encode("utf-8", "surrogatepass"))
            except DecodeError:
                value = None
                inner.broken += (path,)
            inner.message = _with(inner.message, path.steps, value)
    return inner


def _with(whole: Any, steps: Sequence[Step], value: Any) -> Any:
    """A copy with another value at a place that is there."""
    if not steps:
        return value
    changed = whole.copy()
    changed[steps[0]] = _with(whole[steps[0]], steps[1:], value)
    return changed


def _goes_through(condition: Condition, places: Sequence[Path]) -> bool:
    return any(
        path.root is Root.MESSAGE and path.steps[: len(place.steps)] == place.steps
        for path in condition.path
        for place in places
    )
