"""From tables of text to values of options: the one reader of what can be said about a stream, whoever says it.

The configuration and every source of discovery come through here, so that what means something in one of them means
the same in the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris_exporter.config import values, yaml_tree
from iris_exporter.config.hints import did_you_mean
from iris_exporter.config.option import Option
from iris_exporter.config.options import BY_KEY
from iris_exporter.config.values import BadValueError
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.errors import Problem


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was given: `texts` has several for a list; `key` and `where` are for messages."""

    option: Option
    texts: tuple[str, ...]
    where: str
    key: str
    base: Path  # where relative paths start


@dataclass(frozen=True, slots=True)
class Origin:
    """Where tables come from. `file` None: lines have no numbers, and paths start in the working directory."""

    file: Path | None = None

    @property
    def base(self) -> Path:
        """Where relative paths start."""
        return Path() if self.file is None else self.file.parent

    def place(self, table: Table, name: str, outer: str) -> str:
        """Where a key of a table stands; `outer` is where the table does."""
        return outer if self.file is None else f"{self.file}:{table.lines[name]}"


def without_line_end(text: str) -> str:
    """The text without line ends behind it.

    What is kept in a file, such as a Secret, mostly ends with one, and Kubernetes hands that on in variables, in
    arguments with `$(NAME)` and in block texts of YAML. It is part of no value of ours.
    """
    return text.rstrip("\r\n")


def split(option: Option, text: str) -> tuple[str, ...]:
    """The values in one text that has room for a list: a variable, a label."""
    text = without_line_end(text)
    return tuple(part.strip() for part in text.strip().split(option.kind.separator)) if option.kind.many else (text,)


class Reader:
    """Reads options; `problems` grows in the order found."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, given: Given, value: str, expected: str) -> None:
        """Note what is wrong with something that was given."""
        self.problems.append(Problem(given.where, given.key, value, expected))

    def options(
        self, origin: Origin, node: Node, key: str, where: str, known: Mapping[str, Option]
    ) -> dict[str, Given]:
        """Return what a table gives for the options in `known`, whose names may have dots for deeper tables."""
        if isinstance(node, Scalar) and node.text is None:
            return {}  # a section of which every line is commented out
        if not isinstance(node, Table):
            self.problems.append(Problem(where, key, yaml_tree.describe(node), "keys with values"))
            return {}
        result: dict[str, Given] = {}
        for name, value in node.entries.items():
            inner, place = f"{key}.{name}", origin.place(node, name, where)
            below = {rest.removeprefix(f"{name}."): o for rest, o in known.items() if rest.startswith(f"{name}.")}
            option = known.get(name) if "." not in name else None
            if below:
                result |= self.options(origin, value, inner, place, below)
            elif option is None:
                self.unknown(place, inner, name, known, f"a key of {key}")
            else:
                texts = self.texts(value, option, place, inner)
                if texts is not None:
                    result[option.name] = Given(option, texts, place, inner, origin.base)
        return result

    def texts(self, node: Node, option: Option, where: str, key: str) -> tuple[str, ...] | None:
        """The text of an option, several of a list; None after adding a problem."""
        if isinstance(node, Table) and option.kind.mapping:
            named = {
                name: without_line_end(item.text)
                for name, item in node.entries.items()
                if isinstance(item, Scalar) and item.text
            }
            if node.entries and len(named) == len(node.entries):
                return tuple(f"{name}: {text}" for name, text in named.items())
        items = node.items if isinstance(node, Sequence) and option.kind.many else (node,)
        texts = [item.text for item in items if isinstance(item, Scalar) and item.text is not None]
        if texts and len(texts) == len(items):
            return tuple(map(without_line_end, texts))
        wrong = next((item for item in items if not isinstance(item, Scalar) or item.text is None), node)
        got = "an empty list" if not items else yaml_tree.describe(wrong)
        hint = "; leave the key out for the default" if got == "nothing" else ""
        self.problems.append(Problem(where, key, got, option.kind.syntax + hint))
        return None

    def unknown(self, where: str, key: str, name: str, known: Iterable[str], what: str) -> None:
        """Report a key that is none, without its value: what was meant could be a secret."""
        hint = did_you_mean(name, known)
        if name in BY_KEY:
            hint = f" ({name} is written as {name.replace('.', ': ')})" if BY_KEY[name].in_file else " (a flag only)"
        self.problems.append(Problem(where, values.plain(key), "an unknown key", what + hint))

    def read(self, given: Given) -> Any:
        """Return the value, or None after adding a problem (no value of a given option is None)."""
        values: list[Any] = []
        for text in given.texts:
            try:
                values.append(given.option.kind.read(text, given.base))
            except BadValueError as error:
                self.problem(given, error.shown or given.option.kind.shown(text), error.expected)
        if len(values) < len(given.texts):
            return None
        if not given.option.kind.many:
            return values[0]
        for text in sorted({text for text in given.texts if given.texts.count(text) > 1}):
            self.problem(given, f"{given.option.kind.shown(text)} twice", "each of them once")
        return tuple(values)

    def read_all(self, given: Mapping[str, Given]) -> dict[str, Any]:
        """Return what could be read, by option name."""
        values = {name: self.read(each) for name, each in given.items()}
        return {name: value for name, value in values.items() if value is not None}
