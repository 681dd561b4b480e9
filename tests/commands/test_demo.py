"""The demo as a process, for as long as it takes to see something."""

import json
import os
import subprocess
import sys

import pytest

from iris_exporter import cli
from tests.waiting import BUSY


def demo(**variables: str) -> subprocess.CompletedProcess[str]:
    """A demo of one second on free ports."""
    addresses = ("--web.listen-address=127.0.0.1:0", "--backend.listen-address=127.0.0.1:0")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-m", "iris_exporter", "demo", *addresses, "--duration=1s"],
        env={**environment, **variables}, capture_output=True, text=True, check=False, timeout=30 * BUSY,
    )  # fmt: skip


def test_the_demo_exports_what_the_variables_ask_for() -> None:
    done = demo(OTEL_TRACES_EXPORTER="console")
    assert done.returncode == 0, done.stderr
    assert "docker compose -f deploy/compose/compose.yaml up\n" in done.stdout
    spans = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert "iris.connect" in {span["name"] for span in spans}


def test_a_bad_variable_is_refused_before_anything_starts() -> None:
    done = demo(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:431x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_value_that_means_nothing_is_a_warning() -> None:
    done = demo(OTEL_TRACES_EXPORTER="zipkin")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "otel.value_ignored" in line]
    assert "level=warn" in line
    assert "variable=OTEL_TRACES_EXPORTER" in line


@pytest.mark.parametrize(
    "argument", ["--rate=fast", "--rate=-1", "--duration=5", "--backend.listen-address=x", "--seed=x"]
)
def test_an_argument_that_makes_no_sense_is_refused_by_its_name(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", argument]) == 2
    flag, _, value = argument.partition("=")
    err = capsys.readouterr().err
    assert err.startswith(f"iris-exporter: argument {flag}: ")
    assert value in err
    assert err.count("\n") == 1
