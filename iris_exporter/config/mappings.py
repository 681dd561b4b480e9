"""The mappings of a configuration: read from its file and from further ones, found by their names, fit for streams.

The language is `iris_exporter.mapping`, which is imported where somebody has a mapping, and not otherwise.
"""

import glob
import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iris_exporter.config import yaml_tree
from iris_exporter.config.values import BadValueError, plain, quoted
from iris_exporter.config.yaml_tree import Node, Scalar, Table, text_of, typed
from iris_exporter.core import urls
from iris_exporter.core.suggestions import did_you_mean
from iris_exporter.errors import Problem

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

IRIS = "iris"
"""The name that stands for no mapping."""
SECTION = "mappings"
"""The key of the section, and of files that have nothing else."""
_SHAPE = "mappings by their names (mappings: ...)"

Mappings = Mapping[str, "spec.Mapping"]


def find(name: str, known: Mappings) -> "spec.Mapping | None":
    """Return the mapping of a name: of those of the configuration, or a preset; None for `iris`.

    Raises:
        BadValueError: There is none of this name.
    """
    if name == IRIS:
        return None
    if name in known:
        return known[name]
    from iris_exporter.mapping import presets

    if name in presets.names():
        return presets.load(name)
    hint = did_you_mean(name, [IRIS, *known, *presets.names()])
    raise BadValueError(f"iris, a name below mappings:, or a preset{hint}")


def files(patterns: Iterable[str]) -> list[Path]:
    """Return the files that the globs of `mapping-files` name now, in the order of their names."""
    return sorted({Path(name) for pattern in patterns for name in glob.glob(pattern)})  # noqa: PTH207 (absolute ones)


def mark(config: str | None, patterns: Sequence[str]) -> str | None:
    """Stands for the content of the file of the configuration, whose own mark is given, and the files with mappings."""
    if config is None or not patterns:
        return config
    marks = [f"{path} {yaml_tree.mark(path)}" for path in files(patterns)]
    return hashlib.sha256("\n".join([config, *marks]).encode()).hexdigest()


@dataclass(slots=True)
class Found:
    """What a configuration has of mappings, and everything that is wrong with them.

    `places` is where each stands, by its name, broken ones too; `tree` is what stands below `mappings:` in the file
    itself, and `mark` stands for the content of all files.
    """

    by_name: "Mappings" = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    tree: Node | None = None
    mark: str | None = None

    def read(self, file: Path | None, patterns: Sequence[str]) -> None:
        """Read the mappings in `tree`, which is from `file`, and in the files of `mapping-files`."""
        self.mark = mark(self.mark, patterns)
        sections = [] if self.tree is None else [(self.tree, str(file))]
        further = [(self._section(path), str(path)) for path in self._files(patterns)]
        sections += [(node, path) for node, path in further if node is not None]
        if not sections:
            return
        from iris_exporter.mapping import reading

        read = reading.read_mappings(sections)
        self.by_name = {name: _as_before(mapping) for name, mapping in read.by_name.items()}
        self.warnings = read.warnings
        self.problems += read.problems
        for node, path in sections:
            lines = node.lines if isinstance(node, Table) else {}
            self.places = {**{name: f"{path}:{line}" for name, line in lines.items()}, **self.places}

    def _files(self, patterns: Sequence[str]) -> list[Path]:
        for pattern in patterns:
            if not files([pattern]):
                self.problems.append(Problem("mapping-files", "mapping-files", quoted(pattern), "a file that is there"))
        return files(patterns)

    def _section(self, path: Path) -> Node | None:
        """What a further file has below `mappings:`, which is all that it may have."""
        from iris_exporter.config import yaml_text

        table, problems = yaml_text.read(path, "mapping-files", _SHAPE)
        self.problems += problems
        for name in table.entries:
            if name != SECTION:
                where = f"{path}:{table.lines[name]}"
                self.problems.append(Problem(where, plain(name), "an unknown key", f"one of {SECTION}"))
        if not problems and SECTION not in table.entries:
            self.problems.append(Problem(str(path), SECTION, "nothing", _SHAPE))
        return table.entries.get(SECTION)

    def find(self, name: str) -> "spec.Mapping | None":
        """Return the mapping of a name; None for `iris`, and for one that is reported as broken.

        Raises:
            BadValueError: There is none of this name.
        """
        return None if name in self.places.keys() - self.by_name.keys() else find(name, self.by_name)


_LAST: "dict[str, spec.Mapping]" = {}
"""The mapping of each name that was read last."""


