"""`iris-exporter watch`: the streams of a running sidecar, or streams themselves, on a terminal or line by line."""

import argparse
import asyncio
import base64
import os
import signal
import sys
from collections import deque
from collections.abc import Coroutine
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from typing_extensions import override

from iris_exporter import config, logs
from iris_exporter.commands.arguments import ArgumentsError, Parser, reads
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.config import option_types
from iris_exporter.config.options import COMMON
from iris_exporter.core import urls
from iris_exporter.settings import ClientSettings, StreamSettings

DEFAULT_URL = "http://localhost:14747"
EXTRA = "pip install 'iris-exporter[watch]'"
MAX_PASSWORD_BYTES = 1024
_KEYS = [option for option in config.OPTIONS if option.group == "stream" or option.key == "config.file"]
_FILES = ("tls_ca_file", "tls_cert_file", "tls_key_file")
_HELP = {
    "tls_ca_file": "PEM file with the authorities to trust (default: those of the system)",
    "tls_cert_file": "PEM file with our certificate, where the sidecar asks for one",
    "tls_key_file": "PEM file with the key of --sidecar.tls-cert-file",
}
_LOG_LINES = 20


def add_arguments(parser: Parser) -> None:
    """Declare the options: of the sidecar, of streams, and what to write."""
    parser.example += " http://localhost:14747 --stream=overview"
    parser.epilog = (
        "On a terminal a screen is shown, which needs the extra `watch`; elsewhere each change is a line.\n"
        "With --stream.url or --config.file the streams themselves are followed, without a sidecar.\n"
        "Exit codes: 0 ended by q, 1 something failed, 2 wrong usage, 130 interrupted."
    )
    parser.add_argument(
        "url", nargs="?", type=_url, metavar="URL", help=f"address of the sidecar (default: {DEFAULT_URL})"
    )
    parser.add_argument(
        "--stream", action="append", default=[], type=reads(option_types.NAME), metavar="NAME",
        help="only the stream of this name; repeat the flag for several (default: all)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="write one JSON object for each change, on a terminal too")
    flag = parser.add_argument
    flag("--sidecar.username", dest="username", metavar="NAME", help="user of the sidecar's web configuration")
    flag("--sidecar.password-file", dest="password_file", type=Path, metavar="FILE", help="file with its password")
    flag(
        "--sidecar.headers-file", dest="headers_file", type=reads(option_types.HEADERS_FILE), metavar="FILE",
        help="file with headers for each request, one in each line, for a gateway before the sidecar",
    )  # fmt: skip
    for name in _FILES:
        flag(f"--sidecar.{name.replace('_', '-')}", dest=name, type=Path, metavar="FILE", help=_HELP[name])
    flag(
        "--sidecar.tls-server-name", dest="tls_server_name", type=reads(option_types.SERVER_NAME), metavar="NAME",
        help="name that the sidecar's certificate has (default: the host of URL)",
    )  # fmt: skip
    flag(
        "--sidecar.tls-insecure-skip-verify", dest="tls_insecure_skip_verify", action="store_true",
        help="accept any certificate: anybody on the way can read the password",
    )  # fmt: skip
    flag(
        "--sidecar.proxy", dest="proxy", choices=("environment", "none"), default="environment",
        metavar="environment|none", help="HTTP proxy: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or none",
    )  # fmt: skip
    parser.uncommon = frozenset(option.flag for option in _KEYS if option.key not in COMMON) | {
        f"--sidecar.{name}"
        for name in ("headers-file", "tls-cert-file", "tls-key-file", "tls-server-name", "proxy")
    } | {"--sidecar.tls-insecure-skip-verify"}  # fmt: skip
    for option in _KEYS:
        form: dict[str, Any] = {"nargs": "?", "const": "true"} if option.type.switch else {}
        action = "append" if option.type.many else "store"
        text = option.help.replace("%", "%%")
        parser.add_argument(option.flag, dest=option.key, action=action, metavar=option.type.metavar, help=text, **form)


def _url(text: str) -> str:
    if text.lower().startswith(("ws:", "wss:")):
        raise argparse.ArgumentTypeError("this is a stream: watch it by --stream.url=URL")
    wrong = urls.problem(text, ("http", "https"))
    if wrong or "?" in text:
        raise argparse.ArgumentTypeError("expected http(s)://HOST[:PORT][/PATH], without user and query")
    return text.rstrip("/")


def run(arguments: argparse.Namespace) -> int:
    """Watch until a key, a signal or the reader of the lines ends it.

    Raises:
        ConfigError: The configuration of streams cannot be used.
        ArgumentsError: Options do not go together, or a stream is not known.
    """
    flags = {option.key: getattr(arguments, option.key) for option in _KEYS}
    given = [key for key, value in flags.items() if value not in (None, [])]
    streams, client = None, None
    if given:
        if arguments.url is not None:
            raise ArgumentsError(f"URL is a sidecar, and --{given[0]} is of streams that are followed without one")
        streams = _streams(config.load(flags, os.environ, FILE_CHECKS).streams, arguments.stream)
    else:
        client = _client(arguments)
    on_screen = not arguments.json and _is_terminal()
    if on_screen and find_spec("textual") is None:
        sys.stderr.write(f"iris-exporter: the screen needs the extra `watch`: {EXTRA}; each change is a line now\n")
        on_screen = False
    log = _LastLines()
    logs.setup("error", "logfmt", log if on_screen else None)
    try:
        return asyncio.run(_watch(client, streams, arguments, on_screen=on_screen))
    finally:
        sys.stderr.write(log.text)


def _is_terminal() -> bool:
    """Whether keys can be read and a screen be drawn, which textual does on standard error."""
    standard = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    return all(each is not None and each.isatty() for each in standard) and os.environ.get("TERM", "") not in (
        "",
        "dumb",
    )


class _LastLines(StringIO):
    """Takes the log while the screen is shown, whose terminal it would spoil; the last lines are shown afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)

    @override
    def write(self, text: str) -> int:
        self._lines.append(text)
        return len(text)

    @property
    def text(self) -> str:
        """The last lines."""
        return "".join(self._lines)


def _streams(found: tuple[StreamSettings, ...], wanted: list[str]) -> tuple[StreamSettings, ...]:
    if not found:
        raise ArgumentsError("no stream to watch: give its address by --stream.url (discovered ones are not looked up)")
    names = [settings.name for settings in found]
    for name in wanted:
        if name not in names:
            raise ArgumentsError(f"--stream: got {name!r}, expected one of {', '.join(names)}")
    return tuple(settings for settings in found if not wanted or settings.name in wanted)


def _client(arguments: argparse.Namespace) -> ClientSettings:
    """How the sidecar is asked. The password is read once."""
    headers: tuple[tuple[str, str], ...] = ()
    if (arguments.username is None) != (arguments.password_file is None):
        raise ArgumentsError("--sidecar.username and --sidecar.password-file belong together")
    if (arguments.tls_cert_file is None) != (arguments.tls_key_file is None):
        raise ArgumentsError("--sidecar.tls-cert-file and --sidecar.tls-key-file belong together")
    if arguments.username is not None:
        password = _password(arguments.password_file)
        pair = base64.b64encode(f"{arguments.username}:{password}".encode()).decode()
        logs.protect(password)
        logs.protect(pair)
        headers = (("Authorization", f"Basic {pair}"),)
    files = {name: getattr(arguments, name) for name in _FILES}
    if any(files.values()) and (unusable := FILE_CHECKS.tls(*files.values())):
        flag = next(name for name, path in files.items() if path == unusable[0]).replace("_", "-")
        raise ArgumentsError(f"--sidecar.{flag}: got {str(unusable[0])!r}, expected {unusable[1]}")
    return ClientSettings(
        "sidecar",
        arguments.url or DEFAULT_URL,
        headers=headers,
        headers_file=arguments.headers_file,
        tls_server_name=arguments.tls_server_name,
        tls_insecure_skip_verify=arguments.tls_insecure_skip_verify,
        proxy=arguments.proxy,
        **files,
    )


def _password(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PASSWORD_BYTES + 1)
        password = content.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ArgumentsError(f"--sidecar.password-file: cannot read {str(path)!r}: {reason}") from None
    if not password or len(content) > MAX_PASSWORD_BYTES or not password.isprintable():
        raise ArgumentsError("--sidecar.password-file: expected a file with the password alone")
    return password


async def _watch(
    client: ClientSettings | None,
    streams: tuple[StreamSettings, ...] | None,
    arguments: argparse.Namespace,
    *,
    on_screen: bool,
) -> int:
    from iris_exporter.clock import SystemClock
    from iris_exporter.http.session import open_session
    from iris_exporter.watch.direct import Direct
    from iris_exporter.watch.sidecar import Sidecar, UnknownStreamError
    from iris_exporter.watch.source import Source
    from iris_exporter.watch.view import words

    clock = SystemClock()
    async with open_session() as session:
        source: Source
        url: str | None
        if client is not None:
            source, url = Sidecar(client, session, clock, arguments.stream), client.url
        else:
            source, url = Direct(streams or (), session, clock), None
        try:
            if on_screen:
                from iris_exporter.watch.screen import show

                return await show(url, source, clock)
            from iris_exporter.watch.lines import write_lines

            await _until_stopped(write_lines(url, source, clock, as_json=arguments.json))
        except UnknownStreamError as error:
            raise ArgumentsError(f"--{words.message(str(error))}") from None
    return 0


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until SIGTERM or SIGHUP, which close the streams as a key would."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
