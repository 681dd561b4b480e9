"""Presets: mappings of well-known sources, as YAML beside this file. Nothing is downloaded.

A preset is a file `NAME.yaml` with a section `mappings:` that has one mapping, NAME. Its first line is a comment that
says what it is for.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from iris_exporter.config import yaml_text
from iris_exporter.config.mappings import SECTION
from iris_exporter.config.yaml_tree import Table

if TYPE_CHECKING:
    from iris_exporter.mapping.spec import Mapping

_DIRECTORY = Path(__file__).parent


@cache
def names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return tuple(sorted(file.stem for file in _DIRECTORY.glob("*.yaml")))


def path(name: str) -> Path:
    """Return the file of a preset."""
    return _DIRECTORY / f"{name}.yaml"


def text(name: str) -> str:
    """Return a preset as it is written."""
    return path(name).read_text("utf-8")


def section(name: str) -> Table:
    """Return what a preset has below `mappings:`, which is the mapping of its name."""
    table, _ = yaml_text.read(path(name))
    node = table.entries[SECTION]
    assert isinstance(node, Table)  # noqa: S101 (a test reads every preset)
    return node


def summary(name: str) -> str:
    """Return what a preset is for, from its first line."""
    return text(name).partition("\n")[0].removeprefix("#").strip()


@cache
def load(name: str) -> "Mapping":
    """Return the mapping of a preset; KeyError for an unknown name."""
    from iris_exporter.mapping.reading import read_mappings  # which reads presets for `extends`

    if name not in names():
        raise KeyError(name)
    return read_mappings([(section(name), str(path(name)))]).by_name[name]
