"""From the built wheel and an empty environment to something useful, in one command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import ROOT, tool

DEMO = ("demo", "--duration=5s", "--web.listen-address=127.0.0.1:0", "--backend.listen-address=127.0.0.1:0")


def run(*command: str | Path, **variables: str) -> str:
    """Standard output; wheels come from a directory alone, and nothing of this checkout can be imported."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": tool("runtime-wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = subprocess.run(
        [*map(str, command)], cwd="/", env=kept | offline | variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", directory)
    run(sys.executable, *build, ROOT)
    (built,) = directory.glob("iris_exporter-*.whl")
    return built


def is_useful(printed: str) -> bool:
    """Where to look, and what a live stream has brought."""
    addresses = re.findall(r"http://127\.0\.0\.1:\d+/metrics", printed)
    last = printed.rstrip().splitlines()[-1]
    return (
        len(addresses) == 1 and re.search(r"live .*websocket .* events .*runs \d+ .*success [\d.]+ %", last) is not None
    )


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.needs("runtime-wheels")
def test_pip_installs_it_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """With completion, manual page and dashboards, which are files of the package."""
    run(sys.executable, "-m", "venv", tmp_path)
    run(tmp_path / "bin/pip", "install", "--quiet", wheel)
    program = tmp_path / "bin/iris-exporter"
    assert is_useful(run(program, *DEMO))
    assert "complete -o bashdefault" in run(program, "completion", "bash")
    assert run(program, "config", "example").startswith("# Configuration of iris-exporter.")
    assert (tmp_path / "share/man/man1/iris-exporter.1").is_file()
    run(program, "dashboards", "export", tmp_path / "dashboards")
    assert any((tmp_path / "dashboards").rglob("*.json"))


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.needs("pipx", "runtime-wheels")
def test_pipx_runs_it_without_installing(wheel: Path, tmp_path: Path) -> None:
    pipx = (tool("pipx"), "run", "--python", sys.executable, "--spec", wheel)
    assert is_useful(run(*pipx, "iris-exporter", *DEMO, HOME=str(tmp_path), PIPX_HOME=str(tmp_path / "pipx")))
