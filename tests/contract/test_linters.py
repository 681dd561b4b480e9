"""What linters say of Dockerfiles, workflows and shell scripts: nothing, and no rule is off without a reason."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.tools import ROOT, tool
from tests.waiting import BUSY

DOCKERFILES = sorted(ROOT.glob("deploy/*/Dockerfile"))
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
SCRIPTS = [*sorted(ROOT.glob("scripts/**/*.sh")), *sorted(ROOT.glob("deploy/**/*.sh")), ROOT / ".ci/run"]


def findings(*command: str | Path) -> list[str]:
    """The lines that a linter prints; fails when it breaks."""
    result = subprocess.run(
        [str(word) for word in command], check=False, text=True, capture_output=True, timeout=60 * BUSY, cwd=ROOT
    )
    assert result.stderr == ""
    assert (result.returncode == 0) == (result.stdout == "")
    return result.stdout.splitlines()


def dockerfile(path: Path) -> list[str]:
    """Every rule at any level, whatever a comment in the file says."""
    options = ("--no-color", "--failure-threshold=style", "--disable-ignore-pragma")
    return findings(tool("hadolint"), *options, path)


def workflow(path: Path) -> list[str]:
    """Syntax, expressions, contexts and inputs of known actions; the scripts in it, too."""
    return findings(tool("actionlint"), "-oneline", f"-shellcheck={tool('shellcheck')}", "-pyflakes=", path)


def script(path: Path) -> list[str]:
    """Every rule that is not switched off by a comment."""
    return findings(tool("shellcheck"), "--format=gcc", path)


@pytest.mark.needs("hadolint")
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfiles_follow_the_rules(path: Path) -> None:
    """Nothing is ignored, so nothing needs a reason."""
    assert dockerfile(path) == []


@pytest.mark.needs("actionlint", "shellcheck")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_right(path: Path) -> None:
    """As far as can be seen without running them."""
    assert workflow(path) == []


@pytest.mark.needs("buf")
def test_the_protobuf_schema_follows_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules are in buf.yaml, beside the schema. It reads the machine's certificates, whatever it is asked to do."""
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert findings(tool("buf"), "lint", "iris_exporter/wire") == []


@pytest.mark.needs("shellcheck")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_right(path: Path) -> None:
    """A rule is switched off for one command, below a line that says why."""
    assert script(path) == []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*# shellcheck disable=", line):
            assert lines[number - 1].lstrip().startswith("# "), f"{path}:{number + 1} gives no reason"


@pytest.mark.needs("hadolint", "actionlint", "shellcheck")
def test_the_linters_see_mistakes(tmp_path: Path) -> None:
    """Of the kinds that have been made, or could be."""
    broken = tmp_path / "Dockerfile"
    broken.write_text(f"{DOCKERFILES[-1].read_text()}# hadolint ignore=DL3002\nUSER root\nENTRYPOINT iris-exporter\n")
    assert {re.sub(r".* (DL\d+) .*", r"\1", line) for line in dockerfile(broken)} >= {"DL3002", "DL3025", "DL4004"}
    steps = tmp_path / "workflow.yml"
    steps.write_text(WORKFLOWS[0].read_text().replace("steps.build.outputs", "steps.built.outputs"))
    assert any('property "built" is not defined' in line for line in workflow(steps))
    words = tmp_path / "script.sh"
    words.write_text("#!/bin/sh\nrm -rf $1\n")
    assert ["SC2086" in line for line in script(words)] == [True]
