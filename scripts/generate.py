"""Rewrite every generated file, or with `--check` say which of them are out of date.

A generator is a program that takes no arguments and writes its files below the repository's root: each
`scripts/generate_*.py`, and `main.py` in `dashboards/` and `alerts/`. A check runs the generators on a copy of the
tree and compares, so that it needs no convention beyond that and never touches the checkout.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Never generated, and too large to copy.
NOT_SOURCE = (".git", ".venv", ".tools", "node_modules", "__pycache__", "build", "dist", ".*_cache", ".hypothesis")


def generators(root: Path) -> list[Path]:
    """The generators of the tree at `root`, in the order in which they run."""
    # The chart's generator copies what the first two write.
    wanted = [root / "dashboards/main.py", root / "alerts/main.py", *sorted(root.glob("scripts/generate_*.py"))]
    return [path for path in wanted if path.exists()]


def generate(root: Path) -> None:
    """Run all generators of the tree at `root`, with that tree's own package.

    Raises:
        subprocess.CalledProcessError: A generator failed; those after it have not run.
    """
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    for generator in generators(root):
        subprocess.run([sys.executable, str(generator)], cwd=root, env=environment, check=True)


def outdated(root: Path) -> list[Path]:
    """Files that generating would change, add or remove, relative to `root`."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory) / "tree"
        shutil.copytree(root, fresh, ignore=shutil.ignore_patterns(*NOT_SOURCE))
        before = _files(fresh)
        generate(fresh)
        after = _files(fresh)
        common = before & after
        changed = {path for path in common if not filecmp.cmp(root / path, fresh / path, shallow=False)}
        return sorted(changed | (before ^ after))


def _files(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*") if path.is_file()}


def main() -> int:
    """Run as a program; the exit code is 1 when `--check` finds a file out of date, or a generator fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only, change nothing")
    arguments = parser.parse_args()
    try:
        if not arguments.check:
            generate(ROOT)
            return 0
        stale = outdated(ROOT)
    except subprocess.CalledProcessError as error:
        print(f"generate: {error}", file=sys.stderr)
        return 1
    for path in stale:
        print(f"generate: {path} is out of date; run `make generate`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
