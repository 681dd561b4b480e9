"""Runs the commands of pages in a shell, with addresses of servers of the test and paths below a directory.

A command that cannot run here has a row in `STAND_INS`, which says why, and does as much as can be done.
"""

import re
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from iris_exporter.instruments import catalog
from tests.contract.chart import values_file
from tests.docs.pages import Block, Command, commands
from tests.integration import images
from tests.integration.harness import sidecar
from tests.integration.programs import Program, running, wait_until
from tests.tools import ROOT, find_tool

LIMIT_SECONDS = 15.0
NOWHERE = "http://127.0.0.1:1"
EXPORTER = r"https?://(?:localhost|127\.0\.0\.1):14747|http://EXPORTER|https://iris-exporter\.example\.com(?:/iris)?"
PATHS = r"(?<![\w/.:])/(?=(?:run|var|etc|tmp|opt|usr/local)/)"
SERVER = r"^(?:[A-Z_]+=\S+ )*(?:\S+/)?iris-exporter (?!.*--(?:config\.check|help|version))(?:backend|serve|demo|--)"
WATCH = r"\biris-exporter watch\b"
READY = r"event=stream\.state .*state=live|IRIS reference backend on"


class Shell:
    """A shell in `directory`, with a backend at `backend` and, once one has been started, an exporter at `exporter`.

    What `rewrites` find in a text of a page is replaced, `stand_ins` are tried first, `environment` is added to the
    variables, and servers run until the shell ends.
    """

    def __init__(self, directory: Path, backend: str, exporter: str = NOWHERE) -> None:
        self.directory = directory
        self.place = directory
        """Where commands run; `cd` changes it."""
        self.exporter = exporter
        self.limit_seconds = LIMIT_SECONDS
        """How long a command may take on a quiet machine."""
        self.servers: list[Program] = []
        self.stack = AsyncExitStack()
        self.stand_ins: Sequence[StandIn] = STAND_INS
        self.environment = {
            "PATH": f"{directory / 'bin'}:{ROOT / '.tools/bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(directory),
            "KUBECONFIG": "/nonexistent",
        }
        self.rewrites: list[tuple[str, str]] = [
            (r"https?://(?:\w+\.)?iris\.example(?:\.com)?|http://127\.0\.0\.1:14748", backend),
            (r"wss?://(?:(?:\w+\.)?iris\.example\.com|backend:14748)", backend.replace("http", "ws")),
            (r"https?://(?:grafana\.example\.com|(?:collector|prometheus|loki|tempo):\d+)", NOWHERE),
            (r"(?<=iris-exporter check )(?!.*--wait)", "--wait=3s "),
            (r"(?<=--wait=)\w+", "3s"),
            (r"(?<= )URL\b", f"{backend}/api/stream"),
            (r"--config\.file=\.\.\.", "--config.file=iris.yaml"),
            (r"(?<=/api/v1/streams/)NAME\b", "default"),
            (r"(?<= --stream=)\w+", "default"),
            (PATHS, f"{directory}/"),
        ]

    def rewritten(self, text: str) -> str:
        """A text of a page with addresses and paths of the test."""
        for pattern, replacement in [*self.rewrites, (EXPORTER, self.exporter)]:
            text = re.sub(pattern, replacement, text)
        return text

    async def run(self, command: Command) -> None:
        """Run a command; it ends well, or with an error where the page shows one, and prints what the page shows."""
        stand_in = next((row for row in self.stand_ins if re.search(row.pattern, command.text)), None)
        if stand_in is not None:
            await stand_in.run(self, command)
        elif re.search(SERVER, command.text):
            await self.serve(command, self.rewritten(command.text))
        elif command.text.startswith("cd "):
            self.place = self.place / command.text.removeprefix("cd ")
            assert self.place.is_dir(), command.text
        elif re.search(r"\bcurl\b.* -N", command.text):
            await self.follow(self.rewritten(command.text), r"data: \{")
        elif re.search(WATCH, command.text):
            # Without an address it is that of the exporter's default port.
            follows = re.search(r"watch https?://|--stream\.url|--config\.file", command.text)
            await self.follow(self.rewritten(command.text) + ("" if follows else f" {self.exporter}"), r".* live\b")
        else:
            await self.ends(command, self.rewritten(command.text))

    async def ends(self, command: Command, text: str) -> None:
        """Run `text` for a command, to its end. What asks a server is asked again until it has something to show."""

        async def check() -> bool:
            code, printed = await self.call(text)
            found.append(f"{command.text}: {code}\n{printed}")
            return (code != 0) == fails and not self.missing(command, printed)

        found: list[str] = []
        fails = any(line.startswith("Error:") for line in command.output)
        if not re.match("curl ", text):
            assert await check(), found[-1]
        else:
            await wait_until(check, f"what the page shows of {command.text}")

    async def call(self, text: str) -> tuple[int, str]:
        """The exit code and output of a command line, to its end."""
        async with running(
            "bash", "-c", f"exec 2>&1\n{text}", directory=self.place, environment=self.environment
        ) as it:

            async def code() -> tuple[int] | None:
                return None if it.exit_code is None else (it.exit_code,)

            found = await wait_until(code, f"the end of {text}", self.limit_seconds)
            await it.stop()
            return (found or (1,))[0], it.output

    async def serve(self, command: Command, text: str) -> None:
        """Start a server on free ports, and wait until it shows what the page shows; a demo, until it has ended."""
        demo = re.search(r"\bdemo\b", text) is not None
        options = ["--web.listen-address=127.0.0.1:0"]
        options += ["--backend.listen-address=127.0.0.1:0", "--duration=5s"] if demo else []
        line = f"exec env {text.partition(' #')[0]} {' '.join(options)}"
        program = await self.stack.enter_async_context(
            running("bash", "-c", line, directory=self.place, environment=self.environment)
        )

        async def check() -> bool:
            ready = program.exit_code is not None if demo else re.search(READY, program.output) is not None
            assert demo or program.exit_code is None, f"{command.text}: it has ended:\n{program.output}"
            return ready and not self.missing(command, program.output)

        await wait_until(check, f"what the page shows of {command.text}", self.limit_seconds)
        if demo:
            assert await program.stop() == 0, program.output
        else:
            self.servers.append(program)
        for address in re.findall(r"event=web\.listening address=(\S+)", program.output):
            self.exporter = address

    async def follow(self, text: str, line: str) -> None:
        """Start a program that follows a stream: it prints such a line, and ends when it is asked to."""
        async with running("bash", "-c", f"exec {text}", directory=self.place, environment=self.environment) as client:
            await client.printed(lambda printed: re.match(line, printed))

    async def close(self) -> None:
        """End the servers as their users would."""
        for server in self.servers:
            assert await server.stop() == 0, server.output
        await self.stack.aclose()

    def missing(self, command: Command, printed: str) -> str:
        """The first line of the page that a command has not printed, in the page's order; numbers may be others."""
        lines = [" ".join(line.split()) for line in printed.splitlines()]
        # Of a whole page of metrics the page may show what another exporter has.
        leaves_out = "..." in command.output
        for shown in (line for line in command.output if line.strip() not in ("", "...")):
            pattern = line_pattern(self.rewritten(shown))
            place = next((number for number, line in enumerate(lines) if pattern.fullmatch(line)), None)
            if place is not None:
                del lines[: place + 1]
            elif not (leaves_out and is_of_the_catalogue(shown)):
                return shown
        return ""


