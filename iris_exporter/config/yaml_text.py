"""YAML as text: read into a tree (`yaml_tree`), and written.

The one module here that needs PyYAML, nearly a mebibyte. It is imported where a file is read or written, and not
otherwise: an exporter that is configured by flags needs none.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from iris_exporter.config.yaml_tree import MAX_FILE_BYTES, Node, Scalar, Sequence, Table, describe
from iris_exporter.errors import ConfigError, Problem

_STANDARD_TAGS = "tag:yaml.org,2002:"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_SURROGATES = re.compile("[\ud800-\udfff]")


def read(
    path: Path, option: str = "config.file", shape: str = "keys with values (streams: ..., web: ...)"
) -> tuple[Table, list[Problem]]:
    """Return the tree of the file at `path` and everything that is wrong with its form.

    An empty file is an empty table. What cannot be read at all is an empty table and a problem.

    Args:
        path: The file.
        option: What names the file, for messages.
        shape: What the file should hold, for messages.
    """
    empty = Table({}, 1)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return empty, [Problem(str(path), option, repr(str(path)), f"a readable file ({error.strerror})")]
    if len(content) > MAX_FILE_BYTES:
        return empty, [Problem(str(path), option, "more than 16 MiB", shape)]
    tree = _Tree(path)
    try:
        root = _compose(content)
        node = Scalar(None, 1) if root is None else tree.convert(root, "(file)")
    except (yaml.YAMLError, RecursionError) as error:
        return empty, [_syntax(path, error)]
    if isinstance(node, Table):
        return node, tree.problems
    if isinstance(node, Scalar) and node.text is None:
        return empty, []
    problem = Problem(f"{path}:{node.line}", "(file)", describe(node), shape)
    return empty, [*tree.problems, problem]


def read_list(content: bytes, path: Path, shape: str) -> list[tuple[Node, list[Problem]]]:
    """Return the items of a file that is a list, each with what is wrong with its form; nothing for an empty file.

    Args:
        content: Of the file at `path`.
        path: The file, for messages.
        shape: What the file should hold, for messages.

    Raises:
        ConfigError: The file is no list at all.
    """
    tree = _Tree(path)
    items: list[tuple[Node, list[Problem]]] = []
    try:
        root = _compose(content)
        if root is None or root.tag == _NULL:
            return []
        if not isinstance(root, yaml.SequenceNode):
            node = tree.convert(root, "(file)")
            raise ConfigError([Problem(f"{path}:{node.line}", "(file)", describe(node), shape)])
        for index, item in enumerate(root.value):
            before = len(tree.problems)
            items.append((tree.convert(item, f"[{index}]"), tree.problems[before:]))
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError([_syntax(path, error)]) from None
    return items


def write(value: Any) -> str:
    """Return plain values as YAML, in their order, without anchors."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


class _Dumper(yaml.SafeDumper):
    """Writes no anchors: a file for people repeats itself."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _compose(content: bytes) -> yaml.Node | None:
    """The nodes of YAML; raises YAMLError, and RecursionError for what is nested too deeply."""
    loader = yaml.SafeLoader(content)  # a ReaderError may come from here, before there is anything to dispose of
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Tree:
    """Converts the nodes of one file; an alias becomes the very node that its anchor became."""

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._done: dict[int, Node] = {}  # by identity, or aliases of aliases would take exponential time
        self._open: set[int] = set()

    def convert(self, node: yaml.Node, key: str) -> Node:
        """Return the tree below `node`, whose key in the file is `key`."""
        if id(node) in self._done:
            return self._done[id(node)]
        line = node.start_mark.line + 1
        if id(node) in self._open:
            self._report(line, key, "an alias to what contains it", "a value that ends")
            return Scalar(None, line)
        self._open.add(id(node))
        result: Node
        if isinstance(node, yaml.MappingNode):
            result = self._table(node, key, line)
        elif isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            result = Sequence(tuple(self.convert(item, f"{key}[{index}]") for index, item in items), line)
        else:
            if not node.tag.startswith(_STANDARD_TAGS):
                self._report(line, key, "a value with a tag of its own (!...)", "a plain value")
            is_quoted = isinstance(node, yaml.ScalarNode) and node.style is not None
            result = Scalar(None if node.tag == _NULL else self._text(node, key), line, is_quoted)
        self._open.discard(id(node))
        self._done[id(node)] = result
        return result

    def _table(self, node: yaml.MappingNode, key: str, line: int) -> Table:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        merged: list[tuple[Node, int]] = []
        for name_node, value_node in node.value:
            name_line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self._report(name_line, key, "a list or a mapping as a key", "a name as a key")
                continue
            if name_node.tag == _MERGE:
                merged.append((self.convert(value_node, key), name_line))
                continue
            name = self._text(name_node, key)
            inner = name if key == "(file)" else f"{key}.{name}"
            if name in entries:
                self._report(name_line, inner, "the key a second time", f"it once (first on line {lines[name]})")
                continue
            lines[name] = name_line
            entries[name] = self.convert(value_node, inner)
        for source, source_line in merged:
            self._merge(source, source_line, key, entries, lines)
        return Table(entries, line, lines)

    def _text(self, node: yaml.Node, key: str) -> str:
        """The text of a node. Escapes can write surrogates: a pair is one character, and nothing can hold a half."""
        text = str(node.value)
        if _SURROGATES.search(text) is not None:
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        if _SURROGATES.search(text) is not None:
            self._report(
                node.start_mark.line + 1, key, "half of a surrogate pair (\\ud800 to \\udfff)", "whole characters"
            )
        return _SURROGATES.sub("\ufffd", text)

    def _merge(self, source: Node, line: int, key: str, entries: dict[str, Node], lines: dict[str, int]) -> None:
        """Add what `<<: *anchor` brings, one table or a list of them; the first that has a key wins."""
        for table in source.items if isinstance(source, Sequence) else (source,):
            if not isinstance(table, Table):
                self._report(line, f"{key}.<<", describe(table), "keys with values, or a list of those")
                continue
            for name, node in table.entries.items():
                if name not in entries:
                    entries[name], lines[name] = node, table.lines[name]

    def _report(self, line: int, key: str, value: str, expected: str) -> None:
        self.problems.append(Problem(f"{self._path}:{line}", key, value, expected))


def _syntax(path: Path, error: Exception) -> Problem:
    """Describe text that is no YAML by its line; the text itself could hold a secret."""
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is nested too deeply"
    # The parser quotes names of aliases and tags: `*` or `!` may be how a password begins.
    reason = re.sub(r"'[^'<>]{2,}'", "'...'", reason)
    # A path of a mapping begins so.
    hint = "; write it in quotes" if "'@'" in reason else ""
    return Problem(where, "(file)", "text that is no YAML", f"valid YAML ({reason}{hint})")
