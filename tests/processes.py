"""Finds processes that a test run started and did not end, children and orphans alike."""

import os
import time
import uuid
from pathlib import Path

# Every process started from this one inherits the variable, also when its parent has gone.
MARK = "PYTEST_RUN_MARK"
_KERNEL = (0, 2)
"""Parents of the kernel's own threads, which have no environment at all."""
_CHECKS, _CHECK_EVERY_SECONDS = 20, 0.005


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
            state, parent = (directory / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() or mark in _environment(directory, state, int(parent)):
                found[pid] = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # gone since the listing, or another user's
    return found


def _environment(directory: Path, state: str, parent: int) -> list[bytes]:
    """The environment of a process; one that is being started has none for a moment, which is waited for."""
    for _ in range(_CHECKS):
        found = (directory / "environ").read_bytes()
        if found or state == "Z" or parent in _KERNEL:
            break
        time.sleep(_CHECK_EVERY_SECONDS)
    return found.split(b"\0")
