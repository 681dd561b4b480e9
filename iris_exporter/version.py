"""Which build this is: shown by `--version` and by the metric `iris_exporter_build_info`."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from iris_exporter import __version__

REVISION_FILE = Path(__file__).with_name("REVISION")
"""Written when an image or a wheel is built: one line with the commit. A checkout has none."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """`revision` is a commit or `unknown`; `python` the interpreter's version, such as 3.11.7."""

    version: str
    revision: str
    python: str

    def __str__(self) -> str:
        return f"iris-exporter, version {self.version} (revision: {self.revision}, python: {self.python})"


def version_info(revision_file: Path = REVISION_FILE) -> VersionInfo:
    """Return what is running; reads one small file, so ask once."""
    try:
        revision = revision_file.read_text("ascii", "replace").strip()
    except OSError:
        revision = ""
    # It becomes a label's value and a line on a terminal.
    if not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}", revision):
        revision = "unknown"
    return VersionInfo(__version__, revision, platform.python_version())
