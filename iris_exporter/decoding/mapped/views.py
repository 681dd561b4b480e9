"""The elements of many messages as columns: where the paths of a part lead, for all of them at once."""

from collections.abc import Iterable, Sequence
from typing import Any

from iris_exporter.decoding.mapped.columns import Column, NotPlain, Tree, at_rows, first
from iris_exporter.decoding.mapped.shapes import Node
from iris_exporter.mapping.paths import Each, Path, Paths, Root, Segment, Wildcard


class Messages:
    """Messages that were decoded into the types below `root`, with the columns of `meta.event` and `meta.id`."""

    __slots__ = ("meta", "root", "rows", "tree")

    def __init__(self, root: Node, rows: Column, meta: dict[str, Column]) -> None:
        self.root = root
        self.rows = rows
        self.meta = meta
        self.tree = Tree(root, rows)

    def only(self, rows: Sequence[int]) -> "Messages":
        """Some of them."""
        meta = {name: at_rows(column, rows) for name, column in self.meta.items()}
        return Messages(self.root, at_rows(self.rows, rows), meta)

    def at(self, path: Path) -> Column:
        """What is at a path from the message, or beside it."""
        if path.root is Root.META:
            return self.meta[str(path.steps[0])]
        return self.tree.at(path.steps)

    def first(self, paths: Paths) -> Column:
        """The first that is not None."""
        return first(self.at, paths)


class View:
    """Elements of messages: `owners` says to which each belongs (None: each message is its own element).

    Columns are made once. `base` and `rows` are those of a view of which this one has some elements.
    """

    __slots__ = ("_base", "_columns", "_element", "_keys", "_messages", "_parent", "_rows", "count", "owners")

    def __init__(
        self,
        messages: Messages,
        count: int,
        owners: list[int] | None = None,
        element: Tree | None = None,
        keys: Column | None = None,
        parent: Tree | None = None,
    ) -> None:
        self.count = count
        self.owners = owners
        self._messages = messages
        self._element = element
        self._keys = keys
        self._parent = parent
        self._base: View | None = None
        self._rows: list[int] = []
        self._columns: dict[str, Column] = {}  # by the text of the path, whose hash is at hand

    def only(self, rows: list[int]) -> "View":
        """These elements alone."""
        owners = rows if self.owners is None else [self.owners[row] for row in rows]
        view = View(self._messages, len(rows), owners)
        view._base, view._rows = self, rows
        return view

    def at(self, path: Path) -> Column:
        """What is at a path, for each element."""
        found = self._columns.get(path.text)
        if found is None:
            self._columns[path.text] = found = self._made(path)
        return found

    def _made(self, path: Path) -> Column:
        if self._base is not None:
            return at_rows(self._base.at(path), self._rows)
        if path.root is Root.KEY:
            return self._keys or [None] * self.count
        if path.root is Root.ELEMENT:
            return self._element.at(path.steps) if self._element is not None else [None] * self.count
        if path.root is Root.PARENT:
            return self._parent.at(path.steps) if self._parent is not None else [None] * self.count
        return at_rows(self._messages.at(path), self.owners)

    def first(self, paths: Paths) -> Column:
        """For each element the first that is not None."""
        return first(self.at, paths)

    def not_plain(self, rows: Iterable[int]) -> NotPlain:
        """Elements that are not plain, as the messages that they are in."""
        return NotPlain(rows if self.owners is None else [self.owners[row] for row in rows])


def elements_of(messages: Messages, each: Each) -> View:
    """The elements that `each` leads to. Raises NotPlain for messages with something else there."""
    node, rows = messages.root, messages.rows
    owners = list(range(len(rows)))
    keys: Column = []
    outer: tuple[Node, Column] | None = None
    parent: tuple[Node, Column] | None = None
    for segment in each.segments:
        if not isinstance(segment, Wildcard):
            below = Tree(node, rows).at((segment,))
            node, rows = node.below[segment], below
            continue
        origins, keys, inside = _inside(rows, owners, segment)
        parent = None if outer is None else (outer[0], [outer[1][origin] for origin in origins])
        owners = [owners[origin] for origin in origins]
        node, rows = node.below[segment], inside
        outer = (node, rows)
    return View(
        messages, len(rows), owners, Tree(node, rows), keys, None if parent is None else Tree(parent[0], parent[1])
    )


def _inside(rows: Column, owners: list[int], wildcard: Wildcard) -> tuple[list[int], Column, Column]:
    """The elements in a column of lists or objects: the row that each comes from, its key, and itself."""
    kind: type[Any] = list if wildcard is Wildcard.ELEMENTS else dict
    odd = [owners[row] for row, value in enumerate(rows) if value is not None and type(value) is not kind]
    if odd:
        raise NotPlain(odd)
    found = [
        (row, key, element)
        for row, value in enumerate(rows)
        if value is not None
        for key, element in (enumerate(value) if kind is list else value.items())
        if element is not None
    ]
    if not found:
        return [], [], []
    origins, keys, inside = zip(*found, strict=True)
    return list(origins), list(keys), list(inside)


def segments_of(path: Path, each: Each | None) -> tuple[Segment, ...] | None:
    """Where a path leads from the message; None for one that leads to no place in it."""
    if path.root is Root.MESSAGE:
        return path.steps
    if path.root is Root.ELEMENT and each is not None:
        return (*each.segments, *path.steps)
    if path.root is Root.PARENT and each is not None:
        wildcards = [place for place, segment in enumerate(each.segments) if isinstance(segment, Wildcard)]
        return (*each.segments[: wildcards[-2] + 1], *path.steps) if len(wildcards) > 1 else None
    return None
