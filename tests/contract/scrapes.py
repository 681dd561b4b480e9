"""The scrape configurations that the repository ships, in files and in the text of pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.tools import ROOT

FENCED = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[Path]:
    """Everything that people read."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "deploy").rglob("*.md"))


def shipped_scrapes() -> dict[str, list[dict[str, Any]]]:
    """Path of a file to its scrape configurations of the exporter."""
    documents = [
        (path, yaml.safe_load(text))
        for path in pages()
        for text in FENCED.findall(path.read_text())
        if "scrape_configs:" in text
    ]
    files = [*(ROOT / "deploy").rglob("*.yml"), *(ROOT / "deploy/compose").glob("*.yaml")]
    documents += [
        (path, yaml.safe_load(path.read_text())) for path in sorted(files) if "scrape_configs:" in path.read_text()
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for path, document in documents:
        ours = [scrape for scrape in document["scrape_configs"] if ":14747" in str(scrape)]
        found.setdefault(str(path.relative_to(ROOT)), []).extend(ours)
    return found
