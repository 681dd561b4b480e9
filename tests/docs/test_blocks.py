"""Every fenced block of every page runs, is loaded or is compared, or says why it cannot be."""

import asyncio
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from iris_exporter.transports.sse_parser import SseParser
from tests.backend import test_examples
from tests.contract import test_openapi_exporter
from tests.docs import files, shell
from tests.docs.pages import Block, all_blocks, blocks, commands, name, pages, prose
from tests.integration.test_nginx import LOCATION
from tests.tools import ROOT

BLOCKS = all_blocks()
COMMANDS = ("console", "sh")
QUICK_START = "docs/quickstart.md"
BY_THEMSELVES = {"pip", "Container", "systemd"}
"""Sections of the quick start whose commands tests/docs/test_quickstart.py runs: they install something."""
SCHEMAS = {"A stream": "Stream", "The overview": "Overview", "Events": "Event", "Errors of the API": "BadParameter"}
"""Of the blocks of JSON of docs/http.md, by heading: their schemas in docs/openapi-exporter.yaml."""


def is_of_the_quick_start(block: Block) -> bool:
    return block.page == QUICK_START and block.heading in BY_THEMSELVES


def how(block: Block) -> str:
    """How a block is held to what it says; empty for not at all."""
    match block.language:
        case "console" | "sh":
            return "" if block.reason else "runs"
        case "yaml":
            return "is loaded" if files.needs(block.text) is not None else ""
        case "json":
            covered = block.page == "docs/protocol.md" or (block.page == "docs/http.md" and block.heading in SCHEMAS)
            return "fits its schema" if covered else ""
        case "sse" | "python" | "nginx" | "mermaid":
            return block.language
        case "text":
            return "says why not" if len(block.reason.split()) >= 2 else ""
        case _:
            return ""


def of(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


def test_every_block_is_covered() -> None:
    """Commands run, files are loaded, data fit their schemas, and text that nothing can check says why."""
    assert {str(block): block.language for block in BLOCKS if not how(block)} == {}


def other_blocks(text: str) -> list[str]:
    """The first lines of code without a fence, which no test would see: indented, or in HTML."""
    lines = prose(text).splitlines()
    indented = [
        line for before, line in pairwise(["", *lines]) if re.match(r"( {4}|\t)\s*\S", line) and not before.strip()
    ]
    return [*indented, *(line for line in lines if re.search(r"<(pre|code)\b", line))]


def test_code_has_a_fence() -> None:
    assert {name(path): found for path in pages() if (found := other_blocks(path.read_text("utf-8")))} == {}
    assert len(other_blocks("words\n\n    $ true\n\n\tfalse\n<pre>\n")) == 3


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("```console\n$ true\n```", "runs"),
        ("```text\nwords\n```", ""),
        ("<!-- not run: a drawing -->\n```text\nwords\n```", "says why not"),
        ("<!-- not run: -->\n```text\nwords\n```", ""),
        ("<!-- not run: a drawing -->\n```console\n$ true\n```", ""),
        ("```\n$ true\n```", ""),
        ("~~~~ yaml\n# values.yaml\na: 1\n~~~~", "is loaded"),
        ("```yaml\na: 1\n```", ""),
        ("```yaml\n# other.yaml\na: 1\n```", ""),
        ("- In a list:\n\n  ```rust\n  fn main() {}\n  ```", ""),
        ("```json\n{}\n```", ""),
        ("```python\n1\n", "python"),
    ],
)
def test_a_block_that_is_not_covered_is_found(text: str, covered: str) -> None:
    assert [how(block) for block in blocks("docs/new.md", text)] == [covered]


def test_output_and_commands_are_told_apart() -> None:
    (block,) = blocks("p.md", "```console\n$ a \\\n    b  # c\nd\n\n$ e\n```")
    assert [(command.text, command.output) for command in commands(block)] == [("a b  # c", ("d", "")), ("e", ())]
    (block,) = blocks("p.md", "```console\n$ cat > f <<'EOF'\n$ a\nEOF\n$ b\n```")
    assert [command.text for command in commands(block)] == ["cat > f <<'EOF'\n$ a\nEOF", "b"]


