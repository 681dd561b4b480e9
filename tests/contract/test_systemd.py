"""The unit for systemd: what systemd itself says of it, and that its command line can be used."""

import json
import shlex
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
import yaml

from iris_exporter import config
from tests.tools import ROOT, tool

SYSTEMD = ROOT / "deploy/systemd"
UNIT = SYSTEMD / "iris-exporter.service"
PROGRAM = "/usr/local/bin/iris-exporter"
MOST_EXPOSURE = 1.5
"""Of ten, by `systemd-analyze security`. Half of it is the network, which the exporter needs."""


class _Unit(RawConfigParser):
    """A unit may have a setting several times: the last one is enough here."""

    def __init__(self) -> None:
        super().__init__(strict=False)
        self.optionxform = str  # type: ignore[assignment]
        self.read(UNIT)


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """With a program in the place of the one that is not installed here."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    command = [tool("systemd-analyze"), "verify", "--man=no", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.needs("systemd-analyze")
def test_it_is_hardened() -> None:
    command = [tool("systemd-analyze"), "security", "--offline=true", "--json=short", str(UNIT)]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    # What stays open: its network, and of /proc what tells when the machine has started.
    assert {row["json_field"] for row in rows if row["set"] is False and float(row["exposure"]) >= 0.1} <= {
        "PrivateNetwork", "ProcSubset", "DeviceAllow", "IPAddressDeny", "RestrictAddressFamilies_AF_INET_INET6",
        "RestrictAddressFamilies_AF_UNIX", "RestrictAddressFamilies_AF_NETLINK", "RootDirectoryOrRootImage",
    }  # fmt: skip
    threshold = [
        tool("systemd-analyze"),
        "security",
        "--offline=true",
        f"--threshold={MOST_EXPOSURE * 10:.0f}",
        str(UNIT),
    ]
    assert subprocess.run(threshold, capture_output=True, check=False).returncode == 0


def test_its_command_line_and_file_can_be_used(tmp_path: Path) -> None:
    service = _Unit()["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == PROGRAM
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    name, _, source = service["LoadCredential"].partition(":")
    # The places of the machine, in a directory of the test.
    (tmp_path / Path(source).name).write_text("a-key\n")
    (tmp_path / "state").mkdir()
    text = (SYSTEMD / "config.yaml").read_text()
    credential = f"/run/credentials/{UNIT.name}/{name}"
    assert yaml.safe_load(text)["stream"]["api-key-file"] == credential
    assert Path(flags["config.file"]).parent == Path(source).parent
    assert flags["state.dir"] == f"%S/{service['StateDirectory']}"
    (tmp_path / "config.yaml").write_text(text.replace(credential, str(tmp_path / name)))
    flags |= {"config.file": str(tmp_path / "config.yaml"), "state.dir": str(tmp_path / "state")}
    assert [stream.name for stream in config.load(flags, {}).streams] == ["default"]
