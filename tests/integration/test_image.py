"""The image as it is shipped, run by a real engine as restricted as a cluster would run it.

Built from the unchanged Dockerfile on a base that stands in for `python:slim` (see `images`): what is said of our
layers is exact, the total is that of our layers on this base.
"""

import asyncio
import gzip
import io
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris_exporter import __version__
from tests.integration import images
from tests.integration.collector import collector
from tests.integration.harness import sidecar
from tests.integration.images import CREATED, NAME, REVISION, SOURCE, Engine
from tests.integration.programs import wait_until
from tests.integration.reference import reference_backend
from tests.tools import ROOT, tool
from tests.waiting import BUSY

HOME = "opt/iris-exporter"
PYTHON = f"/{HOME}/bin/python"
# At first our layers had 52 MB, 16 MB as they travel; a compiler, pip's cache or a second copy of grpc is more.
LIMIT_BYTES, LIMIT_PACKED_BYTES, LIMIT_TOTAL_BYTES = 70_000_000, 25_000_000, 230_000_000
STARTS = 5

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.needs(*images.NEEDS)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image in a file."""
    return images.archive(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def engine(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the image."""
    with images.engine(tmp_path_factory.mktemp("engine")) as made:
        made.load(archive)
        yield made


@pytest.fixture(scope="module")
def layers(archive: Path) -> list[bytes]:
    """Our layers, without the base's."""
    with tarfile.open(archive) as content:
        (manifest,) = json.loads(_read(content, "manifest.json"))
        history = json.loads(_read(content, manifest["Config"]))["history"]
        assert sum(not step.get("empty_layer", False) for step in history) == len(manifest["Layers"])
        return [_read(content, name) for name in manifest["Layers"][1:]]


def _read(content: tarfile.TarFile, name: str) -> bytes:
    member = content.extractfile(name)
    assert member is not None
    return member.read()


def restricted(*options: str) -> tuple[str, ...]:
    """Podman's words to run the image as the chart does: a root that cannot be written, no privilege of any kind."""
    return (
        *("run", "--rm", "--pull=never", "--read-only", "--read-only-tmpfs=false"),
        *("--cap-drop=ALL", "--security-opt=no-new-privileges", *options, NAME),
    )