def _slow(block: Block) -> bool:
    return re.search(r"iris-exporter|EXPORTER|:14747", block.text) is not None


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            block,
            id=str(block),
            marks=[pytest.mark.needs(*shell.needs(block)), pytest.mark.integration]
            + ([pytest.mark.slow] if _slow(block) else []),
        )
        for block in BLOCKS
        if block.language in COMMANDS and not is_of_the_quick_start(block)
    ],
)
@pytest.mark.time_limit(90)
async def test_commands_run(block: Block, tmp_path: Path) -> None:
    """With addresses of a backend and an exporter of the test; they print what the page shows."""
    await shell.run_block(block, tmp_path)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=str(block), marks=pytest.mark.needs(*(files.needs(block.text) or ())))
        for block in BLOCKS
        if block.language == "yaml"
    ],
)
def test_files_are_loaded(block: Block, tmp_path: Path) -> None:
    """By whom they are meant for."""
    files.load(block.text, tmp_path)


@pytest.mark.parametrize("block", [each for each in of("json") if each.values[0].page == "docs/http.md"])
def test_answers_of_the_exporter_fit_their_schemas(block: Block) -> None:
    value = json.loads(block.text)
    for each in value if isinstance(value, list) else [value]:
        test_openapi_exporter.check(SCHEMAS[block.heading], each)


def test_messages_of_the_protocol_are_all_checked() -> None:
    """By tests/backend/test_examples.py."""
    checked = [json.dumps(message) for message in test_examples.MESSAGES]
    shown = [
        json.dumps(json.loads(block.text))
        for block in BLOCKS
        if block.page == "docs/protocol.md" and block.language == "json"
    ]
    assert [text for text in shown if text not in checked] == []


@pytest.mark.parametrize("block", of("sse"))
def test_events_are_server_sent_events(block: Block) -> None:
    """With data in JSON, but for what is left out; those of /api/v1/follow have fields of its schemas."""
    events = SseParser(100_000).feed(f"{block.text}\n".encode())
    assert events
    for event in events:
        data = json.loads(event.data.decode().replace("[...]", "[]").replace(",...}", "}"))
        if block.page == "docs/http.md":
            schema = {"snapshot": "Snapshot", "state": "Stream", "event": "FollowedEvent", "lost": "Lost"}[event.name]
            properties = test_openapi_exporter.DOCUMENT["components"]["schemas"][schema]
            assert set(data) <= _properties(properties), schema


def _properties(schema: dict[str, Any]) -> set[str]:
    found = set(schema.get("properties", ()))
    for part in schema.get("allOf", ()):
        name = part.get("$ref", "").rpartition("/")[2]
        found |= _properties(test_openapi_exporter.DOCUMENT["components"]["schemas"][name] if name else part)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("block", of("python"))
def test_examples_in_python_run(block: Block, tmp_path: Path) -> None:
    """As a program of their own; a function `example` without parameters is called."""
    program = tmp_path / "example.py"
    program.write_text(
        f"{block.text}\n\nif 'example' in globals():\n    import asyncio\n\n    asyncio.run(example())\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", program],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_part_of_nginx_is_what_its_test_runs() -> None:
    """See tests/integration/test_nginx.py."""
    assert [block.text.partition("#")[0].strip() for block in BLOCKS if block.language == "nginx"] == [LOCATION]


def test_stand_ins_have_reasons_and_are_used() -> None:
    """A row that nothing needs any more goes."""
    texts = [command.text for block in BLOCKS if block.language in COMMANDS for command in commands(block)]
    assert [row.pattern for row in shell.STAND_INS if not any(re.search(row.pattern, text) for text in texts)] == []
    assert all(len(row.why.split()) > 2 for row in shell.STAND_INS)


def test_a_shell_fails_where_a_page_shows_something_else(tmp_path: Path) -> None:
    """A command that fails, one that prints something else, and a server that ends."""
    for text in ("$ false", "$ echo a\nb", "$ iris-exporter --no-such-option", "$ no-such-program"):
        (block,) = blocks("p.md", f"```console\n{text}\n```")
        directory = tmp_path / str(hash(text))
        directory.mkdir()
        with pytest.raises(AssertionError):
            asyncio.run(shell.run_block(block, directory))
