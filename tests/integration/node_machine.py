"""The machine that a cluster's node believes it has; started by node.py, as root, and never imported.

It is made of namespaces: processes, mounts, network, host name, control groups. Nothing in it can reach the network of
the real machine, and its addresses are those that documents use for examples, so that they belong to nobody. In it
runs a small init, which starts what it reads from standard input, a JSON object a line, and writes a line for each
program that ended. When standard input ends, so does the init, and with it, by the kernel's hand, every process and
mount in there, whatever state they are in. What no namespace takes along, the control groups, is removed from outside.

Only version 1 of control groups is known here.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GROUP = "iris-exporter-node-"
# What kubelet would set for the whole real machine, were it not so already. It finds these instead, and writes nothing.
SETTINGS = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1"}
REMOVE_SECONDS = 10.0


def hierarchies() -> dict[str, Path]:
    """Where each hierarchy of control groups is mounted, by its mount options (`cpu`, `name=systemd`)."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        name, _, options = kind.split(" ", 2)
        if name == "cgroup":
            shown = [each for each in options.split(",") if each not in ("rw", "ro", "relatime", "none", "xattr")]
            found[",".join(shown)] = Path(mount.split(" ")[4])
    return found


def remove(group: Path) -> bool:
    """Remove a control group and those in it; False while a process is still in one of them."""
    below = sorted((Path(path) for path, _, _ in os.walk(group)), key=lambda path: len(path.parts), reverse=True)
    for each in below:
        try:
            each.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def outside(address: str, directory: str) -> int:
    """Make the namespaces and groups, wait for the init to end, and remove the groups."""
    groups = [mount / f"{GROUP}{os.getpid()}" for mount in hierarchies().values()]
    for group in groups:
        # What a run that was killed has left; one that is in use cannot be removed.
        for old in group.parent.glob(f"{GROUP}*"):
            remove(old)
        group.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists():
                (group / name).write_text((group.parent / name).read_text())
    child = os.fork()
    if child == 0:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))
        spaces = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "--mount-proc")
        os.execvp("unshare", ["unshare", *spaces, sys.executable, __file__, address, directory, "init"])
    _, status = os.waitpid(child, 0)
    deadline = time.monotonic() + REMOVE_SECONDS
    while groups := [group for group in groups if not remove(group)]:
        if time.monotonic() > deadline:
            sys.exit(f"processes are left in {GROUP}{os.getpid()}")
        time.sleep(0.05)
    return os.waitstatus_to_exitcode(status)


def run(*command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, check=True)


def furnish(address: str, directory: str) -> None:
    """Give the machine its file systems and its address. Of the real one's it may write to `directory` and to /tmp."""
    found = hierarchies()
    # It shows the network namespace it is mounted in. Nothing of the old one may stay below it: the list of mounts is
    # where programs look for control groups.
    run("umount", "--recursive", "--lazy", "/sys")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    for options, mount in found.items():
        mount.mkdir()
        named = f"none,{options}" if options.startswith("name=") else options
        run("mount", "-t", "cgroup", "-o", named, "cgroup", str(mount))
    for writable in ("/tmp", directory):
        run("mount", "--bind", writable, writable)
    run("mount", "-o", "remount,bind,ro", "/")
    for own in ("/run", "/var/lib", "/var/log"):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", own)
    for name, value in SETTINGS.items():
        file = Path("/run") / name.replace("/", ".")
        file.write_text(f"{value}\n")
        run("mount", "--bind", str(file), f"/proc/sys/{name}")
    run("hostname", "node")
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{address}/32", "dev", "lo")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def start(order: dict[str, object]) -> int:
    """Start a program with its output in a file; its process id."""
    words, log, environment = order["command"], order["log"], order["environment"]
    assert isinstance(words, list)
    assert isinstance(environment, dict)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        words[0],
        words,
        {**os.environ, **environment},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def init(address: str, directory: str) -> None:
    """Be the first process: start what is asked for, reap what ends, and end with the input."""
    furnish(address, directory)
    names: dict[int, str] = {}
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    print(json.dumps({"started": address}), flush=True)
    pending = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in names:
                print(json.dumps({"ended": names.pop(pid), "code": os.waitstatus_to_exitcode(status)}), flush=True)
        if 0 in ready:
            if not (data := os.read(0, 1 << 16)):
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                names[start(order)] = order["name"]


if __name__ == "__main__":
    if sys.argv[3:] == ["init"]:
        init(*sys.argv[1:3])
    else:
        sys.exit(outside(*sys.argv[1:3]))
