"""What a chart's values.yaml says about its values: their defaults, and the comments that describe them.

A description is a comment that begins with `# --` and stands directly above its key; it may go on in further comment
lines. Keys below a described one that are not described themselves belong to it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z][\w-]*):")


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a description: `path` as in `image.tag`."""

    path: str
    default: Any
    description: str


def described_values(file: Path) -> list[Described]:
    """All described values, in the order of the file.

    Raises:
        ValueError: A description stands above something that is no key, or a value has none.
    """
    text = file.read_text()
    values = yaml.safe_load(text)
    found: list[Described] = []
    place: list[tuple[int, str]] = []  # indentation and key of what we are inside of
    words: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        comment = line.strip()
        if comment.startswith("# --"):
            words = [comment[4:].strip()]
            continue
        if comment.startswith("#"):
            words += [comment[1:].strip()] if words else []
            continue
        match = _KEY.match(line)
        if match is None:
            if words:
                raise ValueError(f"{file}:{number}: a description without a key")
            continue
        indent = len(match["indent"])
        place = [*((depth, key) for depth, key in place if depth < indent), (indent, match["key"])]
        if words:
            path = ".".join(key for _, key in place)
            found.append(Described(path, look_up(values, path), " ".join(words)))
            words = []
    described = {value.path for value in found}
    if lacking := [path for path in _leaves(values) if not _covered(path, described)]:
        raise ValueError(f"{file}: without a description: {', '.join(lacking)}")
    return found


def look_up(values: Any, path: str) -> Any:
    """The value at a path of keys joined by dots."""
    for key in path.split("."):
        values = values[key]
    return values


def _leaves(values: Any, path: str = "") -> list[str]:
    if not isinstance(values, dict) or not values:
        return [path]
    return [leaf for key, value in values.items() for leaf in _leaves(value, f"{path}.{key}" if path else key)]


def _covered(path: str, described: set[str]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[: end + 1]) in described for end in range(len(parts)))