def line_pattern(shown: str) -> re.Pattern[str]:
    """What fits a line of a page: with other numbers, other blanks, and anything for `...` and a word before it."""
    parts = re.split(r"(\w*\.\.\.|\d+(?:[.,:]\d+)*(?:e[-+]\d+)?)", " ".join(shown.split()))
    return re.compile("".join(map(_part_pattern, parts)))


def _part_pattern(part: str) -> str:
    if part.endswith("..."):
        return ".*"
    return r"[\d.,:e+-]+" if part[:1].isdigit() else re.escape(part)


def is_of_the_catalogue(shown: str) -> bool:
    """Whether a line is a sample of a metric that the catalogue has, with the labels that it has there."""
    sample = re.match(r"([a-z_]+)\{(.*)\} [-+.\de]+$", shown)
    metric = catalog.BY_NAME.get(sample[1]) if sample else None
    labels = re.findall(r'([a-z_]+)="(?:[^"\\]|\\.)*"', sample[2]) if sample else []
    return metric is not None and set(labels) == set(metric.label_names)


@dataclass(frozen=True)
class StandIn:
    """What is done for the commands that fit `pattern`, which cannot run here for the reason `why`."""

    pattern: str
    why: str
    run: Callable[[Shell, Command], Awaitable[None]]


async def _dry_run(shell: Shell, command: Command) -> None:
    code, printed = await shell.call(command.text.replace("make ", f"make --dry-run --directory={ROOT} ", 1))
    assert code == 0, printed


async def _stack(shell: Shell, command: Command) -> None:
    """The file is loaded, the service is one of it, and what runs in its container runs in the shell."""
    words = shlex.split(command.text.partition("#")[0])
    file = words[words.index("-f") + 1] if "-f" in words else "deploy/compose/compose.yaml"
    code, printed = await shell.call(f"compose-spec {shell.directory / file}")
    assert code == 0, printed
    services = set(yaml.safe_load(printed)["services"])
    rest = [word for word in words[words.index("compose") + 1 :] if word not in ("-f", file)]
    assert rest[0] in {"up", "ps", "stop", "start", "down", "exec"}, command.text
    assert set(rest[1:2]) <= services, command.text
    if rest[0] == "exec":
        await _inner(shell, command, command.text.partition(f" exec {rest[1]} ")[2])


