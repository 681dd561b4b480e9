"""Makes the pictures of the documentation: `make pictures`.

They are drawn as in the tests, from a recording made anew, so that a picture is never of a dashboard that is gone.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.dashboards import answers, drawing, recording
from tests.tools import ROOT, find_tool, tool

DIRECTORY = ROOT / "docs/pictures"
WIDTH = 1280
PICTURES = {
    # File: dashboard, choice, theme, height in pixels (0: all of it).
    "overview": ("iris-overview", "fourteen", "dark", 900),
    "overview-200-streams": ("iris-overview", "two-hundred", "light", 900),
    "connection": ("iris-connection", "fourteen", "light", 1200),
    "exporter": ("iris-exporter", "fourteen", "light", 900),
    "project": ("iris-project", "error", "light", 900),
}
NEEDS = (*drawing.NEEDS, "pngquant")


async def _jobs(directory: Path) -> list[dict[str, Any]]:
    choices = {choice.name: choice for choice in answers.CHOICES}
    async with recording.recorded(directory) as server:
        return [
            await answers.job(ROOT / f"dashboards/json/{board}.json", choices[choice], WIDTH, theme, server, directory)
            | {"name": name, "picture": True, "height": height}
            for name, (board, choice, theme, height) in PICTURES.items()
        ]


def main() -> int:
    """Write every picture; 1 when a program is missing."""
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation.")
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY, help="where to (default: docs/pictures)")
    target: Path = parser.parse_args().directory
    missing = [name for name in NEEDS if find_tool(name) is None]
    if missing:
        sys.stderr.write(f"needs {', '.join(missing)}: make tools\n")
        return 1
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        jobs = asyncio.run(_jobs(directory))
        drawing.draw(jobs, drawing.bundle(directory), directory)
        for job in jobs:
            # A page has few colours: 64 of them look the same, and make a third of the bytes.
            picture, small = directory / f"{job['name']}.png", target / f"{job['name']}.png"
            subprocess.run([tool("pngquant"), "--force", "--strip", "--output", small, "64", picture], check=True)
            sys.stdout.write(f"{small}: {small.stat().st_size // 1000} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
