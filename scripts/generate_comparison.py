"""Write the measured figures of docs/comparison.md: the table of peers of docs/benchmarks.md, as it stands there."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
PART = re.compile(r"(<!-- begin peers: .+? -->\n).*?(<!-- end peers -->)", re.DOTALL)
TABLE = re.compile(r"^\| Messages a CPU second \|.*\n(?:\|.*\n)+", re.MULTILINE)


def render(page: str, benchmarks: str) -> str:
    """The page with the table.

    Raises:
        ValueError: One of the pages does not have its part exactly once.
    """
    tables = TABLE.findall(benchmarks)
    if len(tables) != 1 or len(PART.findall(page)) != 1:
        raise ValueError("docs/benchmarks.md must have the table of peers once, docs/comparison.md its place")
    return PART.sub(lambda found: f"{found[1]}\n{tables[0]}\n{found[2]}", page)


if __name__ == "__main__":
    target = DOCS / "comparison.md"
    target.write_text(render(target.read_text("utf-8"), (DOCS / "benchmarks.md").read_text("utf-8")), "utf-8")
