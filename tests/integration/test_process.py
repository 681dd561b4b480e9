"""The program as a process of an operating system: its standard streams, its signals, its limits."""

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from _pytest.mark import ParameterSet

from iris_exporter.process.start_signals import StartSignals
from tests.waiting import BUSY, until

pytestmark = pytest.mark.integration
PROGRAM = (sys.executable, "-m", "iris_exporter")
STREAM = "--stream.url=http://127.0.0.1:9/api/stream/overview"
STOP_SECONDS = 5.0


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def get(port: int, path: str, seconds: float = 5.0) -> str | None:
    """The body of an answer, of whatever status; None when there is none in time."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds * BUSY) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        return error.read().decode()
    except (URLError, OSError):
        return None


def value(page: str | None, series: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in (page or "").splitlines() if line.startswith(series + " "))


@contextmanager
def started(*arguments: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*PROGRAM, *arguments], **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    """Send SIGTERM, and return the exit code of a program that ends in time."""
    process.send_signal(signal.SIGTERM)
    return process.wait(STOP_SECONDS * BUSY)


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_a_log_pipe_that_nobody_reads_holds_up_no_answer_and_no_stop(level: str) -> None:
    port = free_port()
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        arguments = (f"--web.listen-address=127.0.0.1:{port}", STREAM, "--stream.reconnect-initial=100ms",
                     f"--log.level={level}")  # fmt: skip
        with started(*arguments, stderr=writing) as process:
            await until(lambda: get(port, "/-/ready", 1) is not None, 20)
            os.set_blocking(writing, False)
            with pytest.raises(BlockingIOError):
                while True:
                    os.write(writing, b"x" * 64)
            os.set_blocking(writing, True)
            for _ in range(20):
                assert get(port, "/-/healthy") is not None
                assert value(get(port, "/metrics"), "iris_exporter_log_lines_dropped_total") >= 0
            assert stop(process) == 0
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_log_whose_reader_has_gone_counts_what_is_lost() -> None:
    port = free_port()
    reading, writing = os.pipe()
    arguments = (f"--web.listen-address=127.0.0.1:{port}", STREAM, "--stream.reconnect-initial=100ms")
    with started(*arguments, stderr=writing) as process:
        os.close(writing)
        os.close(reading)
        await until(lambda: get(port, "/-/ready", 1) is not None, 20)
        await until(lambda: value(get(port, "/metrics"), "iris_exporter_log_lines_dropped_total") > 0, 20)
        assert stop(process) == 0


async def test_too_few_file_descriptors_do_not_flood_the_log(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

    def has_failed() -> bool:
        return "out of system resource" in log.read_text()

    arguments = (f"--web.listen-address=127.0.0.1:{port}", STREAM, "--log.format=json", "--log.level=debug")
    with log.open("wb") as file, started(*arguments, stderr=file, preexec_fn=limit) as process:
        await until(lambda: get(port, "/-/ready", 1) is not None, 20)
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        await until(has_failed, 20)
        # A hundred failures for each try, and a try each second.
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 2.5)
        for one in idle:
            one.close()
        await until(lambda: get(port, "/metrics", 1) is not None, 20)
        assert value(get(port, "/metrics"), 'iris_exporter_library_messages_total{library="asyncio"}') > 100
        assert stop(process) == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(event["logger"] == "asyncio" for event in events) <= 30


async def test_what_grpcs_c_library_writes_to_stderr_is_part_of_the_log() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_in_clear() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(10)
                    connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")

        threading.Thread(target=answer_in_clear, daemon=True).start()
        environment = {
            **os.environ,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://127.0.0.1:{server.getsockname()[1]}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "GRPC_VERBOSITY": "debug",
        }
        arguments = (f"--web.listen-address=127.0.0.1:{port}", STREAM, "--log.format=json",
                     "--stream.reconnect-initial=100ms")  # fmt: skip
        with started(*arguments, stderr=subprocess.PIPE, env=environment) as process:
            await until(lambda: get(port, "/-/ready", 1) is not None, 20)
            grpc = 'iris_exporter_library_messages_total{library="grpc"}'
            await until(lambda: value(get(port, "/metrics"), grpc) >= 2, 25)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=STOP_SECONDS * BUSY)
            assert process.returncode == 0
        server.shutdown(socket.SHUT_RDWR)
    events = [json.loads(line) for line in log.splitlines()]
    assert any(event["logger"] == "grpc" and event["level"] == "warn" for event in events)


CLOSED = {"stdin": [0], "stdout": [1], "stderr": [2], "all": [0, 1, 2]}
# What closed streams are replaced by is decided before the command is known: quickly seen by one command each way, and
# by each command with none left.
ANSWERS = {
    "help": ["--help"],
    "version": ["--version"],
    "check": ["--config.check", STREAM],
    "export": ["dashboards", "export", "dashboards"],
    "backend help": ["backend", "--help"],
    "demo help": ["demo", "--help"],
}
SERVERS = {
    "serve": ["--web.listen-address=127.0.0.1:0", STREAM],
    "demo": ["demo", "--web.listen-address=127.0.0.1:0", "--backend.listen-address=127.0.0.1:0"],
    "backend": ["backend", "--web.listen-address=127.0.0.1:0"],
}


def cases(commands: Iterable[str], every_way: str = "") -> list[ParameterSet]:
    """Each command with each way of closing; slow but for those that show something of their own."""
    return [
        pytest.param(command, closed, marks=() if command == every_way or closed == "all" else pytest.mark.slow)
        for command in commands
        for closed in CLOSED
    ]


def closing(descriptors: Sequence[int]) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.mark.parametrize(("command", "closed"), cases(ANSWERS, "help"))
def test_a_command_with_a_closed_standard_stream_does_its_work(command: str, closed: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with started(*ANSWERS[command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=tmp_path, env=environment,
                 preexec_fn=closing(CLOSED[closed])) as process:  # fmt: skip
        _, errors = process.communicate(timeout=60 * BUSY)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(("command", "closed"), cases(SERVERS))
async def test_a_server_with_a_closed_standard_stream_serves_and_stops(command: str, closed: str) -> None:
    with started(*SERVERS[command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 preexec_fn=closing(CLOSED[closed])) as process:  # fmt: skip
        await until(lambda: listens(process), 20)
        for descriptor in CLOSED[closed]:
            assert target(process, descriptor) == os.devnull, "no socket takes its place"
        assert stop(process) == 0


def target(process: subprocess.Popen[bytes], descriptor: str | int) -> str:
    """What a descriptor of a process is; empty when it has just been closed."""
    try:
        return str(Path(f"/proc/{process.pid}/fd/{descriptor}").readlink())
    except FileNotFoundError:
        return ""


def listens(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process listens on TCP."""
    own = {target(process, entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[3] == "0A" and f"socket:[{row[9]}]" in own for row in rows)


def test_an_output_that_is_full_is_said_in_one_line() -> None:
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with (
        Path("/dev/full").open("wb") as full,
        started("--config.check", STREAM, stdout=full, stderr=subprocess.PIPE, env=buffered) as process,
    ):
        _, errors = process.communicate(timeout=60 * BUSY)
    assert (process.returncode, errors) == (
        1, b"iris-exporter: cannot write to standard output: No space left on device\n"
    )  # fmt: skip


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
async def test_a_signal_during_the_start_is_obeyed_after_it(name: str, tmp_path: Path) -> None:
    """The signal comes while the rest of the program is being imported."""
    log = tmp_path / "log"
    script = (
        "import os, signal, sys\n"
        "from iris_exporter import __main__\n"
        "class Hook:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'iris_exporter.app':\n"
        f"            sys.meta_path.remove(self); os.kill(os.getpid(), signal.{name})\n"
        "sys.meta_path.insert(0, Hook())\n"
        "sys.exit(__main__.main())\n"
    )
    with (
        log.open("wb") as file,
        subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-c", script, "--web.listen-address=127.0.0.1:0", STREAM], stderr=file
        ) as process,
    ):
        if name == "SIGTERM":
            await until(lambda: process.poll() is not None, 20)
            assert process.returncode == 0
        else:
            await until(lambda: "config.reloaded" in log.read_text(), 20)
            assert stop(process) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("arguments", [["--help"], ["--config.check"], ["dashboards", "push"]])
def test_a_command_that_only_answers_is_left_to_its_signals(arguments: list[str]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    StartSignals().watch(arguments, {})
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before
