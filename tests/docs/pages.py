"""The pages that people read, taken apart: fenced blocks, commands in them, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tools import ROOT

_FENCE = re.compile(r"^( *)(`{3,}|~{3,}) *([^\n`]*)$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")
_HEADING = re.compile(r"^(#{1,6}) +(.+?) *#*$")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(<?([^)\s>]*)>?(?: +\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]: +(\S+)", re.MULTILINE)
_AUTOLINK = re.compile(r"<([a-z][a-z+.-]*:[^\s<>]+)>")
_HERE = re.compile(r"<<'?(\w+)'?$")
_CODE = re.compile(r"(`+)(?:(?!\1).)+?\1")


@dataclass(frozen=True)
class Block:
    """A fenced block. `reason` is that of a comment `<!-- not run: REASON -->` in the line before it, else empty."""

    page: str
    line: int
    heading: str
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command of a block, and the lines that the page shows as its output."""

    text: str
    output: tuple[str, ...]


def pages() -> Iterator[Path]:
    """Everything that people read."""
    yield from sorted(ROOT.glob("*.md"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "deploy").rglob("*.md"))


def name(path: Path) -> str:
    """The path of a page as others name it."""
    return path.relative_to(ROOT).as_posix()


def all_blocks() -> list[Block]:
    """The blocks of all pages."""
    return [block for path in pages() for block in blocks(name(path), path.read_text("utf-8"))]


def blocks(page: str, text: str) -> Iterator[Block]:
    """The blocks of a page, also those in lists; one without an end goes to the end of the page, as in CommonMark."""
    heading, before = "", ""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if (fence := _FENCE.match(line)) is not None:
            content = []
            for _, inner in lines:
                end = _FENCE.match(inner)
                if end is not None and end[2].startswith(fence[2]) and not end[3]:
                    break
                content.append(inner[len(fence[1]) :] if inner.startswith(fence[1]) else inner.lstrip())
            reason = _NOT_RUN.match(before)
            yield Block(page, number, heading, fence[3].strip(), "\n".join(content) + "\n", reason[1] if reason else "")
        elif (found := _HEADING.match(line)) is not None:
            heading = found[2]
        before = line


def commands(block: Block) -> list[Command]:
    """The commands of a block: lines with a prompt, and in a block of `sh` every line.

    A command goes on after `\\`, and to the end of a here-document.
    """
    found: list[tuple[str, list[str]]] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if block.language == "sh":
            text = line
        elif line.startswith("$ "):
            text = line[2:]
        else:
            assert found, f"{block}: output without a command: {line}"
            found[-1][1].append(line)
            continue
        while text.endswith("\\"):
            text = text[:-1].rstrip() + " " + next(lines).strip()
        if (document := _HERE.search(text)) is not None:
            text += "\n" + "".join(f"{each}\n" for each in iter(lines.__next__, document[1])) + document[1]
        if text.strip() and not text.lstrip().startswith("#"):
            found.append((text, []))
    return [Command(text, tuple(output)) for text, output in found]


def prose(text: str) -> str:
    """The page without its blocks and code, lines where they were."""
    kept, fence = [], ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence:
            fence = "" if found is not None and found[2].startswith(fence) and not found[3] else fence
            kept.append("")
        elif found is not None:
            fence = found[2]
            kept.append("")
        else:
            kept.append(line)
    return _CODE.sub("code", "\n".join(kept))


def anchors(text: str) -> set[str]:
    """What `#...` may lead to, as GitHub names headings: in lower case, dashes for blanks, `-1` for a second one."""
    found: dict[str, int] = {}
    result = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    fence = ""
    for line in text.splitlines():
        opened = _FENCE.match(line)
        if opened is not None:
            fence = opened[2] if not fence else "" if opened[2].startswith(fence) and not opened[3] else fence
        heading = None if fence else _HEADING.match(line)
        if heading is not None:
            words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[2])
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            count = found.get(anchor, 0)
            found[anchor] = count + 1
            result.add(f"{anchor}-{count}" if count else anchor)
    return result


def links(text: str) -> list[str]:
    """The targets of all links and pictures of a page."""
    # Code within the words of a link is no reason to miss the link; a link within code is none.
    shown = prose(text)
    return [*_LINK.findall(shown), *_REFERENCE.findall(shown), *_AUTOLINK.findall(shown)]
