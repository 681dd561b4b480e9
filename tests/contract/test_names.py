"""Names: one vocabulary, no name that nothing reads, and no path in the page for developers that leads nowhere."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from vulture import Vulture

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "iris_exporter"

# Each had a meaning of our own, for which the field has a term: see the right column.
NOT_IN_NAMES = {
    "door": "HTTP server",
    "gate": "connection filter",
    "greet": "on_open",
    "dismiss": "on_close",
    "patience": "timeouts",
    "verdict": "the decision by its name",
    "occupancy": "connection limiter",
    "loop watch": "event-loop lag",
    "event run": "event batch",
    "mirror": "entity series",
    "stranger": "unlisted project",
    "moment": "timestamp, or stream series",
    "fact": "the value by its name",
    "kept": "cached, stored, remembered",
    "keeper": "cursor record, checkpoint",
    "farewell": "release",
    "ours": "owned",
    "hole": "gap",
    "aside": "out of order",
    "let go": "release",
    "former self": "previous process",
    "told": "reported",
    "tell": "report",
    "said": "reported",
    "look": "check, collect",
    "outbox": "export queue",
    "happening": "synthetic event",
    "house": "the thing by its name",
}
NOT_IN_PROSE = (
    *("door", "greet", "dismiss", "verdict", "occupancy", "stranger", "farewell", "keeper", "outbox", "happening"),
    *("former self", "loop watch", "let go"),
)
ALLOWED = {
    "looks_like_path": "the verb of the language",
}


def _singular(word: str) -> str:
    return word if word == "ours" else word.removesuffix("s")


@cache
def words(name: str) -> str:
    """The words of an identifier in lower case, each in its singular, with blanks between and around them."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return f" {' '.join(_singular(word.lower()) for word in found)} "


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name that a module gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def private_words(name: str) -> list[str]:
    """The words of `NOT_IN_NAMES` that an identifier has."""
    return [word for word in NOT_IN_NAMES if words(word) in words(name)]


def test_names_are_those_of_the_field() -> None:
    """In modules, classes, functions, arguments and variables."""
    found = [
        f"{path.relative_to(ROOT)}: {name}: {', '.join(NOT_IN_NAMES[word] for word in private_words(name))}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in sorted({path.stem, *identifiers(ast.parse(path.read_text("utf-8")))} - ALLOWED.keys())
        if private_words(name)
    ]
    assert found == []


def test_a_word_is_found_in_any_spelling() -> None:
    assert private_words("_let_go_all") == ["let go"]
    assert private_words("DoorMetrics") == ["door"]
    assert private_words("KEPT_HOLES") == ["kept", "hole"]
    assert private_words("foretold_doorway_loops") == []


def test_prose_has_none_of_these_words() -> None:
    """In documents, docstrings, comments, help and messages."""
    pattern = re.compile(rf"\b(?:{'|'.join(NOT_IN_PROSE)})(?:s|es|ed|ing)?\b", re.IGNORECASE)
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *PACKAGE.rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in sorted(files)
        if path.name != "CHANGELOG.md"  # tells what things were called
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert found == []


@pytest.mark.slow
def test_every_name_that_is_not_reported_as_unused_would_be() -> None:
    """The list in pyproject.toml has no entry too many; `make lint` finds one too few."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]
    checker = Vulture()
    checker.scavenge([str(ROOT / path) for path in settings["paths"]])
    assert set(settings["ignore_names"]) - {item.name for item in checker.get_unused_code()} == set()


def test_paths_in_the_page_for_developers_exist() -> None:
    """Relative to the repository or to the package; what a run makes, and paths of a system, are not meant."""
    page = (ROOT / "docs/development.md").read_text()
    named = set(re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:py|sh|md|toml))`", page))
    named = {text for text in named if not text.startswith((".venv", ".tools", ".fuzz"))}
    missing = {text for text in named if not (ROOT / text).exists() and not any(PACKAGE.glob(f"**/{text}"))}
    assert len(named) > 30
    assert missing == set()
