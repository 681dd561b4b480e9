"""Rules for all tests: programs that may be missing, `async def` tests, and nothing left running.

With pytest-xdist (`-n`) tests run in workers, and what they find out is put together by the process that the user
started. See docs/development.md, "Tests".
"""

import asyncio
import gc
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from iris_exporter import logs
from iris_exporter.core.redaction import Redactor
from tests.processes import mark_children, marked_processes
from tests.tools import find_tool
from tests.waiting import BUSY

TESTS = Path(__file__).resolve().parent
REQUIRE_TOOLS = "TESTS_REQUIRE_TOOLS"
TIME_LIMIT_SECONDS = 30.0

# A machine that is busy with something else must not fail a property, by its deadline or by the time that it takes to
# draw the first examples. `make test` asks for the quick profile.
WITHOUT_CLOCK: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("full", max_examples=100, **WITHOUT_CLOCK)
hypothesis.settings.register_profile("quick", max_examples=25, **WITHOUT_CLOCK)
hypothesis.settings.load_profile("full")

TOOLS_REQUIRED = pytest.StashKey[bool]()
LEFT_OUT = pytest.StashKey[dict[str, tuple[str, ...]]]()
LEFT_RUNNING = pytest.StashKey[dict[int, str]]()
LEFT_OUT_PROPERTY, LEFT_RUNNING_OUTPUT = "left_out", "left_running"
CHILD_MARK = pytest.StashKey[bytes]()


def pytest_configure(config: pytest.Config) -> None:
    """Start from an environment without settings of the program under test, of OpenTelemetry or of a proxy.

    The machine's certificate authorities are no part of it either: no test needs one, each context of TLS would read
    all of them, and there are hundreds of contexts.
    """
    # Taken out: a pytest that a test starts decides for itself. A worker is told by who started it.
    required = os.environ.pop(REQUIRE_TOOLS, "") not in ("", "0")
    config.stash[TOOLS_REQUIRED] = bool(_worker_input(config).get(REQUIRE_TOOLS, required))
    for name in list(os.environ):
        if name.startswith(("IRIS_EXPORTER_", "OTEL_")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            del os.environ[name]
    os.environ.update(SSL_CERT_FILE=os.devnull, SSL_CERT_DIR=os.devnull)
    gc.disable()  # until all tests are collected, none of which is garbage
    config.stash[LEFT_OUT] = {}
    config.stash[LEFT_RUNNING] = {}
    config.stash[CHILD_MARK] = mark_children()
    _share_the_rewriting(config)
    config.pluginmanager.register(Collector(config))


def _share_the_rewriting(config: pytest.Config) -> None:
    """Let each worker begin to collect in another place, and find there what others have written of the rest.

    Every worker collects all tests, and pytest rewrites the assertions of a file that it has no bytecode of, as in a
    fresh clone: eight seconds in each of them, where all begin with the same file.
    """
    worker = _worker_input(config)
    if not worker or [Path(each).resolve() for each in config.args] != [TESTS]:
        return
    places = sorted(str(path) for path in TESTS.iterdir() if path.is_dir() or path.match("test_*.py"))
    start = int(worker["workerid"].removeprefix("gw")) * len(places) // worker["workercount"]
    config.args = [*places[start:], *places[:start]]


def _worker_input(config: pytest.Config) -> dict[str, Any]:
    """What pytest-xdist hands to a worker; empty in any other process."""
    found: dict[str, Any] = getattr(config, "workerinput", {})
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many workers as cores; without slow tests, some of which need all of them, half as many again.

    A third of a worker's time is waiting for programs and sockets.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + cores // 2 if config.option.markexpr == "not slow" else cores


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker, before it starts, what the environment said."""
    node.workerinput[REQUIRE_TOOLS] = node.config.stash[TOOLS_REQUIRED]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what waits for real programs first, so that no worker is left alone with it at the end.

    The rest is in the order of paths, whatever was collected first: workers must have it in the same one.
    """
    items.sort(key=lambda item: (item.get_closest_marker("integration") is None, item.path.parts))


def pytest_collection_finish() -> None:
    """Take what was collected, thousands of tests, out of what each garbage collection goes through."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a test whose programs are missing, or fail it when TESTS_REQUIRE_TOOLS is set."""
    programs = {name for marker in item.iter_markers("needs") for name in marker.args}
    missing = tuple(sorted(name for name in programs if find_tool(name) is None))
    if not missing:
        return
    sentence = f"needs {', '.join(missing)}; install with `make tools`"
    if item.config.stash[TOOLS_REQUIRED]:
        pytest.fail(sentence, pytrace=False)
    item.user_properties.append((LEFT_OUT_PROPERTY, missing))
    pytest.skip(sentence)


class Collector:
    """Notes, in the process that prints the summary, which tests were left out."""

    def __init__(self, config: pytest.Config) -> None:
        self._left_out = config.stash[LEFT_OUT]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Reports of workers arrive here too."""
        for name, missing in report.user_properties:
            if name == LEFT_OUT_PROPERTY:
                self._left_out[report.nodeid] = tuple(missing)


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a redactor of its own: secrets are never forgotten, and `one` is in many words."""
    monkeypatch.setattr(logs, "_redactor", Redactor())


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Take back what `logs.setup` does for the whole process, so that no order of tests decides what is logged."""
    package, root = logging.getLogger("iris_exporter"), logging.getLogger()
    levels, handlers = (package.level, root.level), list(root.handlers)
    hooks = threading.excepthook, sys.unraisablehook
    yield
    threading.excepthook, sys.unraisablehook = hooks
    package.setLevel(levels[0])
    root.setLevel(levels[1])
    for handler in list(root.handlers):
        if isinstance(handler, logs._Handler) and handler not in handlers:
            root.removeHandler(handler)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    marker = pyfuncitem.get_closest_marker("time_limit")
    limit = float(marker.args[0]) if marker else TIME_LIMIT_SECONDS
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(_run_alone(pyfuncitem.obj(**arguments), limit), debug=False)
    return True


async def _run_alone(test: Awaitable[None], limit_seconds: float) -> None:
    async with asyncio.timeout(limit_seconds * BUSY):
        await test
    # A task that was cancelled on the test's last line needs a few turns of the loop to end.
    for _ in range(10):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {[task.get_coro() for task in left]}"


@pytest.hookimpl(trylast=True)  # workers have ended by then, and are not taken for something left running
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End processes that tests left running, and fail the run for them."""
    stash = session.config.stash
    left = marked_processes(stash[CHILD_MARK])
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if _worker_input(session.config):
        session.config.workeroutput[LEFT_RUNNING_OUTPUT] = left  # type: ignore[attr-defined]
    stash[LEFT_RUNNING].update(left)
    if stash[LEFT_RUNNING] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: take over what it found."""
    node.config.stash[LEFT_RUNNING].update(getattr(node, "workeroutput", {}).get(LEFT_RUNNING_OUTPUT, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the tests that were left out, and the processes that were left running."""
    if config.stash[LEFT_OUT]:
        terminalreporter.section("left out (install with `make tools`)")
        for test, missing in config.stash[LEFT_OUT].items():
            terminalreporter.line(f"{test}: {', '.join(missing)}")
    if config.stash[LEFT_RUNNING]:
        terminalreporter.section("processes left running by the tests", red=True)
        for pid, command in config.stash[LEFT_RUNNING].items():
            terminalreporter.line(f"{pid}: {command or '(ended, but nobody waited for it)'}")
