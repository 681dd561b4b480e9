"""Where a path leads: in a message, from an element of it, or beside it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from iris_exporter.mapping.inside import inside
from iris_exporter.mapping.paths import MISSING, Each, Path, Paths, Root, Step, Wildcard, find
from iris_exporter.mapping.spec import Entry, Mapping, MetricSpec, PartSpec


@dataclass(slots=True)
class Scope:
    """What the roots of paths stand for: a message, what came beside it, and the element that is being read."""

    message: Any
    event: str = ""
    id: str = ""
    stream: str = ""
    element: Any = None
    key: str | int | None = None
    parent: Any = None
    broken: tuple[Path, ...] = ()
    """Where a text should hold JSON and does not."""

    def at(self, path: Path) -> Any:
        """What is at a path; None for null and for what is missing."""
        root = path.root
        if root is Root.META:
            return getattr(self, str(path.steps[0])) or None
        if root is Root.KEY:
            return self.key
        start = self.message if root is Root.MESSAGE else self.element if root is Root.ELEMENT else self.parent
        found = find(start, path.steps)
        return None if found is MISSING else found

    def first(self, paths: Paths) -> Any:
        """The first of several that is there and not null; None without one."""
        for path in paths:
            if (found := self.at(path)) is not None:
                return found
        return None


class Found(NamedTuple):
    """An element of `each`: `key` or index in what it is in, `outer` itself, and `parent`, the element around it."""

    value: Any
    key: str | int | None = None
    outer: Any = None
    parent: Any = None


class Walk:
    """The elements that `each` leads to in a message, in order; null is none.

    `found` says whether there is a list or an object to go through, `wrong` that something else stands there.
    """

    __slots__ = ("elements", "found", "wrong")

    def __init__(self, message: Any, each: Each) -> None:
        self.elements = [Found(message)]
        self.found = self.wrong = False
        for segment in each.segments:
            if isinstance(segment, Wildcard):
                self.elements = [inner for outer in self.elements for inner in self._inside(outer, segment)]
            else:
                below = ((element, find(element.value, (segment,))) for element in self.elements)
                self.elements = [
                    element._replace(value=value)
                    for element, value in below
                    if value is not MISSING and value is not None
                ]

    def _inside(self, outer: Found, wildcard: Wildcard) -> Iterator[Found]:
        value = outer.value
        if not isinstance(value, list if wildcard is Wildcard.ELEMENTS else dict):
            self.wrong = True
            return
        self.found = True
        for key, each in enumerate(value) if isinstance(value, list) else value.items():
            if each is not None:
                yield Found(each, key, each, outer.outer)


def message_steps(entry: Entry) -> Iterator[Step | Wildcard]:
    """The first step of each path of an entry that begins at the message and has any."""
    for part in entry.parts:
        if part.each is not None:
            yield part.each.segments[0]
    for path in inside(entry, Path):
        if path.root is Root.MESSAGE and path.steps:
            yield path.steps[0]


def paths_of_events(part: PartSpec) -> Iterator[Paths]:
    """The paths that log records and spans are made from."""
    if part.trace is not None:
        yield part.trace.traceparent
    if part.log is not None:
        yield part.log.body
        if part.log.severity is not None and part.log.severity.path is not None:
            yield part.log.severity.path
        yield from (paths for _, paths in part.log.attributes)


def paths_of_metric(metric: MetricSpec) -> Iterator[Paths]:
    """The paths that the value and the labels of a metric are read from."""
    if metric.value is not None:
        yield from (paths for paths in (metric.value.path, metric.value.minus, metric.value.per) if paths is not None)
    if metric.state is not None:
        yield metric.state.path
    yield from (label.path for label in metric.labels if label.path is not None)


def fits(steps: set[type | Wildcard], message: Any) -> bool:
    """Whether a message is one in which paths with these first steps (types of steps, wildcards) can lead anywhere."""
    is_object, is_list = isinstance(message, dict), isinstance(message, list)
    if steps and not is_object and not is_list:
        return False
    needs_object = bool(steps & {str, Wildcard.VALUES})
    needs_list = bool(steps & {int, Wildcard.ELEMENTS})
    return needs_object is needs_list or (is_object if needs_object else is_list)


def kinds_of_steps(entry: Entry) -> set[type | Wildcard]:
    """What `fits` needs of an entry."""
    return {step if isinstance(step, Wildcard) else type(step) for step in message_steps(entry)}


def metas_of(mapping: Mapping) -> frozenset[str]:
    """What a mapping reads beside messages: names of `meta`; not the id that the link has for itself."""
    cursor = mapping.cursor
    alone = cursor.path if cursor is not None and cursor.is_last_event_id else None
    paths = (path for path in inside(mapping, Path) if path.root is Root.META and path is not alone)
    names = frozenset(str(path.steps[0]) for path in paths)
    return names | {"event"} if any(entry.events for entry in mapping.entries) else names
