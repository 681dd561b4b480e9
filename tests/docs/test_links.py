"""Links of the documentation lead somewhere; those to other places have the form of an address."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import anchors, links
from tests.tools import ROOT

PAGES = sorted(
    ROOT / path
    for path in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()
    if (ROOT / path).is_file()
)  # fmt: skip
INDEX = ROOT / "docs/README.md"


def problem(page: Path, target: str) -> str:
    """What is wrong with a link; empty for nothing."""
    if re.match(r"[a-z][a-z+.-]*:", target):
        parts = urlsplit(target)
        good = parts.scheme in ("https", "mailto") or (parts.scheme == "http" and parts.hostname == "localhost")
        return "" if good and not target.endswith((".", ",", ";")) else "no address that a link should have"
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return "there is no such file"
    if not file.is_relative_to(ROOT):
        return "it leads out of the repository"
    if anchor and file.suffix == ".md" and anchor not in anchors(file.read_text("utf-8")):
        return "there is no such heading"
    return "" if target else "it is empty"


def test_links_lead_somewhere() -> None:
    found = [
        f"{page.relative_to(ROOT)}: {target}: {trouble}"
        for page in PAGES
        for target in links(page.read_text("utf-8"))
        if (trouble := problem(page, target))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("target", "trouble"),
    [
        ("README.md", ""),
        ("concepts.md#the-cursor", ""),
        ("#the-documentation", ""),
        ("../README.md#use", ""),
        ("https://example.com/a?b#c", ""),
        ("none.md", "there is no such file"),
        ("concepts.md#no-such", "there is no such heading"),
        ("#no-such", "there is no such heading"),
        ("ftp://example.com/", "no address that a link should have"),
        ("http://example.com/", "no address that a link should have"),
        ("../../..", "it leads out of the repository"),
        ("", "it is empty"),
    ],
)
def test_what_is_wrong_with_a_link_is_found(target: str, trouble: str) -> None:
    assert problem(ROOT / "docs/development.md", target) == trouble


def test_links_are_found_in_every_form_and_not_in_code() -> None:
    text = '[a](b.md) ![p](c.png) [x `code`](d.md "t") <https://e.example>\n'
    text += "[r]: f.md\n`[no](g.md)`\n```sh\n[no](h.md)\n```\n"
    assert links(text) == ["b.md", "c.png", "d.md", "f.md", "https://e.example"]


def test_headings_are_named_as_github_names_them() -> None:
    text = "# `/metrics`, in short\n## A b\n## A b\n```text\n# no\n```\n## [Link](x.md) to\n### a-b_c: d?\n"
    assert anchors(text) == {"metrics-in-short", "a-b", "a-b-1", "link-to", "a-b_c-d"}


def test_the_index_leads_to_every_page_and_document() -> None:
    """Of docs/, but for pictures and examples, which pages lead to."""
    named = set(links(INDEX.read_text("utf-8")))
    files = {path.name for path in INDEX.parent.iterdir() if path.suffix in (".md", ".yaml")} - {"README.md"}
    assert files - named == set()


def test_every_file_of_the_documentation_that_anything_names_exists() -> None:
    """In code, comments, charts and units; the changelog tells what things were called."""
    listing = subprocess.run(
        ["git", "grep", "-ohI", "-E", r"docs/[a-z-]+\.(md|yaml)", "--", ".", ":!CHANGELOG.md", ":!tests/docs"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert {path for path in set(listing.stdout.split()) if not (ROOT / path).exists()} == set()
