"""The images of deploy/docker and deploy/compose, built by podman from the unchanged Dockerfiles, without a network.

Its base is a stand-in, since tests reach no registry of images: Debian's own Python with pip, which `make tools` makes
of packages. What our layers hold and weigh is exact; what lies below them is only much like `python:slim`. Wheels come
from a directory that `make tools` has filled; a pip.conf that is there during the build alone names it, and the hashes
of the locks are checked as ever.
"""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iris_exporter import __version__
from tests.tools import ROOT, tool
from tests.waiting import BUSY

NEEDS = ("podman", "runc", "python-image", "image-wheels")
REVISION = "0123456789abcdef0123456789abcdef01234567"
CREATED = "2026-01-02T03:04:05Z"
SOURCE = "https://example.com/tested"

KEPT = ROOT / ".tools/images"
# An archive has some 180 MB, and one is made for each state of the sources that was tested. One that was asked for in
# the last hour may be in use.
KEEP = 4
IN_USE_SECONDS = 3600

# Images are many small files: in memory they are unpacked in a third of the time. A run that was killed leaves a
# directory there, which the next one removes.
MEMORY = Path("/dev/shm")
PREFIX = "iris-exporter-tests-"
ROOM_BYTES = 2 << 30


@dataclass(frozen=True)
class Recipe:
    """How an image is built."""

    directory: str
    """Where its Dockerfile is."""
    name: str
    """What it is called afterwards."""
    base: str
    """The image that its FROM names; the stand-in is given this name."""
    inputs: tuple[str, ...]
    """What is copied from the repository. A test compares this with the Dockerfile."""
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def dockerfile(self) -> Path:
        """The Dockerfile."""
        return ROOT / self.directory / "Dockerfile"


PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "dashboards/json", "deploy/grafana/provisioning", "iris_exporter")
SHIPPED = Recipe(
    directory="deploy/docker",
    name="localhost/iris-exporter:tested",
    base="localhost/python:stand-in",
    inputs=(*PACKAGE, "deploy/docker/requirements.txt", "deploy/docker/build-requirements.txt"),
    arguments={
        "PYTHON_IMAGE": "localhost/python:stand-in",
        "VERSION": __version__,
        "REVISION": REVISION,
        "CREATED": CREATED,
        "SOURCE": SOURCE,
    },
)
STACK = Recipe(
    directory="deploy/compose",
    name="localhost/iris-exporter-stack:tested",
    base="localhost/python:3.13-slim",
    inputs=PACKAGE,
)
NAME = SHIPPED.name

STORAGE = """
[storage]
driver = "overlay"
graphroot = "{directory}/storage"
runroot = "{directory}/run"
"""

# Without systemd, without files of other engines on this machine, and without asking for more than we may give.
# crun does not run on every arrangement of cgroups that runc runs on.
SETTINGS = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
log_driver = "none"
netns = "host"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
tmp_dir = "{directory}/tmp"
volume_path = "{directory}/volumes"
"""

PIP = """
[global]
no-index = true
find-links = /wheels
"""


class Engine:
    """Podman with images, containers and settings of its own below `directory`; see `engine`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        files, processes = (
            min(4096, resource.getrlimit(limit)[1]) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)
        )
        (directory / "storage.conf").write_text(STORAGE.format(directory=directory))
        settings = SETTINGS.format(directory=directory, files=files, processes=processes)
        (directory / "containers.conf").write_text(settings)
        self.environment = {
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        }

    def podman(self, *words: str | Path, seconds: float = 60) -> str:
        """What a command prints; fails unless it succeeds."""
        result = subprocess.run(
            [tool("podman"), *map(str, words)],
            check=False,
            text=True,
            capture_output=True,
            timeout=seconds * BUSY,
            env={**os.environ, **self.environment},
        )
        assert result.returncode == 0, f"podman {words}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def load(self, archive: Path) -> None:
        """Take the image of `archive` in, under its recipe's name."""
        self.podman("load", "--quiet", "--input", archive)

    def inspect(self, image: str = NAME) -> dict[str, Any]:
        """What podman knows about an image."""
        (found,) = json.loads(self.podman("image", "inspect", image))
        assert isinstance(found, dict)
        return found

    @contextmanager
    def mounted(self, image: str = NAME) -> Iterator[Path]:
        """The image's files."""
        directory = Path(self.podman("image", "mount", image).strip())
        try:
            yield directory
        finally:
            self.podman("image", "unmount", image)

    def build(self, recipe: Recipe, archive: Path) -> None:
        """Build the image and write it to `archive`, which nobody sees before it is complete."""
        self.podman("import", "--quiet", Path(tool("python-image")) / "rootfs.tar", recipe.base)
        configuration = self.directory / "pip.conf"
        configuration.write_text(PIP)
        self.podman(
            *("build", "--quiet", "--layers=false", "--network=none", "--pull=never", "--tag", recipe.name),
            *("--volume", f"{tool('image-wheels')}:/wheels:ro", "--volume", f"{configuration}:/etc/pip.conf:ro"),
            *(f"--build-arg={name}={value}" for name, value in recipe.arguments.items()),
            *("--file", recipe.dockerfile, ROOT),
            seconds=300,
        )
        unfinished = archive.with_name(f"{archive.name}.{os.getpid()}")
        try:
            self.podman("save", "--quiet", "--format=docker-archive", "--output", unfinished, recipe.name)
            unfinished.replace(archive)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def engine(directory: Path) -> Iterator[Engine]:
    """An engine whose files, in memory or in `directory`, and containers are gone when the block ends."""
    for left in MEMORY.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.split("-")[-2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    made = Engine(Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY if in_memory else directory)))
    try:
        yield made
    finally:
        made.podman("rm", "--all", "--force", "--time=0")
        shutil.rmtree(made.directory)


def archive(directory: Path, recipe: Recipe = SHIPPED) -> Path:
    """The built image in the form of `docker save`, under its recipe's name; `directory` is used while it is built.

    It is built once for each state of its sources and kept in .tools/images.
    """
    path = KEPT / f"{recipe.dockerfile.parent.name}-{fingerprint(recipe)}.tar"
    if path.exists():
        path.touch()
        return path
    KEPT.mkdir(parents=True, exist_ok=True)
    with engine(directory) as builder:
        builder.build(recipe, path)
    ages = {each: time.time() - each.stat().st_mtime for each in KEPT.glob("*.tar")}
    for old in sorted(ages, key=ages.__getitem__)[KEEP:]:
        if ages[old] > IN_USE_SECONDS:
            old.unlink(missing_ok=True)
    return path


def fingerprint(recipe: Recipe) -> str:
    """A hash over what the image is made of, and over how this module makes it."""
    sources = [Path(__file__), recipe.dockerfile, recipe.dockerfile.with_name("Dockerfile.dockerignore")]
    sources += [ROOT / name for name in recipe.inputs]
    sources += [ROOT / f"scripts/tools/{name}.sh" for name in ("python-image", "image-wheels")]
    digest = hashlib.sha256()
    for source in sources:
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                digest.update(f"{file.relative_to(ROOT)} {file.stat().st_mode & 0o777:o} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()[:16]
