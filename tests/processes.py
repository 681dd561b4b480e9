"""Finds processes that a test run started and did not end, children and orphans alike."""

import os
import uuid
from pathlib import Path

# Every process started from this one inherits the variable, also when its parent has gone.
MARK = "PYTEST_RUN_MARK"


def mark_children() -> bytes:
    """Put a fresh mark into the environment and return what a child's environment then holds."""
    os.environ[MARK] = uuid.uuid4().hex
    return f"{MARK}={os.environ[MARK]}".encode()


def marked_processes(mark: bytes) -> dict[int, str]:
    """Process id to command line of everything that carries `mark`, or is our child, now; empty without /proc.

    A zombie has no environment any more and is found as a child, with an empty command line.
    """
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        pid = int(directory.name)
        if pid == os.getpid():
            continue
        try:
            is_child = int((directory / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
            if is_child or mark in (directory / "environ").read_bytes().split(b"\0"):
                found[pid] = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # gone since the listing, or another user's
    return found
