"""Names: none that nothing reads, and no path in the page for developers that leads nowhere."""

import re
import tomllib
from pathlib import Path

import pytest
from vulture import Vulture

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "iris_exporter"


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
