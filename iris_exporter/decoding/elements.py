"""What a mapping finds in messages, as columns: everything that can fail has happened.

A dialect with a mapping makes these, and the state of a mapping takes them. They stand beside `messages`, since the
model knows no dialect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeGuard, overload

from typing_extensions import override

from iris_exporter.decoding.messages import Elements, MappedEvent, UnmadeEvents

LabelValues = tuple[str, ...]
"""The values of a metric's labels, in the order of `Mapping.metrics`."""


Times = Sequence[float | None] | Sequence[datetime]
"""When elements happened: all as they were decoded, with an offset; or in Unix seconds, None for those without one."""


class LazyKeys(Sequence[LabelValues]):
    """Label values of so many elements, made when somebody asks for one: few need more than how many there are."""

    __slots__ = ("_count", "_keys", "_make")

    def __init__(self, make: Callable[[], list[LabelValues]], count: int) -> None:
        self._make = make
        self._count = count
        self._keys: list[LabelValues] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> LabelValues: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[LabelValues]: ...
    @override
    def __getitem__(self, place: int | slice) -> LabelValues | Sequence[LabelValues]:
        if self._keys is None:
            self._keys = self._make()
        return self._keys[place]


@dataclass(slots=True)
class Samples:
    """Samples of one metric, in the order of arrival.

    `rows` says to which element of the batch each belongs, rising; None: one for each element. `values` are numbers, of
    a stateset the state that holds (None for none of its states); None: 1 each. Where `scale` is not None they are
    Unix times, whose age on arrival is the value, times the first of the two numbers, plus the second. `counts` says of
    some samples without values how many have which key, in the order of the first ones.
    """

    metric: str
    keys: Sequence[LabelValues]
    values: list[float] | list[str | None] | None = None
    rows: list[int] | None = None
    scale: tuple[float, float] | None = None
    counts: Mapping[LabelValues, int] | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Series of one metric that go: those that have these values at these places of their labels."""

    metric: str
    places: tuple[int, ...]
    values: LabelValues


class UnmadeEvent(NamedTuple):
    """What a log record or a span of one element is made of: `make` takes the rest.

    `raws` are the values at the paths of the mapping; `id` is None where the element has none.
    """

    make: Callable[[tuple[Any, ...], str | None, float | datetime | None], MappedEvent]
    raws: tuple[Any, ...]
    id: str | None
    time: float | datetime | None

    def made(self) -> MappedEvent:
        """The event; another object each time."""
        return self.make(self.raws, self.id, self.time)


class ElementEvents(UnmadeEvents):
    """The events of new elements."""

    __slots__ = ("unmade",)

    def __init__(self, unmade: Sequence[UnmadeEvent]) -> None:
        self.unmade = unmade

    @override
    def events(self) -> Sequence[MappedEvent]:
        return [each.made() for each in self.unmade]

    @override
    def traced(self) -> Sequence[MappedEvent]:
        return [event for event in self.events() if event.traceparent]


@dataclass(slots=True)
class MappedBatch(Elements):
    """Elements of one part of one kind of message that came one after another.

    `part` is the number of the part in `Mapping.parts`, -1 for messages without one, which may have a position all the
    same. `count` elements have `ids` (None: the mapping names none; an element may have none by mistake) and `times`;
    `forgotten` is what goes with each. `positions` are those of the messages that have one, with `position_keys` where
    the cursor is one for each key; `elements_each` says how many elements belong to each position (None: one). `cut`
    counts label values that were changed so that they can be shown.

    A batch is `plain` where no two samples of an element are of the same metric, so that it can be taken column by
    column; it may be of messages of several kinds, of which some have no ids. `follows` says that the batch before is
    of the same message, and that elements are left out where that was a duplicate. `replaces` says that the series that
    the elements name are all there are of the part. `is_history` marks what is known already: ids are noted, counters
    stay. `is_data` is false for signs of life. `events` are what log records and spans of the elements are made of;
    None where the mapping wants none, of all elements or of one. `stands_for` is the position of a document beside the
    stream; empty where it has none.
    """

    message_type: str
    part: int
    count: int
    ids: Sequence[str | None] | None = None
    times: Times | None = None
    samples: Sequence[Samples] = ()
    forgotten: Sequence[Sequence[Forgotten]] = ()
    positions: Sequence[str] = ()
    position_keys: Sequence[str] | None = None
    elements_each: Sequence[int] | None = None
    cut: int = 0
    plain: bool = False
    follows: bool = False
    replaces: bool = False
    is_history: bool = False
    is_data: bool = True
    events: Sequence[UnmadeEvent | None] | None = None
    stands_for: str = ""


def in_seconds(times: Times) -> Sequence[float | None]:
    """Times in Unix seconds."""
    return [time.timestamp() if isinstance(time, datetime) else time for time in times]


def are_dated(times: Times) -> TypeGuard[Sequence[datetime]]:
    """Whether these are times as they were decoded, and not seconds."""
    return bool(times) and isinstance(times[0], datetime)
