"""What a mapping reads, as one tree: which entries fit into it, and what can be asked of their messages."""

from collections.abc import Iterable
from copy import deepcopy

from iris_exporter.decoding.mapped.places import paths_of_events, paths_of_metric
from iris_exporter.decoding.mapped.shapes import Conflict, Node
from iris_exporter.decoding.mapped.views import segments_of
from iris_exporter.mapping.inside import inside
from iris_exporter.mapping.paths import Each, Path, Paths, Root
from iris_exporter.mapping.spec import Condition, Entry, Mapping, PartSpec, Role, TimeFormat


class Registry:
    """The tree below `root`, `known` entries whose conditions are in it, and `quick` ones that are all in it.

    Entries that give ages and other numbers for one metric cannot be put together, so the later one is not quick.

    Raises Conflict when the cursor cannot be in it.
    """

    def __init__(self, mapping: Mapping) -> None:
        self.root = Node()
        self.known: frozenset[int] = frozenset()
        self.quick: frozenset[int] = frozenset()
        self._scales: dict[str, object] = {}
        if mapping.cursor is not None:
            _read(self.root, (mapping.cursor.path,), None)
            _conditions(self.root, mapping.cursor.when, None)
        for number, entry in enumerate(mapping.entries):
            if entry.text is not None:
                continue
            self._try_entry(number, entry)
        self._name_words(mapping)
        if not self.root.below:
            self.root.is_read = self.root.is_measured = True

    def _name_words(self, mapping: Mapping) -> None:
        """Where each entry names the words that it wants at one place, no other message has to be read there."""
        entries = [entry for entry in mapping.entries if entry.text is None]
        wanted = [
            {condition.path: condition for condition in entry.when if _is_of_words(condition)} for entry in entries
        ]
        for paths in wanted[0] if wanted and len(self.known) == len(entries) else ():
            node = self.root.at(paths[0].steps)
            is_else = node.is_read or node.is_id or node.is_time or node.is_measured or node.below
            if all(paths in each for each in wanted) and not is_else:
                words = (word for each in wanted for word in each[paths].equals or ())
                node.words = frozenset(word for word in words if isinstance(word, str))

    def _try_entry(self, number: int, entry: Entry) -> None:
        tree = deepcopy(self.root)
        flat = [condition for condition in entry.when if not _is_within(condition.path, entry.json_text)]
        try:
            _conditions(tree, [condition for condition in flat if not _is_of_words(condition)], None)
            for condition in flat:
                if _is_of_words(condition):
                    tree.at(condition.path[0].steps).is_tested = True
        except Conflict:
            return
        self.root, self.known = deepcopy(tree), self.known | {number}
        try:
            if is_quick(entry) and self._has_same_scales(entry):
                for part in entry.parts:
                    _part(tree, part)
                tree.typed()
                self.root, self.quick = tree, self.quick | {number}
        except Conflict:
            pass

    def _has_same_scales(self, entry: Entry) -> bool:
        metrics = [metric for part in entry.parts for metric in part.metrics]
        scales = {
            metric.name: metric.value is not None and metric.value.age and (metric.value.factor, metric.value.offset)
            for metric in metrics
        }
        return all(self._scales.setdefault(name, scale) == scale for name, scale in scales.items())


def is_quick(entry: Entry) -> bool:
    """Whether the fast way knows what an entry asks for."""
    if entry.json_text or entry.text is not None or entry.reply is not None:
        return False
    if entry.role in (Role.ACK, Role.IGNORE):
        return True
    if entry.role not in (Role.EVENT, Role.STATE) or len(entry.parts) != 1:
        return False
    [part] = entry.parts
    names = [metric.name for metric in part.metrics]
    is_plain = not (part.replace or part.forget or _is_whole(part))
    return is_plain and len(set(names)) == len(names)


def _is_whole(part: PartSpec) -> bool:
    """Whether a log record has the whole message in it, of which the fast way has but what is read."""
    return any(path.root is Root.MESSAGE and not path.steps for paths in paths_of_events(part) for path in paths)


def _part(tree: Node, part: PartSpec) -> None:
    each = part.each
    if each is not None:
        element = tree.at(each.segments)
        if not any(path.root.value in ("@", "@parent") for path in inside(part, Path)):
            element.is_read = element.is_measured = True
    _conditions(tree, part.where, each)
    for paths in part.id:
        for node in _nodes(tree, paths, each):
            node.is_id = True
    if part.time is not None:
        _read(tree, part.time.path, each, is_time=part.time.format is TimeFormat.ISO)
    for paths in paths_of_events(part):
        _read(tree, paths, each)
    for metric in part.metrics:
        _conditions(tree, metric.where, each)
        for paths in paths_of_metric(metric):
            _read(tree, paths, each)
        value = metric.value
        if value is not None and value.length:
            for measured in (value.path, value.minus, value.per):
                _measure(tree, measured or (), each)


def _read(tree: Node, paths: Paths, each: Each | None, *, is_time: bool = False) -> None:
    for node in _nodes(tree, paths, each):
        if is_time:
            node.is_time = True
        else:
            node.is_read = True


def _measure(tree: Node, paths: Paths, each: Each | None) -> None:
    for node in _nodes(tree, paths, each):
        node.is_measured = True


def _conditions(tree: Node, conditions: Iterable[Condition], each: Each | None) -> None:
    for condition in conditions:
        for node in _nodes(tree, condition.path, each):
            node.is_read = True
            if condition.exists is not None or condition.type is not None or _names_null(condition):
                node.is_measured = True
            if condition.type is not None:
                node.is_typed = True


def _is_of_words(condition: Condition) -> bool:
    """Whether a condition wants one of some texts at one place of the message, and nothing else."""
    is_one_place = len(condition.path) == 1 and condition.path[0].root is Root.MESSAGE
    others = (
        condition.unequal,
        condition.exists,
        condition.type,
        condition.matches,
        condition.at_least,
        condition.below,
    )
    is_equal_alone = condition.equals is not None and all(other is None for other in others)
    return is_one_place and is_equal_alone and all(isinstance(each, str) for each in condition.equals or (None,))


def _names_null(condition: Condition) -> bool:
    return None in (condition.equals or ()) or None in (condition.unequal or ())


def _nodes(tree: Node, paths: Paths, each: Each | None) -> list[Node]:
    found = (segments_of(path, each) for path in paths)
    return [tree.at(segments) for segments in found if segments is not None]


def _is_within(paths: Paths, places: tuple[Path, ...]) -> bool:
    return any(path.steps[: len(place.steps)] == place.steps for path in paths for place in places)