def _as_before(mapping: "spec.Mapping") -> "spec.Mapping":
    """The very mapping of its name that was read last, where it says the same.

    A reload compares the settings of all streams on the event loop; a thousand of the same object cost nothing.
    """
    last = _LAST.get(mapping.name)
    if last != mapping:
        _LAST[mapping.name] = last = mapping
    return last


def read_config(path: Path) -> Found:
    """Return the mappings of a file of the configuration, and of those that it names; all else is left alone."""
    from iris_exporter.config import yaml_text

    table, problems = yaml_text.read(path, "config.file", _SHAPE)
    found = Found(problems=problems, tree=table.entries.get(SECTION))
    named = table.entries.get("mapping-files")
    items = named.items if isinstance(named, yaml_tree.Sequence) else (named,)
    found.read(path, [str(path.parent / item.text) for item in items if isinstance(item, Scalar) and item.text])
    return found


def mapping_of_stream(path: Path, stream: str) -> str | None:
    """Return the name of the mapping that a stream of a configuration has; None where there is no such stream."""
    from iris_exporter.config import yaml_text

    table, _ = yaml_text.read(path)
    streams, defaults = table.entries.get("streams"), table.entries.get("defaults")
    for each in streams.items if isinstance(streams, yaml_tree.Sequence) else (table.entries.get("stream"),):
        if text_of(each, "name") == stream:
            return text_of(each, "mapping") or text_of(defaults, "mapping")
    return None


def conflicts(mappings: "Iterable[spec.Mapping]") -> Iterator[tuple[str, str]]:
    """Yield the name of a mapping, and what is wrong, for metrics that an earlier one has with another meaning.

    A name stands once in an exposition, with one type, one help text and one set of labels.
    """
    several = list(mappings)
    if len(several) < 2:
        return
    from iris_exporter.mapping import lint

    for owner, name, metric, difference in lint.clashes(several):
        yield name, f"{metric} with the {difference} that it has in the mapping {owner}"


def stream_problems(
    values: Mapping[str, Any], given: Container[str], mapped: "spec.Mapping | None"
) -> Iterator[tuple[str, str]]:
    """Yield option name and expectation for each option of a stream that does not fit its mapping."""
    for option, noun in (("parameters", "param"), ("secrets", "secret")):
        names = [name for name, _ in values.get(option) or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield option, f"each name once ({', '.join(twice)})"
        if mapped is None:
            if names and values.get("mapping") == IRIS:
                yield option, "none without a mapping, because only mappings have such names"
            continue
        needed: frozenset[str] = getattr(mapped, option)
        if option in values and (missing := sorted(needed - set(names))):
            missing_names = ", ".join(f"${{{noun}.{name}}}" for name in missing)
            expected = f"{option} with {', '.join(missing)} beside the mapping {mapped.name}, which has {missing_names}"
            yield (option if option in given else "mapping"), expected
        if surplus := sorted(set(names) - needed):
            hint = did_you_mean(surplus[0], needed)
            yield option, f"names that the mapping {mapped.name} has ({', '.join(surplus)}: it has none such){hint}"
    if mapped is not None and mapped.needs_key and "api-key-file" in values and values["api-key-file"] is None:
        yield "mapping", f"api-key-file beside the mapping {mapped.name}, which has ${{secret}}"
    if mapped is not None and values.get("protocol") == "graphql":
        yield "protocol", "another protocol, because graphql is that of IRIS: a mapping subscribes by itself"


_SENT = frozenset({"send", "message", "reply", "query"})


def plain_tree(node: Node | None, *, key: str = "", sent: bool = False) -> object:
    """Return the plain values of what stands below `mappings:`, for a dump; secrets that somebody wrote are masked.

    Every header is taken for one, and so is what is sent under a name that suggests it. `key` is the one of the node.
    """
    if isinstance(node, Table):
        below = sent or key in _SENT
        return {
            name: urls.MASK if key == "headers" else plain_tree(item, key=name, sent=below)
            for name, item in node.entries.items()
        }
    if isinstance(node, yaml_tree.Sequence):
        return [plain_tree(item, key=key, sent=sent) for item in node.items]
    if node is None or node.text is None:
        return None
    if (sent or key in _SENT) and "${" not in node.text and (urls.is_secret(key) or urls.is_secret(node.text)):
        return urls.MASK
    try:
        value = typed(node)
    except ValueError:  # a number without bounds
        return node.text
    return urls.redact(value) if key == "url" and isinstance(value, str) else value
