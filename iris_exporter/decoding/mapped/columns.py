"""Columns: what stands at one path in each of many messages or elements, and operators over a whole column.

What has to be looked at by itself raises `NotPlain` with the rows that it is in. Nothing here changes anything.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from iris_exporter.decoding.mapped.shapes import Node
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.mapping.paths import Path, Paths, Step

MAX_REMEMBERED = 10_000
"""Raw values in one memory: labels with more are of little use. When it is full, it begins again."""

MAX_REMEMBERED_CHARS = 1_000
"""Raw values with longer texts are not remembered, so that the memory is bounded in bytes."""

TEXTS: frozenset[type] = frozenset({str, type(None)})
NUMBERS: frozenset[type] = frozenset({int, float, bool, type(None)})
SCALARS: frozenset[type] = TEXTS | NUMBERS

Column = list[Any]


class NotPlain(Exception):  # noqa: N818 (no error: another way is taken)
    """Rows that have to go the patient way; at least one."""

    def __init__(self, rows: Iterable[int]) -> None:
        super().__init__()
        self.rows = sorted(set(rows))


class AnyObject:
    """Stands for an object nobody looks into."""


class AnyList(list[Any]):
    """Stands for a list nobody looks into; all are alike."""

    __hash__ = object.__hash__  # type: ignore[assignment]


OBJECT, LIST = AnyObject(), AnyList()
MARKED: frozenset[type] = SCALARS | {AnyObject, AnyList}


class Memory(dict[Hashable, Any]):
    """What a function gives for a tuple of plain values, called once for each that is remembered."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, raw: Any) -> Any:
        made = self._make(raw)
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        if _characters(raw) <= MAX_REMEMBERED_CHARS:
            self[raw] = made
        return made


def _characters(raw: tuple[Any, ...]) -> int:
    return sum(
        len(part) if isinstance(part, str) else _characters(part) for part in raw if isinstance(part, str | tuple)
    )


class Operator:
    """A function of the values of several columns in one row, called once for each combination that is remembered.

    `make` may raise UnusableValueError. Values that are equal to Python and not to JSON (1, 1.0 and true) are told
    apart by their types, which cost nothing where all of them are text.
    """

    def __init__(self, make: Callable[[tuple[Any, ...]], Any], types: frozenset[type] = SCALARS) -> None:
        self._make = make
        self._types = types
        self._texts = Memory(make)
        self._typed = Memory(lambda raw: make(raw[0]))

    def over(self, columns: Sequence[Column], length: int) -> Column:
        """What it gives for each row. Raises NotPlain."""
        if not columns:
            return [self._make(())] * length
        try:
            if len(columns) == 1 and is_one_text(columns[0]):
                return [self._texts[columns[0][0],]] * length
            if all(map(are_texts, columns)) or set(map(type, chain.from_iterable(columns))) <= TEXTS:
                return list(map(self._texts.__getitem__, zip(*columns, strict=True)))
            return self._over_scalars(columns)
        except UnusableValueError:
            pass
        raise NotPlain(row for row, raws in enumerate(zip(*columns, strict=True)) if not self._is_plain(raws))

    def _over_scalars(self, columns: Sequence[Column]) -> Column:
        types = [list(map(type, column)) for column in columns]
        if not set(chain.from_iterable(types)) <= self._types:
            raise UnusableValueError("wrong_type")
        pairs = zip(zip(*columns, strict=True), zip(*types, strict=True), strict=True)
        return list(map(self._typed.__getitem__, pairs))

    def counted(self, columns: Sequence[Column]) -> Mapping[Any, int] | None:
        """How many rows give what, in the order of the rows; None where that would cost more than `over`."""
        if not columns or not all(map(are_texts, columns)):
            return None
        counts = Counter(zip(*columns, strict=True))
        try:
            made = list(map(self._texts.__getitem__, counts))
        except UnusableValueError:
            return None
        found = dict(zip(made, counts.values(), strict=True))
        if len(found) < len(made):  # several give the same
            found = dict.fromkeys(made, 0)
            for key, count in zip(made, counts.values(), strict=True):
                found[key] += count
        return found

    def _is_plain(self, raws: tuple[Any, ...]) -> bool:
        if not set(map(type, raws)) <= self._types:
            return False
        try:
            self._make(raws)
        except UnusableValueError:
            return False
        return True


def are_texts(column: Column) -> bool:
    """Whether all values are texts; joining them asks each quickest."""
    try:
        "".join(column)
    except TypeError:
        return False
    return True


def is_one_text(column: Column) -> bool:
    """Whether all values are one and the same text."""
    return bool(column) and isinstance(column[0], str) and column.count(column[0]) == len(column)


class Tree:
    """Columns below one node for many rows; each is made once."""

    __slots__ = ("_columns", "_root")

    def __init__(self, root: Node, rows: Column) -> None:
        self._root = root
        self._columns: dict[tuple[Step, ...], Column] = {(): rows}

    def at(self, steps: tuple[Step, ...]) -> Column:
        """The column at the end of a path."""
        found = self._columns.get(steps)
        if found is None:
            self._columns[steps] = found = self._made(steps)
        return found

    def _made(self, steps: tuple[Step, ...]) -> Column:
        node, column = self._root, self.at(steps[:-1])
        for step in steps[:-1]:
            node = node.below[step]
        get = node.getters[steps[-1]]
        try:
            return get(column)
        except AttributeError:  # one is no object, which has nothing below it
            struct, empty = node.struct, node.empty
            return get([value if type(value) is struct else empty for value in column])


def marked(column: Column, *, is_list: bool = False) -> Column:
    """The column with `OBJECT` and `LIST` for what is no scalar; structs are lists where `is_list` says so."""
    if are_texts(column) or set(map(type, column)) <= SCALARS:
        return column
    structs = LIST if is_list else OBJECT
    return [
        value
        if type(value) in SCALARS
        else LIST
        if isinstance(value, list)
        else OBJECT
        if isinstance(value, dict)
        else structs
        for value in column
    ]


def first(at: Callable[[Path], Column], paths: Paths) -> Column:
    """For each row the first of several values that is not None."""
    result = at(paths[0])
    for path in paths[1:]:
        if None not in result:
            break
        result = [value if value is not None else other for value, other in zip(result, at(path), strict=True)]
    return result


def at_rows(column: Column, rows: Sequence[int] | None) -> Column:
    """Some rows of a column; all for None."""
    return column if rows is None else [column[row] for row in rows]
