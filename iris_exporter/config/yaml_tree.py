"""What a file in YAML says: a tree of text with line numbers, which an error message needs.

Nothing is constructed: no dates, no numbers, no objects of Python, so a file can do no harm and `name: 007` is "007".
"""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAX_FILE_BYTES = 16 * 1024 * 1024  # a thousand streams need a hundredth of it


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text as it is written in the file; None for nothing (`key:`, `~`, `null`). `quoted`: it is text in any case."""

    text: str | None
    line: int
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    line: int


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; `entries` has the order of the file, `lines` the line of each key."""

    entries: Mapping[str, "Node"]
    line: int
    lines: Mapping[str, int] = field(default_factory=dict)


Node = Scalar | Sequence | Table


def mark(path: Path) -> str | None:
    """Stands for the content of a file, whatever links the path leads through; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(MAX_FILE_BYTES + 1)).hexdigest()
    except OSError:
        return None


def from_json(value: object) -> Node:
    """Return the tree of a JSON value whose numbers were read as text; it has no lines."""
    if isinstance(value, Mapping):
        return Table({str(key): from_json(item) for key, item in value.items()}, 0)
    if isinstance(value, list):
        return Sequence(tuple(from_json(item) for item in value), 0)
    if isinstance(value, bool):
        return Scalar("true" if value else "false", 0)
    return Scalar(None if value is None else str(value), 0)


NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
"""As JSON writes it, and no longer than anything that has a meaning."""
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})", re.ASCII)


def typed(node: Scalar) -> str | int | float | bool | None:
    """Return what a single value is: text, number, truth or nothing; raises ValueError for a number without bounds."""
    text = node.text
    if text is None or node.quoted:
        return text
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text):
        if not math.isfinite(number := float(text)):
            raise ValueError(text)
        return number
    return text


def text_of(node: Node | None, key: str) -> str | None:
    """Return what a table has for a key, as text; None for all else."""
    value = node.entries.get(key) if isinstance(node, Table) else None
    return value.text if isinstance(value, Scalar) else None


def describe(node: Node) -> str:
    """Return what kind of node this is, without its content."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Table):
        return "keys with values"
    return "nothing" if node.text is None else "a single value"
