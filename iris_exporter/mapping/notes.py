"""Where in a file something stands, and what is wrong there: the reading of a mapping finds all problems at once."""

from dataclasses import dataclass, field, replace

from iris_exporter.config.values import plain
from iris_exporter.config.yaml_tree import Node
from iris_exporter.errors import Problem
from iris_exporter.mapping.paths import Root
from iris_exporter.mapping.templates import NAMES, means, names_in


class Unreadable(Exception):  # noqa: N818 (raised after the problem has been noted, and shown to nobody)
    """A node is not what its type needs, and the problem is noted."""


@dataclass(slots=True)
class Notes:
    """What is wrong with mappings, and what is only doubtful, in the order found."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    # Nodes that came from another file by `extends`, by identity; the node itself, so that the identity stays its own.
    origins: dict[int, tuple[Node, str]] = field(default_factory=dict)
    # What was made of objects, by identity, and where they stand.
    made: dict[int, tuple[object, "Here"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Here:
    """A place in a file, for messages; and what is known of what is around it.

    `roots` are those with which a path may begin here; `namespace` and `label_values` are the mapping's.
    """

    notes: Notes
    file: str
    key: str
    line: int
    roots: frozenset[Root] = frozenset({Root.MESSAGE, Root.META})
    namespace: str = ""
    label_values: int = 1_000

    def at(self, name: str | int, node: Node, line: int | None = None) -> "Here":
        """The place of a key or an item below this one; `line` is the key's, where it is known."""
        inner = f"{self.key}[{name}]" if isinstance(name, int) else f"{self.key}.{plain(name)}"
        _, file = self.notes.origins.get(id(node), (node, self.file))
        return replace(self, key=inner, line=node.line if line is None else line, file=file)

    def problem(self, value: str, expected: str) -> Unreadable:
        """Note a problem; `raise` what is returned where there is no value without it."""
        self.notes.problems.append(self._note(value, expected))
        return Unreadable()

    def warn(self, value: str, expected: str) -> None:
        """Note what is allowed and probably not meant."""
        self.notes.warnings.append(self._note(value, expected))

    def warn_of_names(self, text: str) -> None:
        """Note `${name}` in a text that is not sent, where it has no value."""
        for name in names_in(text):
            if means(name, NAMES):
                self.warn(f"${{{name}}}", "it in what is sent alone: here it has no value, and stays as it stands")

    def _note(self, value: str, expected: str) -> Problem:
        return Problem(f"{self.file}:{self.line}" if self.line else self.file, self.key, value, expected)
