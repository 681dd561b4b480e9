"""The lines of projects, in tables that several streams share, written again only for what has changed.

Theory of operation. A scrape of 100,000 series must not take the event loop from the stream, and between two scrapes
few projects change. The lines are therefore texts in a table with the values that they show (`table`): a row for each
project, a column for each of `catalog.PROJECT_METRICS`. A scrape hands in the projects of now and writes those that are
other objects than before and show other values; neighbours that have all changed are written by few calls. Projects of
several streams stand behind one another, since a call for each stream and metric would cost more than the lines do
where a thousand streams have three projects each. Two scrapes at once share the tables, so that one may print what the
other has just written.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, Protocol

from iris_exporter.core.limits import Limits
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Metric, Value
from iris_exporter.instruments.table import Column
from iris_exporter.instruments.text import escape_label, format_value, number_lines
from iris_exporter.instruments.view import ProjectView

STEP = 100
"""Projects written before the caller may let others run: about a millisecond of work."""

STREAMS_PER_TABLE = 50

NO_ANOMALIES: Mapping[str, int] = dict.fromkeys(catalog.ANOMALY_SEVERITIES, 0)
"""Of a project without any, and the same object for all of them."""

_MANY = 16
"""From so many neighbours on it is quicker to spell and encode all of them at once."""

_FIND: list[Callable[[Any], Any]] = [metric.value for metric in catalog.PROJECT_METRICS if metric.value is not None]
_ANY_PROJECT, _ANY_TAIL = "\0", "\1"
"""Stand for a project and for the tail of its stream in lines that many share: no clean label has these characters."""


class Owner(Protocol):
    """The stream of a project."""

    @property
    def tail(self) -> str:
        """Ends the labels of its lines: `stream="x"} `."""

    def clean(self, value: str) -> str:
        """A text of the source as it may stand in a label."""


class Part(NamedTuple):
    """The projects of one stream; another object for `limits` has all its lines written anew."""

    owner: Owner
    limits: Limits
    names: Sequence[str]
    views: Sequence[ProjectView]

    def has_rows_of(self, other: "Part") -> bool:
        """Whether the rows are for the same projects."""
        if self.owner is not other.owner or self.limits is not other.limits:
            return False
        return self.names is other.names or self.names == other.names


@dataclass(frozen=True, slots=True)
class ProjectTable:
    """The projects of `parts`, one behind another. `shown` are the views that the rows of `columns` show."""

    parts: Sequence[Part]
    owners: Sequence[Owner]
    names: Sequence[str]
    shown: list[ProjectView | None]
    columns: Sequence[Column]

    def show(self, views: Sequence[ProjectView]) -> Generator[bytes, None, None]:
        """Write the rows whose project is another object than before; each of them where its value is another one."""
        for start in range(0, len(views), STEP):
            yield b""
            step = views[start : start + STEP]
            pairs = zip(step, self.shown[start : start + STEP], strict=True)
            rows = [row for row, (view, shown) in enumerate(pairs, start) if view is not shown]
            if rows:
                self.write(rows, [step[row - start] for row in rows])
                self.shown[start : start + STEP] = step

    def write(self, rows: Sequence[int], views: Sequence[ProjectView]) -> None:
        """Write what differs in these rows, which are in order and at least one."""
        are_many_neighbours = rows[-1] - rows[0] < len(rows) >= _MANY
        labels: dict[int, str] = {}
        for metric, find, column in zip(catalog.PROJECT_METRICS, _FIND, self.columns, strict=True):
            values = list(map(find, views))
            if are_many_neighbours and set(map(type, values)) == {float}:
                if not column.shows(rows[0], values):
                    labels = labels or self._labels(rows)
                    column.replace(rows[0], values, number_lines(metric.name, labels.values(), values))
                continue
            changes = column.differing(rows, values)
            if changes:
                labels = labels or self._labels(rows)
                name = metric.name
                column.write(
                    changes,
                    [
                        f"{name}{labels[row]}{format_value(value)}\n".encode()
                        if type(value) is float
                        else self._unusual(metric, value, row)
                        for row, value in changes
                    ],
                )

    def _labels(self, rows: Iterable[int]) -> dict[int, str]:
        return {row: f'{{project="{escape_label(self.names[row])}",{self.owners[row].tail}' for row in rows}

    def _unusual(self, metric: Metric, value: Value, row: int) -> bytes:
        """The lines of what is not one number."""
        owner, project = self.owners[row], escape_label(self.names[row])
        if isinstance(value, str) or value is NO_ANOMALIES:
            lines = _template(metric, value if isinstance(value, str) else "")
            return lines.replace(_ANY_PROJECT, project).replace(_ANY_TAIL, owner.tail).encode()
        if isinstance(value, tuple):
            texts = [escape_label(owner.clean(text)) for text in value]
            return metric.line((project, *texts), 1, owner.tail).encode()
        return metric.lines(value, owner.tail, (project,), owner.clean).encode()


class ProjectTables:
    """The tables of the last scrape."""

    def __init__(self) -> None:
        self.tables: list[ProjectTable] = []

    def show(self, parts: Sequence[Part]) -> Generator[bytes, None, None]:
        """Let `tables` show these projects. Another scrape may replace them, but does not change their rows."""
        before = self.tables
        tables: list[ProjectTable] = []
        for start in range(0, len(parts), STREAMS_PER_TABLE):
            group = parts[start : start + STREAMS_PER_TABLE]
            index = len(tables)
            if index < len(before) and _have_rows_of(group, before[index].parts):
                table = before[index]
            else:
                table = yield from _successor(before, group)
            yield from table.show(list(chain.from_iterable(part.views for part in group)))
            tables.append(table)
        self.tables = tables


def _have_rows_of(group: Sequence[Part], others: Sequence[Part]) -> bool:
    return len(group) == len(others) and all(map(Part.has_rows_of, group, others))


def _successor(before: Sequence[ProjectTable], group: Sequence[Part]) -> Generator[bytes, None, ProjectTable]:
    """A table of other projects, with the lines of those that are in the tables before."""
    found: dict[tuple[Owner, Limits], tuple[int, Part]] = {}
    start = 0
    for part in chain.from_iterable(table.parts for table in before):
        found[part.owner, part.limits] = start, part
        start += len(part.names)
    rows: list[int] = []
    for part in group:
        first, old = found.get((part.owner, part.limits), (0, None))
        index = {} if old is None else {name: row for row, name in enumerate(old.names, first)}
        rows += [index.get(name, -1) for name in part.names]
    # First what is shown: of what another scrape writes meanwhile it must not say that it is shown already.
    known = [*chain.from_iterable(table.shown for table in before), None]
    shown = [known[row] for row in rows]
    columns = []
    for number in range(len(_FIND)):
        yield b""
        columns.append(Column.of_rows([table.columns[number] for table in before], rows))
    owners = [part.owner for part in group for _ in part.names]
    names = list(chain.from_iterable(part.names for part in group))
    return ProjectTable([part._replace(views=()) for part in group], owners, names, shown, columns)


@lru_cache(maxsize=256)
def _template(metric: Metric, status: str) -> str:
    """The lines of a value that many projects share, written once: a status, or no anomaly."""
    return metric.lines(status or NO_ANOMALIES, _ANY_TAIL, (_ANY_PROJECT,))
