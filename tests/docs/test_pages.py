"""What pages say about versions, state files and names is so."""

import re
from pathlib import Path

import pytest

from iris_exporter import __version__
from iris_exporter.backend.relay import journal
from iris_exporter.config import OPTIONS
from iris_exporter.core.positions import CursorState
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore
from scripts import whole_parser
from tests.docs.pages import all_blocks, name, pages
from tests.tools import ROOT

DOCS = ROOT / "docs"
URL = "https://iris.example.com/api/stream"


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_the_version_has_a_section_that_says_what_to_do() -> None:
    """And a release is refused without one: see .github/workflows/release.yml."""
    sections = re.split(r"^### (\S+)$", page("upgrading.md").partition("## Versions")[2], flags=re.MULTILINE)
    written = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert len(written[__version__].split()) > 5
    workflow = (ROOT / ".github/workflows/release.yml").read_text()
    assert 'grep -qx "### $version" docs/upgrading.md' in workflow
    assert 'grep -q "^## \\[$version\\]" CHANGELOG.md' in workflow


def format_of(text: str) -> str:
    """The format that the page gives a file of the state directory, by the words of its row."""
    (row,) = [line for line in page("upgrading.md").splitlines() if line.startswith(f"| `{text}")]
    return row.split("|")[3].strip()


def test_formats_of_state_files_are_those_of_the_program(tmp_path: Path) -> None:
    store = CursorStore(tmp_path)
    store.stage([CursorRecord("main", URL, CursorState("9f31c2", 7), ["a"])]).commit()
    magic, version, _ = (tmp_path / "main.cursor").read_bytes().partition(b"\n")[0].split()
    assert (magic.decode(), version.decode()) == ("iris-exporter-cursor", format_of("NAME.cursor`"))
    assert str(journal._VERSION) == format_of(journal.FILE)


def test_an_older_program_ignores_fields_that_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback within one format goes on where the newer version was."""

    class Newer(CursorRecord, frozen=True, rename={"pinned_ids": "held"}):
        later: str = "words of a later version"

    CursorStore(tmp_path).stage([Newer("main", URL, CursorState("9f31c2", 7), ["a"])]).commit()
    assert b"later" in (tmp_path / "main.cursor").read_bytes()
    found = CursorStore(tmp_path).load("main", URL)
    assert found is not None
    assert (found.cursor.text, found.ids) == ("9f31c2-7", ["a"])


def test_a_file_of_another_format_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = CursorStore(tmp_path)
    store.stage([CursorRecord("main", URL, CursorState("9f31c2", 7), ["a"])]).commit()
    file = tmp_path / "main.cursor"
    file.write_bytes(file.read_bytes().replace(b"iris-exporter-cursor 1 ", b"iris-exporter-cursor 2 ", 1))
    assert store.load("main", URL) is None
    assert [path.name for path in tmp_path.iterdir()] == ["main.cursor.aside"]
    assert "state.set_aside" in caplog.messages


def test_queries_name_attributes_that_there_are() -> None:
    """Those of Tempo and Loki, which no program here can read."""
    known = set(re.findall(r"`((?:iris|service)\.[a-z.]+)`", page("traces.md") + page("logs.md")))
    texts = [block.text for block in all_blocks() if block.page == "docs/opentelemetry.md" and block.language == "text"]
    dotted = {name for text in texts for name in re.findall(r"\b(iris\.[a-z.]+)", text)}
    assert len(dotted) >= 3
    assert dotted - known == set()
    stored = {name for text in texts for name in re.findall(r"\| (iris_[a-z_]+)", text)}
    assert len(stored) >= 3
    assert stored - {name.replace(".", "_") for name in known} == set()


def test_the_readme_is_short() -> None:
    """What it leads to is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z.-]*[a-z]")
OF_OTHERS = {"--web.enable-otlp-receiver"}
"""Flags with a dot that Prometheus has."""


def inline_code() -> list[tuple[str, str]]:
    """Page and text of all code in sentences and tables; the changelog tells what things were called."""
    return [
        (name(path), found[1])
        for path in pages()
        if path.name != "CHANGELOG.md"
        for found in re.findall(r"(`+)(.+?)\1", path.read_text("utf-8"), re.DOTALL)
    ]


def test_flags_and_variables_in_sentences_are_those_of_the_program() -> None:
    parsers = list(whole_parser.parsers(whole_parser.whole_parser()))
    known = {flag for parser in parsers for flag in parser._option_string_actions} | OF_OTHERS
    known |= {option.variable for option in OPTIONS}
    unknown = [
        (page, word)
        for page, text in inline_code()
        for word in [*FLAG.findall(text), *re.findall(r"\bIRIS_EXPORTER_[A-Z_]+\b(?!\*)", text)]
        if ("." in word or not word.startswith("--") or text.startswith("iris-exporter ")) and word not in known
    ]
    assert unknown == []


def test_commands_in_sentences_are_commands_of_the_program() -> None:
    parser = whole_parser.whole_parser()
    words = {
        re.split(r"[\s>]", text.split("iris-exporter ", 1)[1])[0]
        for _, text in inline_code()
        if "iris-exporter " in text
    }
    commands = {word for word in words if re.fullmatch(r"[a-z]+", word)}
    assert {"check", "demo", "backend", "completion"} <= commands
    assert commands - parser.commands.keys() == set()


@pytest.mark.parametrize("way", ["pip", "Container", "Compose", "Helm", "systemd"])
def test_each_way_says_what_one_should_see_and_what_to_do_otherwise(way: str) -> None:
    text = re.split(rf"^## {way}$", page("quickstart.md"), flags=re.MULTILINE)[1].split("\n## ")[0]
    seen, _, otherwise = text.partition("**If you do not see it")
    assert "**What you should see.**" in seen
    assert "iris-exporter check " in otherwise
