"""The image's Dockerfile, its locks, and what its steps build; tests/integration/test_image.py runs the image."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from iris_exporter import __version__
from tests.integration import images
from tests.tools import ROOT
from tests.waiting import BUSY

DOCKER = ROOT / "deploy/docker"


def instructions() -> list[tuple[str, str]]:
    """Keyword and argument of each instruction, continued lines joined and comments left out."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined.splitlines() if line.strip()]


def final_stage() -> list[tuple[str, str]]:
    """The instructions of what is shipped."""
    found = instructions()
    last = max(index for index, (keyword, _) in enumerate(found) if keyword == "FROM")
    return found[last + 1 :]


def copied() -> list[str]:
    """What comes from the repository."""
    arguments = [argument.split() for keyword, argument in instructions() if keyword == "COPY"]
    return [source for words in arguments if not words[0].startswith("--from") for source in words[:-1]]


def locked(name: str) -> dict[str, Version]:
    """Package to version of a lock."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (DOCKER / name).read_text(), re.MULTILINE)
    return {package.lower().replace("_", "-"): Version(version) for package, version in pins}


def test_what_is_shipped_is_not_root_and_needs_no_shell() -> None:
    """A numeric user, an entry point in exec form, and a stage that installs nothing."""
    stage = final_stage()
    users = [argument for keyword, argument in stage if keyword == "USER"]
    assert users == ["65532:65532"]
    (entry,) = (json.loads(argument) for keyword, argument in stage if keyword == "ENTRYPOINT")
    assert entry == ["/opt/iris-exporter/bin/iris-exporter"]
    assert not any(keyword in ("RUN", "ADD", "CMD") for keyword, _ in stage)


def test_the_base_can_be_given_by_digest_and_is_no_floating_tag() -> None:
    """Both stages are of one base."""
    bases = [argument.split()[0] for keyword, argument in instructions() if keyword == "FROM"]
    assert bases == ["${PYTHON_IMAGE}"] * 2
    default = next(argument for keyword, argument in instructions() if keyword == "ARG").partition("=")[2]
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", default)


def test_the_labels_are_those_of_oci() -> None:
    """With the package's version."""
    (labels,) = (argument for keyword, argument in final_stage() if keyword == "LABEL")
    names = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", labels))
    assert names == {"title", "description", "licenses", "source", "version", "revision", "created"}
    assert ("ARG", f"VERSION={__version__}") in final_stage()


def test_the_lock_has_what_the_package_needs() -> None:
    """Each dependency of pyproject.toml in a version that it allows, and a hash for every package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    pins = locked("requirements.txt")
    for text in project["project"]["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name.lower()]), text
    (build,) = (Requirement(text) for text in project["build-system"]["requires"])
    assert build.specifier.contains(locked("build-requirements.txt")[build.name])
    for name in ("requirements.txt", "build-requirements.txt"):
        packages = re.split(r"\n(?=[a-z])", (DOCKER / name).read_text())[1:]
        assert len(packages) == len(locked(name))
        assert all("--hash=sha256:" in package for package in packages)


def test_nothing_is_installed_without_a_hash() -> None:
    """Every installation from a registry is held to the locks."""
    runs = " && ".join(argument for keyword, argument in instructions() if keyword == "RUN")
    installs = [step for step in runs.split("&&") if " install " in step]
    assert len(installs) == 3
    assert all("--require-hashes" in step or "--no-deps /tmp/wheel/" in step for step in installs)


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    """The ignore file lets through what COPY names, and no tests, history or environment."""
    patterns = (DOCKER / "Dockerfile.dockerignore").read_text().split("\n")
    allowed = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    assert "*" in patterns
    for source in copied():
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed)
    assert {pattern.split("/")[0] for pattern in allowed} == {source.split("/")[0] for source in copied()}


@pytest.mark.parametrize("recipe", [images.SHIPPED, images.STACK], ids=lambda recipe: str(recipe.directory))
def test_a_change_of_what_is_copied_makes_a_new_image_for_the_tests(
    recipe: images.Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image that integration tests keep is named after the content of all that the Dockerfile reads."""
    monkeypatch.setattr(sys.modules[__name__], "DOCKER", recipe.dockerfile.parent)
    assert set(recipe.inputs) == set(copied())


