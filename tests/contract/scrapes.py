"""The scrape configurations that the repository ships, in files and in the text of pages."""

from typing import Any

import yaml

from tests.docs.pages import all_blocks
from tests.tools import ROOT


def shipped_scrapes() -> dict[str, list[dict[str, Any]]]:
    """Path of a file to its scrape configurations of the exporter."""
    documents = [
        (ROOT / block.page, yaml.safe_load(block.text))
        for block in all_blocks()
        if block.language == "yaml" and "scrape_configs:" in block.text
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
