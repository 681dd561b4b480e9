"""The flags by which a relay reaches its source: those of a stream that is polled, under `--source`."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from iris_exporter.commands.arguments import Parser
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.config import load, rules, values
from iris_exporter.config.option_types import HTTP_URL
from iris_exporter.config.options import STREAM_OPTIONS, Option
from iris_exporter.config.reader import Given, Reader
from iris_exporter.config.values import ValueType
from iris_exporter.settings import StreamSettings

DEFAULT_POLL_INTERVAL = "5s"
POLL_INTERVAL = values.duration(0.1, 3600)
# What identifies us, and whom we trust.
_OF_CLIENTS = (
    *("headers", "headers-file", "tls-ca-file", "tls-cert-file", "tls-key-file"),
    *("tls-server-name", "tls-insecure-skip-verify", "proxy"),
)
_TYPES: Mapping[str, ValueType] = {
    "url": HTTP_URL,
    "poll-interval": POLL_INTERVAL,
    **{name: STREAM_OPTIONS[name].type for name in ("api-key-file", *_OF_CLIENTS)},
}
UNCOMMON = frozenset({"--source.poll-interval", *(f"--source.{name}" for name in _OF_CLIENTS)})


def add_source_flags(parser: Parser) -> None:
    """Declare `--source` and all that says how the source is asked."""
    parser.add_argument(
        "--source", metavar="URL", dest="source.url",
        help="relay the IRIS at this address, which needs no more than REST, in place of synthetic data; "
        "the address of its overview, or what stands before /api/",
    )  # fmt: skip
    parser.add_argument(
        "--source.api-key-file", dest="source.api-key-file", metavar="FILE",
        help="file with the key that the source wants; read again for each request (default: no key is sent)",
    )  # fmt: skip
    parser.add_argument(
        "--source.poll-interval", dest="source.poll-interval", metavar="DURATION",
        help="time between two polls of the source; shorter by itself while it has many events "
        f"(default: {DEFAULT_POLL_INTERVAL})",
    )  # fmt: skip
    for name in _OF_CLIENTS:
        option = STREAM_OPTIONS[name]
        form: dict[str, Any] = {"nargs": "?", "const": "true"} if option.type.switch else {}
        flag = f"--source.{name}"
        parser.add_argument(
            flag, dest=flag[2:], action="append" if option.type.many else "store", metavar=option.type.metavar,
            help=_help_of(option), **form,
        )  # fmt: skip


def _help_of(option: Option) -> str:
    return option.help.replace(", or write a mapping", "").replace("stream.", "--source.").replace("%", "%%")


def source_texts(arguments: argparse.Namespace) -> dict[str, Sequence[str]]:
    """What was given for the source, by the name of the stream's option."""
    found = {name: getattr(arguments, f"source.{name}") for name in _TYPES}
    return {name: text if isinstance(text, list) else [text] for name, text in found.items() if text is not None}


def shown_texts(texts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The same by flag, as it may be shown: the value of a header is a secret."""
    return {_flag_of(name): _TYPES[name].show(each[0]) for name, each in texts.items()}


def _flag_of(name: str) -> str:
    return "--source" if name == "url" else f"--source.{name}"


def read_source(texts: Mapping[str, Sequence[str]], reader: Reader) -> StreamSettings | None:
    """The source as a stream; None, and problems of the reader, for one that makes no sense."""
    given = {name: Given(_TYPES[name], tuple(each), "command line", _flag_of(name)) for name, each in texts.items()}
    found = {name: reader.read(each) for name, each in given.items()}
    if "url" not in found or None in found.values():
        return None
    wrong = list(rules.client_problems(found, FILE_CHECKS.tls))
    for name, expected in wrong:
        reader.refuse(given[name], expected)
    if wrong:
        return None
    flags = {f"stream.{name}": each if _TYPES[name].many else each[0] for name, each in texts.items()}
    return load({"stream.poll-interval": DEFAULT_POLL_INTERVAL, "stream.protocol": "poll", **flags}, {}).streams[0]
