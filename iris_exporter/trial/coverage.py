"""Which paths of a mapping found something in the messages, and which fields of the messages nobody reads."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from iris_exporter.decoding.json_text import parse
from iris_exporter.decoding.mapped.patient import expanded
from iris_exporter.decoding.mapped.pieces import pieces_of
from iris_exporter.decoding.mapped.places import Scope
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.inside import inside
from iris_exporter.mapping.metric_spec import Condition
from iris_exporter.mapping.paths import MISSING, Each, Path, Root, Segment, Step, Wildcard, find, written
from iris_exporter.mapping.spec import Entry, Format, Mapping, PartSpec

MAX_FIELDS = 1_000
"""Fields of one kind that are remembered; a document whose keys are names may have any number."""

Place = tuple[Step, ...]
"""Where something is in a message."""


@dataclass(frozen=True, slots=True)
class _Element:
    """An element of `each`: its place, that of the element around it, and the message's own for neither."""

    place: Place = ()
    parent: Place = ()
    outer: Place = ()  # of the last wildcard so far


@dataclass(slots=True)
class Coverage:
    """Take messages, then ask for `missed` and `unread`."""

    mapping: Mapping
    _found: dict[str, set[str]] = field(default_factory=dict)
    _unread: dict[str, Counter[str]] = field(default_factory=dict)

    def take(self, kind: str, text: bytes) -> None:
        """Note a message that the entry of a kind has taken."""
        entry = self._entry(kind)
        value = MISSING if entry is None or entry.text is not None else message_of(text, self.mapping.format)
        if entry is None or value is MISSING or value is None:
            return
        value = expanded(Scope(value), entry.json_text).message
        found, read, whole = self._found.setdefault(kind, set()), set[Place](), set[Place]()
        cursor = self.mapping.cursor
        for path in (*_own(entry), *inside((cursor.path, cursor.by) if cursor is not None else (), Path)):
            _follow(path, value, _Element(), found, read)
        for part in entry.parts:
            measured = set(_measured(part))
            for element in _elements(value, part.each):
                for path in inside(part, Path):
                    place = _follow(path, value, element, found, read)
                    if place is not None and path in measured:
                        whole.add(place)
        unread = self._unread.setdefault(kind, Counter())
        for place in leaves(value):
            if place not in read and not any(place[: len(each)] == each for each in whole):
                shape = _shape(place, entry)
                if len(unread) < MAX_FIELDS or shape in unread:
                    unread[shape] += 1

    def missed(self) -> dict[str, list[str]]:
        """Paths that found nothing in any message of their kind; kinds without a message are left out."""
        result = {}
        for kind, found in self._found.items():
            if (entry := self._entry(kind)) is not None:
                paths = dict.fromkeys(path.text for path in (*_own(entry), *inside(entry.parts, Path)))
                texts = [text for text in paths if text not in _may_be_absent(entry)]
                result[kind] = [text for text in texts if text not in found]
        return {kind: texts for kind, texts in result.items() if texts}

    def unread(self) -> dict[str, list[str]]:
        """Fields by kind that are in messages and that nothing reads, the commonest first."""
        return {kind: [text for text, _ in counts.most_common()] for kind, counts in self._unread.items() if counts}

    def _entry(self, kind: str) -> Entry | None:
        return next((entry for entry in self.mapping.entries if entry.kind == kind), None)


def message_of(text: bytes, form: Format) -> Any:
    """The JSON value of a message; MISSING where it has none."""
    piece = next(pieces_of(text, form), None)
    try:
        return MISSING if piece is None else parse(piece.json)
    except DecodeError:
        return MISSING


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the places of single values, and of lists and objects with nothing in them."""
    children: list[tuple[Step, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    if not children and (place or not isinstance(value, dict)):  # an empty message has no field
        yield place
    for step, inner in children:
        yield from leaves(inner, (*place, step))


def _may_be_absent(entry: Entry) -> set[str]:
    """Paths at which some condition accepts that nothing is there."""
    absent = (each for each in inside(entry, Condition) if None in (each.equals or ()) or each.exists is False)
    return {path.text for condition in absent for path in condition.path}


def _own(entry: Entry) -> Iterator[Path]:
    """What an entry reads of a message beside its parts."""
    return inside((entry.when, entry.json_text, entry.error), Path)


def _measured(part: PartSpec) -> Iterator[Path]:
    """Paths whose value is read as a whole, whatever is below."""
    for metric in part.metrics:
        if metric.value is not None and metric.value.length:
            yield from metric.value.path or ()
    if part.log is not None:
        yield from inside((part.log.body, part.log.attributes), Path)


def _follow(path: Path, message: Any, element: _Element, found: set[str], read: set[Place]) -> Place | None:
    """Note whether a path leads anywhere, and return where; None for nowhere, and for what is not in the message."""
    if path.root in (Root.META, Root.KEY):
        found.add(path.text)
        return None
    begin = {Root.ELEMENT: element.place, Root.PARENT: element.parent}.get(path.root, ())
    place = _absolute(message, (*begin, *path.steps))
    if place is not None:
        found.add(path.text)
        read.add(place)
    return place


def _absolute(message: Any, steps: Place) -> Place | None:
    """The place with indices from the beginning of lists; None where nothing is."""
    place: list[Step] = []
    for step in steps:
        inner = find(message, (step,))
        if inner is MISSING:
            return None
        place.append(step + len(message) if isinstance(step, int) and step < 0 else step)
        message = inner
    return tuple(place)


def _elements(message: Any, each: Each | None) -> list[_Element]:
    """The elements that a part goes through; the message alone where it has no `each`."""
    elements = [_Element()]
    for segment in () if each is None else each.segments:
        elements = [inner for element in elements for inner in _below(message, element, segment)]
    return elements


def _below(message: Any, element: _Element, segment: Segment) -> Iterator[_Element]:
    value = find(message, element.place)
    if isinstance(segment, Wildcard):
        keys: Sequence[Step] = ()
        if segment is Wildcard.ELEMENTS and isinstance(value, list):
            keys = range(len(value))
        elif segment is Wildcard.VALUES and isinstance(value, dict):
            keys = list(value)
        for key in keys:
            place = (*element.place, key)
            yield _Element(place, element.outer, place)
    elif find(value, (segment,)) is not MISSING:
        yield _Element((*element.place, segment), element.parent, element.outer)


def _shape(place: Place, entry: Entry) -> str:
    """A place as people write it, any index for one, and any key where `each` goes through keys."""
    segments: list[Segment] = [Wildcard.ELEMENTS if isinstance(step, int) else step for step in place]
    for part in entry.parts:
        for index, segment in enumerate(part.each.segments if part.each is not None else ()):
            if segment is Wildcard.VALUES and index < len(segments) and isinstance(segments[index], str):
                segments[index] = Wildcard.VALUES
    return written(Root.MESSAGE, tuple(segments))