def test_the_steps_build_a_program_that_knows_its_revision(tmp_path: Path) -> None:
    """The package is built from exactly what is copied, as in the build stage."""
    context = tmp_path / "context"
    for source in copied():
        target = context / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / source, target)
    (context / "iris_exporter/REVISION").write_text("0123abc\n")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*command, "--disable-pip-version-check", "--wheel-dir", str(tmp_path), str(context)],
        check=False,
        text=True,
        capture_output=True,
        timeout=120 * BUSY,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    shown = subprocess.run(
        [sys.executable, "-m", "iris_exporter", "--version"],
        check=True,
        text=True,
        capture_output=True,
        timeout=60 * BUSY,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "unpacked"), "PATH": "/nonexistent"},
    )
    assert f"version {__version__} (revision: 0123abc," in shown.stdout


@pytest.mark.parametrize("mistake", ["USER root", "ENTRYPOINT iris-exporter", "RUN pip install requests"])
def test_the_rules_above_can_be_broken(mistake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Dockerfile with such a line at its end is refused."""
    (tmp_path / "Dockerfile").write_text((DOCKER / "Dockerfile").read_text() + mistake + "\n")
    monkeypatch.setattr(sys.modules[__name__], "DOCKER", tmp_path)
    with pytest.raises((AssertionError, ValueError)):
        test_what_is_shipped_is_not_root_and_needs_no_shell()


def test_a_release_has_a_bill_of_materials_provenance_and_signatures() -> None:
    """For image and chart; no job may write more than it needs to, and no registry is named."""
    text = (ROOT / ".github/workflows/release.yml").read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    (build,) = (step["with"] for step in workflow["jobs"]["image"]["steps"] if step.get("id") == "build")
    assert build["sbom"] is True
    assert build["provenance"] == "mode=max"
    arguments = dict(line.split("=", 1) for line in build["build-args"].splitlines())
    assert arguments.keys() <= {argument.partition("=")[0] for keyword, argument in instructions() if keyword == "ARG"}
    assert text.count("cosign sign") == 2
    attested = [step["uses"].partition("@")[0] for step in workflow["jobs"]["wheel"]["steps"] if "uses" in step]
    assert {"anchore/sbom-action", "actions/attest-sbom", "actions/attest-build-provenance"} <= set(attested)
    # Where things go is a variable; of the hosts of actions none is written out.
    assert re.findall(r"https?://(?!127\.)|\b[a-z0-9-]+\.(?:io|com|org)\b", text) == []
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


def test_a_release_is_of_one_version() -> None:
    """Which a job reads from the tag, and all that makes something takes from there."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    for name in ("wheel", "image", "chart"):
        assert "version" in jobs[name]["needs"]
        assert "${{ needs.version.outputs.version }}" in yaml.safe_dump(jobs[name], width=1000)
    assert not [name for name, job in jobs.items() if name != "version" and "GITHUB_REF_NAME#v" in yaml.safe_dump(job)]
    (build,) = (step["with"] for step in jobs["image"]["steps"] if step.get("id") == "build")
    assert set(build["platforms"].split(",")) == {"linux/amd64", "linux/arm64"}
    # All of them, or no release.
    assert set(jobs["release"]["needs"]) == {"wheel", "image", "chart"}


def test_the_release_finds_the_lines_that_it_reads_and_changes() -> None:
    """What its shell commands look for is there."""
    chart = ROOT / "deploy/helm/iris-exporter"
    values = (chart / "values.yaml").read_text().splitlines()
    assert sum(line.startswith(('  registry: ""', '  digest: ""')) for line in values) == 2
    lines = (chart / "Chart.yaml").read_text().splitlines()
    assert {f'appVersion: "{__version__}"', f"version: {__version__}"} <= set(lines)
    assert f'__version__ = "{__version__}"' in (ROOT / "iris_exporter/__init__.py").read_text().splitlines()
