"""The shape of the messages of a mapping as types: what is read has a field, and all else is skipped by the parser.

All paths of a mapping are one tree. An object is a struct, a list below `[*]` a list, an object below `.*` a
dictionary, a list of which places are read an array-like struct. One place may be several of these in several kinds of
messages; a path that makes a type impossible is refused, and then its entry goes the patient way. A place that is
missing is None.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, Union

import msgspec

from iris_exporter.decoding.values import MAX_ID_CHARS
from iris_exporter.mapping.paths import Segment, Step, Wildcard

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
Getter = Callable[[list[Any]], list[Any]]

MAX_INDEX = 100
"""Lists of which a place further behind is read go the patient way: each place before it is a field."""


class Conflict(Exception):  # noqa: N818 (no error: another way is taken)
    """A path that does not fit to those before it."""


class Node:
    """One place: what is read there, and below.

    `is_read` for a text, number or boolean, `is_measured` where objects and lists are expected that nobody looks into,
    `is_typed` where a condition asks for the type, `is_time` for a time in ISO 8601, `is_id` for an id,
    `is_tested` where entries name the words that they want. `is_one_kind`
    says that all values are of one type, `is_short` that a text is never empty and no longer than an id may be. `words`
    are all that can stand there in a message that an entry takes.
    """

    __slots__ = (
        *("below", "empty", "getters", "is_id", "is_measured", "is_one_kind", "is_read", "is_short", "is_tested"),
        *("is_time", "is_typed", "struct", "words"),
    )

    def __init__(self) -> None:
        self.below: dict[Segment, Node] = {}
        self.is_read = self.is_measured = self.is_time = self.is_typed = self.is_id = False
        self.is_one_kind = self.is_short = self.is_tested = False
        self.words: frozenset[str] = frozenset()
        self.getters: dict[Segment, Getter] = {}
        self.struct: type | None = None
        self.empty: Any = None

    def at(self, segments: Sequence[Segment]) -> "Node":
        """The node at the end of a path, which is made if need be. Raises Conflict."""
        node = self
        for segment in segments:
            found = node.below.get(segment)
            if found is None:
                node._check(segment)
                found = node.below[segment] = Node()
            node = found
        return node

    def _check(self, segment: Segment) -> None:
        keys = {_kind(each) for each in (*self.below, segment)}
        if isinstance(segment, int) and not 0 <= segment <= MAX_INDEX:
            raise Conflict
        if isinstance(segment, str) and not _can_be_renamed(segment):
            raise Conflict
        # A type may have one kind of object and one kind of list; two structs cannot be told from each other.
        for pair in ({str, Wildcard.VALUES}, {int, Wildcard.ELEMENTS}, {str, int}):
            if pair <= keys:
                raise Conflict

    @property
    def steps(self) -> list[Step]:
        """The keys or places that are read below, in the order of their fields."""
        return [segment for segment in self.below if not isinstance(segment, Wildcard)]

    def typed(self, *, is_root: bool = False) -> Any:
        """The type, and that of all below; None is one of them, but for the root. Raises Conflict."""
        steps = self.steps
        if self.is_time and not (self.is_read or self.is_measured or self.is_tested or self.is_id or self.below):
            return datetime | None
        if self.is_typed and any(isinstance(step, int) for step in steps):
            raise Conflict  # a struct would be taken for an object
        kinds: list[Any] = [None]
        if self.words:  # no text has to be made of them
            kinds.append(Literal.__getitem__(tuple(sorted(self.words))))
        is_tested = self.is_tested and not self.words
        self.is_short = self.is_id and not (self.is_read or self.is_measured or self.is_time or is_tested)
        if self.is_read or self.is_time or self.is_id or is_tested:
            kinds += [_Short if self.is_short else str, int, float, bool]
        if steps:
            kinds.append(self._struct(steps))
        if Wildcard.ELEMENTS in self.below:
            kinds.append(list.__class_getitem__(self.below[Wildcard.ELEMENTS].typed()))
        if Wildcard.VALUES in self.below:
            kinds.append(dict.__class_getitem__((str, self.below[Wildcard.VALUES].typed())))
        if self.is_measured:
            kinds += [str] if not (self.is_read or self.is_time or self.is_id or is_tested) else []
            if not any(isinstance(step, str) for step in steps) and Wildcard.VALUES not in self.below:
                kinds.append(dict[str, msgspec.Raw])
            if not any(isinstance(step, int) for step in steps) and Wildcard.ELEMENTS not in self.below:
                kinds.append(list[msgspec.Raw])
        if is_root and len(kinds) > 1:
            kinds.remove(None)
        self.is_one_kind = len(kinds) == 1
        return Union[tuple(kinds)]  # noqa: UP007 (of a list)

    def _struct(self, steps: list[Step]) -> type:
        self.getters = {step: getter(step if isinstance(step, int) else number) for number, step in enumerate(steps)}
        if isinstance(steps[0], int):
            last = max(step for step in steps if isinstance(step, int))
            fields = [
                (field(place), self.below[place].typed() if place in self.below else msgspec.Raw, None)
                for place in range(last + 1)
            ]
            self.struct = msgspec.defstruct("List", fields, array_like=True, gc=False, eq=False)
        else:
            fields = [(field(number), self.below[step].typed(), None) for number, step in enumerate(steps)]
            names = {field(number): str(step) for number, step in enumerate(steps)}
            self.struct = msgspec.defstruct("Object", fields, rename=names, gc=False, eq=False)
        self.empty = self.struct()
        return self.struct


def field(number: int) -> str:
    """The name of a field."""
    return f"f{number}"


@cache
def getter(number: int) -> Getter:
    """Gives the column of a field; a comprehension takes a third of what `attrgetter` does."""
    made: Getter = eval(f"lambda rows: [row.f{number:d} for row in rows]")  # noqa: S307 (nothing but a number is in it)
    return made


def _kind(segment: Segment) -> Any:
    return segment if isinstance(segment, Wildcard) else type(segment)


def _can_be_renamed(name: str) -> bool:
    return name.isprintable() and not set(name) & {'"', "\\"}
