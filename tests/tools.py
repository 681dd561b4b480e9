"""Where the programs (and schemas) of integration tests are; `make tools` installs them."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE_MODULES = ROOT / ".tools/node/node_modules"
GROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")


def find_tool(name: str) -> Path | None:
    """The program `name` (in .tools/bin, then on PATH), or an npm package or .tools directory of that name.

    `root-with-cgroup-v1` and `user-namespaces` are no programs: they are there where the tests run as root on a kernel
    with control groups of version 1, and where they may make a machine of their own.
    """
    if name == "user-namespaces":
        return Path("/proc/self/ns/user") if _may_make_namespaces() else None
    if name == "root-with-cgroup-v1":
        return GROUPS if os.geteuid() == 0 and all((GROUPS / each).is_dir() for each in CONTROLLERS) else None
    found = shutil.which(name, path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is not None:
        return Path(found)
    directories = (NODE_MODULES / name, ROOT / ".tools" / name)
    return next((directory for directory in directories if directory.is_dir()), None)


@cache
def _may_make_namespaces() -> bool:
    command = ("unshare", "--map-root-user", "--net", "--mount", "true")
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def tool(name: str) -> str:
    """The path of a program that the test's `needs` marker names."""
    found = find_tool(name)
    assert found is not None, f'{name} is missing: the test lacks @pytest.mark.needs("{name}")'
    return str(found)
