"""Diagrams can be drawn, and those of docs/concepts.md are what the code has."""

from pathlib import Path
from typing import Any

import pytest

from iris_exporter.core.connection import STATES, TABLE
from scripts import generate_comparison, generate_concepts
from tests.docs.pages import all_blocks
from tests.integration.chromium import chromium
from tests.tools import ROOT, tool

DIAGRAMS = [block for block in all_blocks() if block.language == "mermaid"]
DRAW = """async (name, text) => {
    mermaid.initialize({startOnLoad: false, suppressErrorRendering: true});
    const {svg} = await mermaid.render(name, text);
    const page = new DOMParser().parseFromString(svg, 'text/html');
    return [page.querySelector('svg').getAttribute('aria-roledescription'), page.body.textContent];
}"""


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.needs("chromium", "mermaid")
async def test_every_diagram_can_be_drawn_without_a_network(tmp_path: Path) -> None:
    """By the library that GitHub uses; a mistake in one is found."""
    page_file = tmp_path / "page.html"
    script = Path(tool("mermaid")) / "mermaid.min.js"
    page_file.write_text(f'<!doctype html><meta charset="utf-8"><script src="{script.as_uri()}"></script>')
    async with chromium(tmp_path / "profile") as browser:
        said: list[dict[str, Any]] = []
        page = await browser.page(page_file.as_uri(), said.append)
        for number, block in enumerate(DIAGRAMS):
            kind, shown = await page.call(f"({DRAW})", f"diagram{number}", block.text)
            assert kind in ("stateDiagram", "sequence", "flowchart-v2"), block
            assert len(shown) > 100, block
        with pytest.raises(AssertionError, match="Parse error"):
            await page.call(f"({DRAW})", "broken", DIAGRAMS[0].text.replace("-->", "--"))
        assert page.complaints == []


def test_there_is_a_diagram_of_each_idea() -> None:
    assert [block.heading for block in DIAGRAMS if block.page == "docs/concepts.md"] == [
        "States",
        "The cursor",
        "Exactly once",
        "Stale data",
    ]


def test_the_diagram_of_states_has_every_step_of_the_table() -> None:
    """Worked out here in another way than in the generator."""
    text = generate_concepts.states()
    for (phase, what), (following, _) in TABLE.items():
        if what not in generate_concepts.BY_HAND and STATES[phase] is not STATES[following]:
            (line,) = [each for each in text.splitlines() if f" {STATES[phase]} --> {STATES[following]}: " in each]
            assert generate_concepts.WORDS[what] in line


def test_generated_parts_are_current() -> None:
    """The one of `make lint` says the same of all files; this one says it where the page is edited."""
    page = (ROOT / "docs/concepts.md").read_text()
    assert generate_concepts.render(page) == page


@pytest.mark.parametrize("name", generate_concepts.PARTS)
def test_a_page_without_one_of_its_parts_is_refused(name: str) -> None:
    page = (ROOT / "docs/concepts.md").read_text()
    with pytest.raises(ValueError, match=name):
        generate_concepts.render(page.replace(f"<!-- end {name} -->", ""))


def test_the_figures_of_the_comparison_are_those_of_the_benchmarks() -> None:
    page = (ROOT / "docs/comparison.md").read_text()
    benchmarks = (ROOT / "docs/benchmarks.md").read_text()
    assert generate_comparison.render(page, benchmarks) == page
    changed = benchmarks.replace("| iris-exporter | ", "| iris-exporter | 1", 1)
    assert generate_comparison.render(page, changed) != page
