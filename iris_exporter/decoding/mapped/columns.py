"""Columns: what stands at one path in each of many messages or elements, and operators over a whole column.

What has to be looked at by itself raises `NotPlain` with the rows that it is in. Nothing here changes anything.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from iris_exporter.decoding.mapped.shapes import Node
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.mapping.paths import Step

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
        kinds = set(map(type, chain.from_iterable(columns)))
        try:
            if kinds <= TEXTS:
                return list(map(self._texts.__getitem__, zip(*columns, strict=True)))
            if kinds <= self._types:
                types = [list(map(type, column)) for column in columns]
                pairs = zip(zip(*columns, strict=True), zip(*types, strict=True), strict=True)
                return list(map(self._typed.__getitem__, pairs))
        except UnusableValueError:
            pass
        raise NotPlain(row for row, raws in enumerate(zip(*columns, strict=True)) if not self._is_plain(raws))

    def _is_plain(self, raws: tuple[Any, ...]) -> bool:
        if not set(map(type, raws)) <= self._types:
            return False
        try:
            self._make(raws)
        except UnusableValueError:
            return False
        return True


def objects(node: Node, column: Column) -> Column:
    """The structs of a column of objects, an empty one for whatever is none."""
    if node.struct is None:
        return column
    if set(map(type, column)) == {node.struct}:
        return column
    struct, empty = node.struct, node.empty
    return [value if type(value) is struct else empty for value in column]


class Tree:
    """Columns below one node for many rows; each is made once."""

    __slots__ = ("_columns", "_root")

    def __init__(self, root: Node, rows: Column) -> None:
        self._root = root
        self._columns: dict[tuple[Step, ...], tuple[Node, Column]] = {(): (root, rows)}

    def at(self, steps: tuple[Step, ...]) -> Column:
        """The column at the end of a path."""
        return self._at(steps)[1]

    def _at(self, steps: tuple[Step, ...]) -> tuple[Node, Column]:
        found = self._columns.get(steps)
        if found is None:
            node, column = self._at(steps[:-1])
            getter = attrgetter(node.field_of(steps[-1]))
            found = node.below[steps[-1]], list(map(getter, objects(node, column)))
            self._columns[steps] = found
        return found


def marked(column: Column, *, is_list: bool = False) -> Column:
    """The column with `OBJECT` and `LIST` for what is no scalar; structs are lists where `is_list` says so."""
    if set(map(type, column)) <= SCALARS:
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


def first(columns: Sequence[Column]) -> Column:
    """For each row the first of several values that is not None."""
    result = columns[0]
    for column in columns[1:]:
        result = [value if value is not None else other for value, other in zip(result, column, strict=True)]
    return result


def at_rows(column: Column, rows: Sequence[int] | None) -> Column:
    """Some rows of a column; all for None."""
    return column if rows is None else [column[row] for row in rows]
