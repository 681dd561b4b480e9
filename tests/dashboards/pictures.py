"""Makes the pictures of the documentation: `make pictures`.

Dashboards are drawn as in the tests, from a recording made anew, so that a picture is never of a dashboard that is
gone. The exporter's own page is what Chromium shows of it.
"""

import argparse
import asyncio
import base64
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.dashboards import answers, drawing, recording
from tests.integration.chromium import chromium
from tests.integration.harness import sidecar
from tests.integration.programs import wait_until
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
PAGE = "page"
PAGE_HEIGHT = 720
NEEDS = (*drawing.NEEDS, "pngquant")


async def _jobs(directory: Path) -> list[dict[str, Any]]:
    choices = {choice.name: choice for choice in answers.CHOICES}
    async with recording.recorded(directory) as server:
        return [
            await answers.job(ROOT / f"dashboards/json/{board}.json", choices[choice], WIDTH, theme, server, directory)
            | {"name": name, "picture": True, "height": height}
            for name, (board, choice, theme, height) in PICTURES.items()
        ]


async def _page(directory: Path) -> bytes:
    """A picture of the exporter's page, with a live stream of synthetic data that has sent some events."""
    async with (
        Backend(BackendSettings(port=0, seed=7, rate=2.0)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream", "--stream.name=demo") as exporter,
        chromium(directory / "profile") as browser,
    ):
        await exporter.counts("iris_events_total", 20, seconds=60)
        page = await browser.page(f"{exporter.url}/", lambda _: None)
        size = {"width": WIDTH, "height": PAGE_HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        await page.ask("Emulation.setDeviceMetricsOverride", **size)

        async def moves() -> bool:
            return "messages/s" in await page.call("(() => document.body.innerText)")

        await wait_until(moves, "a rate on the page", 20)
        shot = await page.ask("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


def main() -> int:
    """Write every picture; 1 when a program is missing."""
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation.")
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY, help="where to (default: docs/pictures)")
    parser.add_argument("--only-page", action="store_true", help="make the one of the exporter's own page alone")
    arguments = parser.parse_args()
    target: Path = arguments.directory
    missing = [name for name in NEEDS if find_tool(name) is None]
    if missing:
        sys.stderr.write(f"needs {', '.join(missing)}: make tools\n")
        return 1
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        names = [PAGE]
        (directory / f"{PAGE}.png").write_bytes(asyncio.run(_page(directory)))
        if not arguments.only_page:
            jobs = asyncio.run(_jobs(directory))
            drawing.draw(jobs, drawing.bundle(directory), directory)
            names += PICTURES
        for each in names:
            # A page has few colours: 64 of them look the same, and make a third of the bytes.
            picture, small = directory / f"{each}.png", target / f"{each}.png"
            subprocess.run([tool("pngquant"), "--force", "--strip", "--output", small, "64", picture], check=True)
            sys.stdout.write(f"{small}: {small.stat().st_size // 1000} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