def test_its_configuration_is_what_the_dockerfile_says(engine: Engine) -> None:
    """User, entry point, labels and environment; nothing of the build is left in them."""
    found = engine.inspect()["Config"]
    assert found["User"] == "65532:65532"
    assert found["Entrypoint"] == [f"/{HOME}/bin/iris-exporter"]
    assert not {"Cmd", "Volumes", "Healthcheck"} & {name for name, value in found.items() if value}
    assert set(found["ExposedPorts"]) == {"14747/tcp"}
    labels = {
        "title": "iris-exporter",
        "description": "Prometheus metrics and OpenTelemetry signals from an IRIS telemetry stream",
        "licenses": "Apache-2.0",
        "source": SOURCE,
        "version": __version__,
        "revision": REVISION,
        "created": CREATED,
    }
    ours = {name: value for name, value in found["Labels"].items() if not name.startswith("io.buildah.")}
    assert ours == {f"org.opencontainers.image.{name}": value for name, value in labels.items()}
    environment = dict(pair.split("=", 1) for pair in found["Env"])
    assert environment.pop("PATH").startswith(f"/{HOME}/bin:")
    assert environment.pop("container", "") in ("", "podman", "oci")
    assert environment == {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def test_its_layers_hold_the_program_alone(layers: list[bytes]) -> None:
    """Files of root's that all may read and nobody else may write; no setuid, no pip, nothing in other directories."""
    seen = set()
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as content:
            for member in content:
                seen.add(member.name)
                assert member.isfile() or member.isdir() or member.issym(), member.name
                assert (member.uid, member.gid) == (0, 0), member.name
                assert member.issym() or not member.mode & 0o6022, f"{member.name}: {member.mode:o}"
                assert member.issym() or member.mode & 0o444 == 0o444, f"{member.name}: {member.mode:o}"
    assert f"{HOME}/bin/iris-exporter" in seen
    assert not [name for name in seen if re.search(r"/(pip|setuptools|hatchling|wheel)(-|/|$)", name)]
    assert not [name for name in seen if not f"{name}/".startswith(f"{HOME}/") and name != "opt"]


# PEP 552: a number of the Python, flags, of which 1 alone means a hash that is not compared at every start, the hash.
BYTECODE = """
import importlib.util, pathlib, sys
count, wrong = 0, []
for source in pathlib.Path(sys.argv[1], "lib").rglob("*.py"):
    wanted = importlib.util.MAGIC_NUMBER + bytes((1, 0, 0, 0)) + importlib.util.source_hash(source.read_bytes())
    compiled = pathlib.Path(importlib.util.cache_from_source(source))
    count += 1
    if not compiled.exists() or compiled.read_bytes()[:16] != wanted:
        wrong.append(str(source))
print(count, *wrong)
"""


def test_every_module_is_compiled(engine: Engine) -> None:
    """Nothing can write bytecode later: each has some now, of the source that lies beside it, whatever its time."""
    count, *wrong = engine.podman(*restricted(f"--entrypoint={PYTHON}"), "-c", BYTECODE, f"/{HOME}").split()
    assert int(count) > 500
    assert wrong == []


def test_it_is_small(layers: list[bytes], engine: Engine) -> None:
    """Our layers, as they are and as they travel, and the total on this base."""
    ours = sum(map(len, layers))
    packed = sum(len(gzip.compress(layer, 6)) for layer in layers)
    total = int(engine.inspect()["Size"])
    print(f"our layers: {ours / 1e6:.1f} MB, packed {packed / 1e6:.1f} MB; with the stand-in base {total / 1e6:.1f} MB")
    assert ours < LIMIT_BYTES
    assert packed < LIMIT_PACKED_BYTES
    assert total < LIMIT_TOTAL_BYTES


def test_it_says_what_it_was_built_from(engine: Engine) -> None:
    """The version and the revision given to the build."""
    line = engine.podman(*restricted(), "--version")
    assert line.startswith(f"iris-exporter, version {__version__} (revision: {REVISION}, python: 3.13.")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.needs("otelcol")
async def test_it_does_its_work_with_nothing_but_a_directory_for_its_state(
    protocol: str, engine: Engine, tmp_path: Path
) -> None:
    """Metrics are scraped, records are exported, and the cursor is written; the rules of the harness hold."""
    state = tmp_path / "state"
    state.mkdir()
    async with reference_backend() as backend, collector(tmp_path) as server:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": server.grpc_endpoint if protocol == "grpc" else server.http_endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
        }
        words = restricted(
            *(f"--env={name}={value}" for name, value in variables.items()), f"--volume={state}:/state:U"
        )
        options = (f"--stream.url={backend.stream('events')}", "--state.dir=/state")
        async with sidecar(*options, program=(tool("podman"), *words), environment=engine.environment) as exporter:
            await exporter.get("/-/ready")
            await exporter.counts("iris_events_total", 1)
            # Prometheus alone moves the cursor, and this header tells it from a person who looks.
            await exporter.get("/metrics", 200, **{"X-Prometheus-Scrape-Timeout-Seconds": "10"})

            async def arrived() -> bool:
                return bool(server.logs())

            await wait_until(arrived, "a log record at the collector")
    (kept,) = state.glob("*.cursor")
    assert (kept.stat().st_uid, kept.stat().st_gid) == (65532, 65532)


async def test_graphql_works_at_both_ends(engine: Engine) -> None:
    """The exporter subscribes without any extra; the role of a backend has the one that it needs."""
    async with reference_backend() as backend:
        options = (f"--stream.url={backend.url}/api/graphql", "--stream.protocol=graphql")
        program = (tool("podman"), *restricted())
        async with sidecar(*options, program=program, environment=engine.environment) as exporter:
            scrape = await exporter.counts("iris_events_total", 1)
            assert scrape.series("iris_stream_info", protocol="graphql")
    look = "from iris_exporter.backend.graphql.schema import schema; print(*schema().type_map)"
    assert "Subscription" in engine.podman(*restricted("--entrypoint=python"), "-c", look).split()


async def test_its_only_process_has_no_privilege_and_no_shell(engine: Engine, tmp_path: Path) -> None:
    """The entry point is process 1 itself, which gets the signals, also where nothing that could be a shell can run."""
    nothing = tmp_path / "nothing"
    nothing.touch()
    with engine.mounted() as files:
        shells = {f"/{(files / 'bin').resolve().name}/{name}" for name in ("sh", "bash", "dash")}
        hidden = [f"--volume={nothing}:/usr{name}:ro" for name in sorted(shells) if (files / "usr" / name[1:]).exists()]
    assert hidden
    words = restricted("--name=alone", *hidden)
    async with sidecar(
        "--stream.url=http://127.0.0.1:1/", program=(tool("podman"), *words), environment=engine.environment
    ):
        process = Path("/proc", await asyncio.to_thread(_process, engine, "alone"))
        command = (process / "cmdline").read_text().split("\0")
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        children = (process / f"task/{process.name}/children").read_text().split()
    assert command[:2] == [PYTHON, f"/{HOME}/bin/iris-exporter"]
    assert status["NSpid"].split()[-1] == "1"
    assert status["Uid"].split() == status["Gid"].split() == ["65532"] * 4
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert children == []