async def _inner(shell: Shell, command: Command, text: str) -> None:
    # Of the services that it names, only the backend is here.
    text = shell.rewritten(re.sub(r" --prometheus\.url=\S+", "", text))
    text = re.sub(r"^python ", f"{sys.executable} ", text)  # which may itself be below /tmp
    for key in re.findall(r"--stream\.api-key-file=(\S+)", text):
        _key(shell.directory / key)
    await shell.ends(command, text)


def _key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a-long-enough-key\n")


async def _pod(shell: Shell, command: Command) -> None:
    if " -- " in command.text:
        await _inner(shell, command, command.text.partition(" -- ")[2])


async def _build(shell: Shell, command: Command) -> None:
    words = shlex.split(command.text)
    assert shell.directory / words[words.index("-f") + 1] == shell.directory / images.SHIPPED.dockerfile.relative_to(
        ROOT
    )


async def _nothing(shell: Shell, command: Command) -> None:
    """The reason says all."""


async def _install(shell: Shell, command: Command) -> None:
    text = command.text.partition(" #")[0].replace("helm ", "helm4 ", 1)
    await shell.ends(command, f"{text} --dry-run=client")


async def _rendered(shell: Shell, command: Command) -> None:
    code, printed = await shell.call(re.sub(r"^helm .*?upgrade(?: --install)?", "helm4 template", command.text))
    assert code == 0, printed


async def _extra(shell: Shell, command: Command) -> None:
    (name,) = re.findall(r"'iris-exporter\[(\w+)\]'", command.text)
    assert f"\n{name} = [" in (ROOT / "pyproject.toml").read_text()


STAND_INS: Sequence[StandIn] = (
    StandIn("^make ", "tests that call their own targets would not end: make says what it would do", _dry_run),
    StandIn("^docker compose ", "images of others cannot be had: the loader of docker compose reads the file", _stack),
    StandIn("^docker build ", "test_quickstart.py builds it: here it is the same Dockerfile", _build),
    StandIn("^docker push ", "there is no registry", _nothing),
    StandIn("^helm install ", "no cluster: Helm works out everything and sends nothing", _install),
    StandIn("^helm (diff )?upgrade ", "no cluster: Helm renders what it would send", _rendered),
    StandIn("^helm (test|rollback) ", "no cluster; tests/integration/test_chart_install.py has one", _nothing),
    StandIn("^kubectl ", "no cluster: what runs in a pod runs here", _pod),
    StandIn(r"^pip install 'iris-exporter\[", "no index of packages: there is such an extra", _extra),
    StandIn(r"^pip install \.$", "test_quickstart.py does it, in an environment of its own", _nothing),
    StandIn("^iris-exporter dashboards push ", "no Grafana; tests/grafana/test_push.py has a stub", _nothing),
)


def needs(block: Block) -> tuple[str, ...]:
    """The programs that the commands of a block take."""
    text = block.text
    words = {"curl": "curl ", "compose-spec": "docker compose ", "helm4": "helm ", "make": "make "}
    return tuple(name for name, word in words.items() if word in text and find_tool(name) != Path(f"/usr/bin/{name}"))


@asynccontextmanager
async def shell(directory: Path, block: Block) -> AsyncIterator[Shell]:
    """A shell with what the commands of a block name: a backend, an exporter, a configuration, keys, the checkout."""
    programs = directory / "bin"
    programs.mkdir()
    (programs / "iris-exporter").write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m iris_exporter "$@"\n'
    )
    (programs / "iris-exporter").chmod(0o755)
    for name in ("deploy", "alerts", "docs"):
        (directory / name).symlink_to(ROOT / name)
    for name in ("key", "token", "api-key", "run/secrets/iris", "run/secrets/grafana"):
        _key(directory / name)
    for name in ("var/lib/grafana", "etc/grafana/provisioning", "tmp"):
        (directory / name).mkdir(parents=True)
    (directory / ".curlrc").write_text("silent\nshow-error\nfail\n")
    (directory / "values.yaml").write_text(values_file("demo").read_text())
    async with Backend(BackendSettings(port=0, seed=7, rate=20.0)) as backend, AsyncExitStack() as stack:
        (directory / "iris.yaml").write_text(f"stream:\n  url: {backend.url}/api/stream\n")
        made = Shell(directory, backend.url)
        if re.search(EXPORTER, block.text) or re.search(WATCH, block.text):
            exporter = await stack.enter_async_context(sidecar(f"--stream.url={backend.url}/api/stream"))
            await exporter.reaches("live")
            made.exporter = exporter.url
        yield made


async def run_block(block: Block, directory: Path) -> None:
    """Run the commands of a block one after another."""
    async with shell(directory, block) as made, made.stack:
        for command in commands(block):
            await made.run(command)
        await made.close()
