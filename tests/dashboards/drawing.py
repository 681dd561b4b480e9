"""Dashboards drawn by Grafana's published components in a headless Chromium (see harness/)."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tools import tool

HARNESS = Path(__file__).resolve().parent / "harness"
NEEDS = ("prometheus", "promtool", "node", "chromium", "dashboard-harness")


@dataclass(frozen=True)
class Drawn:
    """One dashboard as it was drawn: what is written where, and how large."""

    name: str
    report: dict[str, Any]

    def panel(self, title: str) -> dict[str, Any]:
        """Measures and facts of the panel with that title."""
        (facts,) = (found for found in self.report["facts"] if found["title"] == title)
        (measures,) = (found for found in self.report["panels"] if found["id"] == facts["id"])
        return {**facts, **measures}

    @property
    def texts(self) -> list[tuple[str, dict[str, Any]]]:
        """Each piece of text with the title of its panel."""
        titles = {found["id"]: found["title"] for found in self.report["facts"]}
        return [(titles[panel["id"]], text) for panel in self.report["panels"] for text in panel["texts"]]


def bundle(directory: Path) -> Path:
    """Make the page; the directory of its files."""
    modules = Path(tool("dashboard-harness")) / "node_modules"
    run("node", HARNESS / "build.mjs", modules, directory / "page")
    return directory / "page"


def draw(jobs: list[dict[str, Any]], page: Path, directory: Path) -> dict[str, Drawn]:
    """Draw each job, by name; pictures are NAME.png in `directory`."""
    modules = Path(tool("dashboard-harness")) / "node_modules"
    listed = directory / "jobs.json"
    listed.write_text(json.dumps(jobs))
    run("node", HARNESS / "render.mjs", modules, page, tool("chromium"), listed, directory)
    names = [job["name"] for job in jobs]
    return {name: Drawn(name, json.loads((directory / f"{name}.json").read_text())) for name in names}


def run(*command: str | Path) -> None:
    """Run a program to its end; its output is in the error when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