LOOK = """
import os, stat
for where, directories, files in os.walk("/"):
    if where == "/":
        directories[:] = [name for name in directories if name not in ("proc", "sys")]
    for path in (where, *(os.path.join(where, name) for name in files)):
        mode = os.lstat(path).st_mode
        if (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and os.access(path, os.W_OK):
            print(path)
"""


def test_it_can_write_nowhere_but_where_it_is_let(engine: Engine) -> None:
    """Besides the directory for its state, only shared memory and queues of its own, which an engine always brings."""
    found = engine.podman(*restricted("--tmpfs=/state", f"--entrypoint={PYTHON}"), "-c", LOOK)
    assert set(found.split()) == {"/state", "/dev/shm", "/dev/mqueue"}


async def test_it_is_ready_soon(engine: Engine) -> None:
    """Several starts are printed; on a machine with other work to do, the CPU time says more than the rest."""
    for number in range(STARTS):
        begun = time.perf_counter()
        words = restricted(f"--name=start{number}")
        async with sidecar(
            "--stream.url=http://127.0.0.1:1/", program=(tool("podman"), *words), environment=engine.environment
        ) as exporter:
            await exporter.get("/-/ready")
            whole = time.perf_counter() - begun
            age, used = _age_and_use(await asyncio.to_thread(_process, engine, f"start{number}"))
        print(f"ready {whole:.2f} s after the command; the process is {age:.2f} s old and has used {used:.2f} s of CPU")


def _process(engine: Engine, name: str) -> str:
    """The id, outside of the container, of its first process."""
    return engine.podman("inspect", "--format={{.State.Pid}}", name).strip()


def _age_and_use(process: str) -> tuple[float, float]:
    """How long a process has been there and how much CPU it has had, in seconds; the kernel counts in hundredths."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    user, system, begun = (int(fields[index]) / os.sysconf("SC_CLK_TCK") for index in (11, 12, 19))
    return float(Path("/proc/uptime").read_text().split()[0]) - begun, user + system


@pytest.mark.needs("syft")
def test_its_bill_of_materials_lists_every_locked_package(archive: Path, tmp_path: Path) -> None:
    """Both common forms name exactly what the lock has, in its versions, and the program itself."""
    forms = {"spdx-json": tmp_path / "spdx.json", "cyclonedx-json": tmp_path / "cyclonedx.json"}
    subprocess.run(
        [
            *(tool("syft"), "scan", f"docker-archive:{archive}", "--quiet"),
            *(f"--output={form}={path}" for form, path in forms.items()),
        ],
        check=True,
        timeout=120 * BUSY,
        env={"PATH": "/nonexistent", "HOME": str(tmp_path), "SYFT_CHECK_FOR_APP_UPDATE": "false"},
    )
    lock = (ROOT / "deploy/docker/requirements.txt").read_text()
    wanted = {f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)}
    wanted |= {f"pkg:pypi/iris-exporter@{__version__}"}
    spdx = json.loads(forms["spdx-json"].read_text())["packages"]
    listed = {found["referenceLocator"] for package in spdx for found in package.get("externalRefs", [])}
    assert wanted <= listed
    # The base brings pip.
    others = {name for name in listed - wanted if name.startswith("pkg:pypi/")}
    assert {name.partition("@")[0] for name in others} == {"pkg:pypi/pip"}
    assert wanted <= {each.get("purl") for each in json.loads(forms["cyclonedx-json"].read_text())["components"]}


def test_the_image_of_the_stack_is_built_and_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """That of deploy/compose takes the newest versions that pip finds, which here are those of the lock."""
    built = images.archive(tmp_path_factory.mktemp("build"), images.STACK)
    with images.engine(tmp_path_factory.mktemp("engine")) as engine:
        engine.load(built)
        assert engine.inspect(images.STACK.name)["Config"]["User"] == "65532:65532"
        volume = "--mount=type=volume,destination=/state"
        look = ("run", "--rm", "--pull=never", "--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", volume)
        assert __version__ in engine.podman(*look, images.STACK.name, "--version")
        found = engine.podman(*look, "--entrypoint=python", images.STACK.name, "-c", LOOK)
        assert set(found.split()) == {"/state", "/dev/shm", "/dev/mqueue"}
