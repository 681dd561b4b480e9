"""Where the programs (and schemas) of integration tests are; `make tools` installs them."""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE_MODULES = ROOT / ".tools/node/node_modules"


def find_tool(name: str) -> Path | None:
    """The program `name` (in .tools/bin, then on PATH), or an npm package or .tools directory of that name."""
    found = shutil.which(name, path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is not None:
        return Path(found)
    directories = (NODE_MODULES / name, ROOT / ".tools" / name)
    return next((directory for directory in directories if directory.is_dir()), None)


def tool(name: str) -> str:
    """The path of a program that the test's `needs` marker names."""
    found = find_tool(name)
    assert found is not None, f'{name} is missing: the test lacks @pytest.mark.needs("{name}")'
    return str(found)
