"""What all sources of discovery share: reading entries, and reporting streams and problems.

An entry is a table of stream options, as below `streams:`, and is read by what reads the configuration. Options that it
lacks come from `defaults:`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from iris_exporter.clock import Clock
from iris_exporter.config import rules, yaml_tree
from iris_exporter.config.mappings import Mappings, conflicts, find
from iris_exporter.config.options import STREAM_OPTIONS
from iris_exporter.config.reader import Given, Reader, split
from iris_exporter.config.values import BadValueError, quoted
from iris_exporter.config.yaml_tree import Node, Table
from iris_exporter.core.own_failures import disk_reason
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.http.tls import unusable_file
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import EventLogger, get_logger
from iris_exporter.process.blocking import PARSING, BlockedError
from iris_exporter.settings import DiscoverySettings, StreamSettings

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

MAX_BYTES = 4 * 1024 * 1024
"""Of a file or an answer."""
_LINES_PER_MINUTE = 10

_log = get_logger("discovery")

StreamList = tuple[StreamSettings, ...]

Found = Callable[[str, StreamList], None]
"""Called with the name of a source and all of its streams."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source says about one stream.

    `node` is a table of option names (with dashes) to plain values or lists of them, `where` the file and line or the
    object, `key` what messages call the entry, `file` what it comes from, and `problems` what is wrong with its form.
    """

    node: Node
    where: str
    key: str = "stream"
    file: Path | None = None
    problems: Sequence[Problem] = ()

    @classmethod
    def of(cls, options: Mapping[str, object], where: str) -> "Entry":
        """An entry of plain values, such as labels; a text has room for a list, as a variable has."""
        return cls(
            Table({name: yaml_tree.from_json(_listed(name, value)) for name, value in options.items()}, 0), where
        )


def _listed(name: str, value: object) -> object:
    option = STREAM_OPTIONS.get(name)
    if option is None or not option.type.many or not isinstance(value, str):
        return value
    return list(split(option.type, value))


def read_entry(entry: Entry, defaults: StreamSettings, mappings: Mappings) -> StreamSettings:
    """The settings of an entry, with `defaults` for what it lacks; `mappings` are those of the configuration.

    Raises:
        ConfigError: With every problem of the entry.
    """
    where, key, table = entry.where, entry.key, entry.node
    if entry.problems:
        raise ConfigError(list(entry.problems))
    if not isinstance(table, Table):
        raise ConfigError([Problem(where, key, yaml_tree.describe(table), "keys with values")])
    reader = Reader(entry.file)
    given = reader.given(table, key, where, {name: option.type for name, option in STREAM_OPTIONS.items()})
    read = reader.read_all(given)
    for needed in ("name", "url"):
        if needed not in table.entries:
            reader.report(where, f"{key}.{needed}", "nothing", STREAM_OPTIONS[needed].type.syntax)
    common = {name: getattr(defaults, option.path) for name, option in STREAM_OPTIONS.items() if name != "url"}
    # A broken value must not be replaced by a default in checks of what belongs together.
    values = {name: value for name, value in {**common, **read}.items() if name in read or name not in table.entries}
    mapped = _mapping(values.get("mapping"), mappings, given, reader)
    for name, expected in rules.stream_problems(values, given, unusable_file, mapped):
        value_type = STREAM_OPTIONS[name].type
        shown = value_type.show(given[name].texts[0] if name in given else value_type.write(values[name]))
        reader.report(where, f"{key}.{name}", shown, expected)
    if reader.problems:
        raise ConfigError(reader.problems)
    return StreamSettings(**{STREAM_OPTIONS[name].path: value for name, value in values.items()}, mapped=mapped)


def _mapping(name: str | None, known: Mappings, given: Mapping[str, Given], reader: Reader) -> "spec.Mapping | None":
    """The mapping of a name; None, after noting a problem, where there is none."""
    if name is None:
        return None
    try:
        mapped = find(name, known)
    except BadValueError as error:
        _refuse_mapping(name, error.expected, given, reader)
        return None
    wrong = None if mapped is None else next(conflicts([*known.values(), mapped]), None)
    if wrong is None:
        return mapped
    _refuse_mapping(name, f"a mapping whose metrics mean what they mean elsewhere: {wrong[1]}", given, reader)
    return None


def _refuse_mapping(name: str, expected: str, given: Mapping[str, Given], reader: Reader) -> None:
    if "mapping" in given:
        reader.refuse(given["mapping"], expected)
    else:
        reader.report("defaults", "mapping", quoted(name), expected)


@dataclass(slots=True)
class Source(ABC):
    """One source of streams. `run` is a task that never ends."""

    name: ClassVar[str]
    """Label value of the source's metrics."""

    settings: DiscoverySettings
    metrics: SelfMetrics
    clock: Clock
    found: Found
    reported: StreamList | None = field(default=None, init=False)
    """The streams at the last report."""
    has_refused: bool = field(default=False, init=False)
    """Whether something was refused since the last report of entries."""
    limited_log: EventLogger = field(init=False)

    def __post_init__(self) -> None:
        self.limited_log = _log.limited(_LINES_PER_MINUTE, self.clock)

    @abstractmethod
    async def run(self) -> None:
        """Report the streams of this source, again and again."""

    def report(self, streams: StreamList) -> None:
        """Report all streams of this source, if they are others than before."""
        if streams != self.reported:
            self.reported = streams
            self.found(self.name, streams)

    def read(self, entries: Iterable[Entry]) -> tuple[StreamList, list[list[Problem]]]:
        """The streams of entries, and the problems of each entry that cannot be used."""
        streams, refused = [], []
        for entry in entries:
            try:
                streams.append(read_entry(entry, self.settings.defaults, self.settings.mappings))
            except ConfigError as error:
                refused.append(error.problems)
        return tuple(streams), refused

    async def report_entries(self, entries: Iterable[Entry]) -> None:
        """Read all entries in a thread, since they name files, and report their streams; none when a file hangs."""
        try:
            streams, refused = await PARSING.run(lambda: self.read(entries), self.name)
        except BlockedError as error:
            self.failed("files that entries name", error, disk_reason(error))
            return
        for problems in refused:
            self.refuse(problems)
        self.failing("invalid" if self.has_refused else None)
        self.has_refused = False
        self.report(streams)

    def failing(self, reason: str | None) -> None:
        """Show that this source cannot be used now, as a whole or in part, and why; None: it can."""
        self.metrics.report(f"discovery_{self.name}", reason)

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Count and log an entry or a file that cannot be used."""
        self.has_refused = True
        self.metrics.add(catalog.DISCOVERY_FAILURES, 1, self.name)
        for problem in problems:
            self.limited_log.warning("discovery.refused", source=self.name, problem=str(problem))

    def failed(self, what: str, error: object, reason: str) -> None:
        """Count, show and log a read or a request that failed; `reason` is one of `core.own_failures`."""
        self.failing(reason)
        self.metrics.add(catalog.DISCOVERY_FAILURES, 1, self.name)
        self.limited_log.warning("discovery.failed", source=self.name, what=what, error=error)
