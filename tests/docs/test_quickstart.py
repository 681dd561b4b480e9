"""The quick start, from the first command of a section to the last: as somebody would type it who knows nothing else.

What installs something does so below a directory, from wheels of `make tools`. What a container needs of an engine is
Podman's, with the network of the machine in place of published ports.
"""

import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.docs.pages import Block, Command, all_blocks, commands
from tests.docs.shell import PATHS, Shell, StandIn
from tests.docs.test_blocks import BY_THEMSELVES, COMMANDS, QUICK_START
from tests.integration import images
from tests.ports import free_ports
from tests.tools import ROOT, tool

pytestmark = [pytest.mark.slow, pytest.mark.integration]

CHECKOUT = (*images.PACKAGE, "deploy/docker", "deploy/systemd")
KEY = "a-long-enough-key"


def section(heading: str) -> list[Block]:
    """The blocks of a section."""
    return [block for block in all_blocks() if block.page == QUICK_START and block.heading == heading]


def typed(heading: str) -> list[Command]:
    """The commands of a section."""
    return [command for block in section(heading) if block.language in COMMANDS for command in commands(block)]


@asynccontextmanager
async def machine(directory: Path) -> AsyncIterator[Shell]:
    """A shell in a checkout, on a machine that has Python, a key and no network but to a source that wants the key."""
    for name in CHECKOUT:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    for name in ("bin", "opt", "etc/systemd/system", "usr/local/bin", "var/lib/iris-exporter"):
        (directory / name).mkdir(parents=True)
    (directory / "bin/python3").symlink_to(sys.executable)
    (directory / "key").write_text(f"{KEY}\n")
    (directory / ".curlrc").write_text("silent\nshow-error\nfail\n")
    async with Backend(BackendSettings(port=0, seed=7, rate=20.0, api_key_file=directory / "key")) as backend:
        shell = Shell(directory, backend.url)
        shell.limit_seconds = 60.0  # installing unpacks forty wheels
        shell.environment["PATH"] = f"{directory}/usr/local/bin:{shell.environment['PATH']}"
        wheels = f"{ROOT}/.tools/runtime-wheels {ROOT}/.tools/image-wheels"
        shell.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        async with shell.stack:
            yield shell
            await shell.close()


def test_every_section_that_installs_something_is_here() -> None:
    assert {"pip", "Container", "systemd"} == BY_THEMSELVES
    assert all(typed(heading) for heading in BY_THEMSELVES)


@pytest.mark.needs("curl", "runtime-wheels", "image-wheels")
@pytest.mark.time_limit(180)
async def test_pip(tmp_path: Path) -> None:
    async with machine(tmp_path) as shell:
        for command in typed("pip"):
            await shell.run(command)


async def _loaded(shell: Shell, command: Command) -> None:
    """systemd itself reads the unit, with the program that was installed."""
    unit = shell.directory / "etc/systemd/system/iris-exporter.service"
    unit.write_text(re.sub(r"(?<![\w./])/(?=(?:etc|usr/local)/)", f"{shell.directory}/", unit.read_text()))
    code, printed = await shell.call(f"{tool('systemd-analyze')} verify --man=no {unit}")
    assert (code, printed) == (0, ""), command


async def _enabled(shell: Shell, command: Command) -> None:
    """What the unit says is started: its key handed over, in the place that systemd has for it, and its command."""
    name = command.text.split()[-1]
    unit = (shell.directory / f"etc/systemd/system/{name}.service").read_text()
    (credential,) = re.findall(r"^LoadCredential=(.+):(.+)$", unit, re.MULTILINE)
    handed = shell.directory / f"run/credentials/{name}.service/{credential[0]}"
    handed.parent.mkdir(parents=True)
    shutil.copy(credential[1], handed)
    (start,) = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    await shell.serve(command, start.replace("%S", str(shell.directory / "var/lib")))


async def _log(shell: Shell, command: Command) -> None:
    (service,) = shell.servers
    assert not shell.missing(command, service.output), service.output


SYSTEMD = (
    StandIn("^systemctl daemon-reload$", "no systemd runs here: it checks the unit", _loaded),
    StandIn("^systemctl enable --now ", "no systemd runs here: the unit's command does", _enabled),
    StandIn("^journalctl ", "no journal: the output of that command", _log),
)


@pytest.mark.needs("systemd-analyze", "runtime-wheels", "image-wheels")
@pytest.mark.time_limit(180)
async def test_systemd(tmp_path: Path) -> None:
    async with machine(tmp_path) as shell:
        shell.stand_ins = SYSTEMD
        (configuration,) = [block for block in section("systemd") if block.language == "yaml"]
        shipped = "".join((ROOT / "deploy/systemd/config.yaml").read_text().splitlines(keepends=True)[1:])
        assert configuration.text.partition("\n")[2] == shipped
        for command in typed("systemd"):
            if command.text.startswith("systemctl daemon-reload"):
                # The page says to put the address of the source in; the paths are those of this directory.
                file = tmp_path / "etc/iris-exporter/config.yaml"
                file.write_text(shell.rewritten(configuration.text))
            await shell.run(command)
        assert (tmp_path / "etc/iris-exporter/api-key").stat().st_mode & 0o777 == 0o600


async def _built(shell: Shell, command: Command) -> None:
    words = shlex.split(command.text)
    assert Path(words[words.index("-f") + 1]) == images.SHIPPED.dockerfile.relative_to(ROOT)
    await shell.ends(command, f"podman tag {images.NAME} {words[words.index('-t') + 1]}")


async def _container(shell: Shell, command: Command) -> None:
    """A container that shows what it does, and one that runs on until it is asked something."""
    text = re.sub(r"-p \S+", "--pull=never --log-driver=k8s-file", shell.rewritten(command.text))
    if " demo" in text:
        await shell.serve(command, text)
    else:
        await shell.ends(command, f"{text} --web.listen-address=127.0.0.1:{shell.exporter.rpartition(':')[2]}")


ENGINE = (
    StandIn("^docker build ", "tests reach no registry: the same Dockerfile, on a stand-in for its base", _built),
    StandIn("^docker run ", "no network for containers: that of the machine, with other ports", _container),
)


@pytest.mark.needs(*images.NEEDS, "curl")
@pytest.mark.time_limit(240)
async def test_container(tmp_path: Path) -> None:
    with images.engine(tmp_path) as engine:
        engine.load(images.archive(tmp_path))
        async with machine(tmp_path / "checkout") as shell:
            shell.stand_ins = ENGINE
            (shell.directory / "bin/docker").write_text(f'#!/bin/sh\nexec {tool("podman")} "$@"\n')
            (shell.directory / "bin/docker").chmod(0o755)
            shell.environment |= engine.environment
            # Paths are those in the container.
            shell.rewrites = [row for row in shell.rewrites if row[0] != PATHS]
            shell.exporter = f"http://127.0.0.1:{free_ports(1)[0]}"
            for command in typed("Container"):
                await shell.run(command)
            assert [path.name for path in (shell.directory / "state").iterdir()] != []
            await shell.call("docker rm --force --time=5 iris")
