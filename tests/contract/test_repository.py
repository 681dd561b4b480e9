"""What the repository promises: clean text, a README that works, current generated files, a wheel, rules for tests."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.generate import outdated
from tests.waiting import BUSY

ROOT = Path(__file__).resolve().parents[2]
# In pieces, so that this file does not name them either.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
    ]
]
HOME_DIRECTORY = re.compile(r"(?<![\w.])/(?:root|home/\w+|Users/\w+)/")


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run to the end, with output kept; variables are added to the environment."""
    return subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=cwd,
        env={**os.environ, **variables},
        text=True,
        capture_output=True,
        timeout=120 * BUSY,
    )


def texts() -> dict[str, str]:
    """Path to text of every file that is, or could be, committed."""
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    assert listing.returncode == 0, listing.stderr
    paths = [path for path in listing.stdout.split("\0") if (ROOT / path).is_file()]
    return {path: (ROOT / path).read_text(errors="replace") for path in paths}


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the machine's configuration."""
    found = [(path, host) for path, text in texts().items() for host in REGISTRY_HOSTS if host in text]
    assert found == []


def test_no_file_holds_a_path_of_a_machine() -> None:
    """Neither this checkout's place nor anybody's home directory."""
    found = {
        path: match.group() if match else str(ROOT)
        for path, text in texts().items()
        if (match := HOME_DIRECTORY.search(text)) or f"{ROOT}/" in text
    }
    assert found == {}


def test_the_readme_begins_with_the_two_commands() -> None:
    """`make demo` and `make test` stand on the first screen, and the Makefile has them."""
    first_screen = (ROOT / "README.md").read_text().splitlines()[:30]
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert any(line.startswith(f"make {target}") for line in first_screen)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.slow  # `make lint` does the same
def test_generated_files_are_up_to_date() -> None:
    """`make generate` would change nothing."""
    result = run(sys.executable, "scripts/generate.py", "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_check_of_generated_files_sees_what_changed(tmp_path: Path) -> None:
    """An edited, a missing and a surplus file are found; the tree itself stays as it is."""
    generator = tmp_path / "scripts/generate_words.py"
    generator.parent.mkdir()
    generator.write_text(
        "from pathlib import Path\n"
        "root = Path(__file__).parent.parent\n"
        "for name in ('edited', 'missing', 'current'): (root / name).write_text('words')\n"
        "(root / 'surplus').unlink(missing_ok=True)\n"
    )
    (tmp_path / "edited").write_text("other words")
    (tmp_path / "current").write_text("words")
    (tmp_path / "surplus").write_text("")
    assert outdated(tmp_path) == [Path("edited"), Path("missing"), Path("surplus")]
    assert (tmp_path / "edited").read_text() == "other words"


@pytest.mark.slow
def test_the_wheel_is_typed_licensed_and_runs(tmp_path: Path) -> None:
    """The program in the wheel starts without the checkout."""
    build = run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--disable-pip-version-check", "--wheel-dir", tmp_path, ROOT),
    )
    assert build.returncode == 0, build.stderr
    (wheel,) = tmp_path.glob("iris_exporter-*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(unpacked)
    assert "iris_exporter/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"iris_exporter"}

    where = run(
        *(sys.executable, "-c", "import iris_exporter; print(iris_exporter.__file__, iris_exporter.__version__)"),
        cwd=tmp_path,
        PYTHONPATH=str(unpacked),
    )
    origin, version = where.stdout.split()
    assert Path(origin).is_relative_to(unpacked)
    result = run(sys.executable, "-m", "iris_exporter", "--version", cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"iris-exporter, version {version} ")


def run_pytest(directory: Path, source: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `source` as a test file under the rules of tests/conftest.py."""
    file = directory / "test_sample.py"
    file.write_text("import asyncio, os, subprocess, pytest\n" + source)
    rules = ("-p", "tests.conftest", "-c", ROOT / "pyproject.toml", "--rootdir", directory, "-p", "no:cacheprovider")
    return run(sys.executable, "-m", "pytest", *rules, *options, file, cwd=directory, PYTHONPATH=str(ROOT), **variables)


LEFT = re.compile(r"^\d+: .*sleep 60", re.MULTILINE)
"""The program, or the shell that is about to become it: a run may end in between."""
LEAVES_A_PROCESS = "def test_sample(): subprocess.run('sleep 60 >/dev/null 2>&1 &', shell=True)"

WORKERS = pytest.mark.parametrize("workers", ["-n0", "-n1"])

NEEDS = """
@pytest.mark.needs("python3", "no-such-program")
def test_sample(): pass
"""


@pytest.mark.slow
@WORKERS
def test_a_test_whose_program_is_missing_is_left_out_and_listed(workers: str, tmp_path: Path) -> None:
    """The run passes, and its end names the test and the program."""
    result = run_pytest(tmp_path, NEEDS, workers)
    assert result.returncode == 0, result.stdout
    assert "left out (install with `make tools`)" in result.stdout
    assert "test_sample.py::test_sample: no-such-program\n" in result.stdout


@pytest.mark.slow
@WORKERS
def test_a_missing_program_fails_the_test_where_all_are_required(workers: str, tmp_path: Path) -> None:
    """As in `.ci/run`."""
    result = run_pytest(tmp_path, NEEDS, workers, TESTS_REQUIRE_TOOLS="1")
    assert result.returncode == 1
    assert "needs no-such-program; install with `make tools`" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("async def test_sample(): assert (await asyncio.sleep(0, 1)) == 2", "assert 1 == 2"),
        ("async def test_sample(): asyncio.create_task(asyncio.sleep(60))", "tasks left behind"),
        ("@pytest.mark.time_limit(0.01)\nasync def test_sample(): await asyncio.sleep(60)", "TimeoutError"),
        (LEAVES_A_PROCESS, "processes left running"),
        ("def test_sample(): assert 'OTEL_SERVICE_NAME' in os.environ", "AssertionError"),
    ],
    ids=["failure", "task", "time-limit", "process", "environment"],
)
def test_the_rules_for_tests_fail_a_run(tmp_path: Path, body: str, complaint: str) -> None:
    """Each rule of tests/conftest.py can fail a run and says why."""
    result = run_pytest(tmp_path, body, "-n0", OTEL_SERVICE_NAME="from the shell")
    assert result.returncode == 1
    assert complaint in result.stdout


@pytest.mark.slow
def test_a_process_that_a_worker_left_running_fails_the_run(tmp_path: Path) -> None:
    """The worker finds it, and who started the worker says so."""
    result = run_pytest(tmp_path, LEAVES_A_PROCESS, "-n1")
    assert result.returncode == 1
    assert "processes left running" in result.stdout
    assert LEFT.search(result.stdout)


INTERRUPTED = """
@pytest.fixture(scope="module")
def program():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield
        process.terminate()
    with open("code", "w") as file:
        print(process.returncode, file=file)

def test_sample(program): raise KeyboardInterrupt
"""


@pytest.mark.slow
def test_an_interrupt_leaves_the_end_of_a_program_to_its_fixture(tmp_path: Path) -> None:
    """What counts as left running is what is there when all fixtures have ended."""
    result = run_pytest(tmp_path, INTERRUPTED)
    assert result.returncode == pytest.ExitCode.INTERRUPTED, result.stdout
    assert (tmp_path / "code").read_text() == "-15\n"
    assert "processes left running" not in result.stdout
