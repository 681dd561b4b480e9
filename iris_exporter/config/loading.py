"""From flags, variables and a file to `Settings`, or to every problem at once.

Three steps: collect what was given and where (`Given`), read each value by its option's kind, check what belongs
together. No step stops at the first problem; a step leaves out what an earlier one has already complained about.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iris_exporter.config import client_options, consistency, credentials, yaml_tree
from iris_exporter.config.building import build, build_stream, default_of
from iris_exporter.config.credentials import FileChecks
from iris_exporter.config.hints import did_you_mean
from iris_exporter.config.option import PREFIX
from iris_exporter.config.options import BY_KEY, OPTIONS, STREAM_OPTIONS
from iris_exporter.config.reader import Given, Origin, Reader, split, without_line_end
from iris_exporter.config.values import STREAM_URL, quoted
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.core import urls
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.settings import Settings, StreamSettings

# Kubernetes describes a Service called iris-exporter to every container of its namespace in variables that start as
# ours do; they are not ours.
_SERVICE_VARIABLE = re.compile(
    PREFIX + r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_NOT_IN_DEFAULTS = ("name", "url")
# Keys of a file that are in no section, and the options that they are.
_TOP_LEVEL = {option.key: option.key for option in OPTIONS if "." not in option.key} | {
    "streams_files": "discovery.files"
}
# Servers that are no streams: where the keys of their options begin, and what names the file with the key.
_CLIENTS = {"discovery.http-": "api-key-file", "live.": "token-file"}
_HOW_TO_GIVE_A_STREAM = (
    "the address of a source: --stream.url, IRIS_EXPORTER_STREAM_URL, or streams: in the file of --config.file"
)


@dataclass(slots=True)
class _Stream:
    """What was given for one stream, by option name, and what became of it."""

    where: str
    key: str  # what messages about the stream as a whole call it
    given: dict[str, Given]
    values: dict[str, Any]


def load(flags: Mapping[str, object], environment: Mapping[str, str], checks: FileChecks | None = None) -> Settings:
    """Return the settings that flags, variables, the file named by `config.file` and defaults make, in that order.

    Args:
        flags: By option key, text or a list of text; None is not given.
        environment: All variables; those that do not start with `IRIS_EXPORTER_` are ignored, and so are empty ones.
        checks: None leaves the files with certificates and the web configuration unread.
    Raises:
        ConfigError: With every problem found.
    """
    return _Loader(flags, environment, checks).load()


def stream_settings(**changes: Any) -> StreamSettings:
    """Return the settings of a stream with defaults, for tests and the demo.

    Args:
        changes: By field of `StreamSettings`, taken as they are and not checked. The default `url` is the overview
            of the reference backend.
    """
    values = {option.field: default_of(option) for option in STREAM_OPTIONS.values()}
    values["url"] = "http://127.0.0.1:14748/api/stream/overview"
    return StreamSettings(**{**values, **changes})


class _Loader:
    """One run of `load`; `problems` grows in the order found."""

    def __init__(self, flags: Mapping[str, object], environment: Mapping[str, str], checks: FileChecks | None) -> None:
        self._checks = checks
        self._check_tls = None if checks is None else checks.tls
        self._reader = Reader()
        self.problems = self._reader.problems
        self._general: dict[str, Given] = {}
        self._file_is_broken = False
        self._take_environment(environment)
        self._take_flags(flags)
        self._outside_file = dict(self._general)

    def load(self) -> Settings:
        """See `load`."""
        file = self._reader.read(self._general["config.file"]) if "config.file" in self._general else None
        streams: list[_Stream] | None = None
        defaults: dict[str, Given] = {}
        # Before it is read: a change in between is then seen as one.
        mark = yaml_tree.mark(file) if isinstance(file, Path) else None
        if isinstance(file, Path):
            table, problems = yaml_tree.read(file)
            self.problems += problems
            self._file_is_broken = bool(problems)
            defaults, streams = self._take_file(file, table)
        values = {
            key: self._reader.read(given) for key, given in self._general.items() if BY_KEY[key].group != "stream"
        }
        if streams is None:
            streams = self._single_stream()
        self._read_streams(streams, defaults)
        self._check_together(streams)
        self._check_web_file(values.get("web.config.file"))
        self._check_watch(values)
        self._check_fleet(values)
        for prefix, key in _CLIENTS.items():
            self._check_client(values, prefix, key)
        if self.problems:
            # Once each: what is wrong in `defaults:` shows up again for every stream.
            raise ConfigError(list(dict.fromkeys(self.problems)))
        built_in = {name: default_of(option) for name, option in STREAM_OPTIONS.items()}
        template = build_stream({**built_in, "url": "", **self._reader.read_all(defaults)})
        chosen = [build_stream(stream.values) for stream in streams]
        settings = build(values, chosen, template, file if isinstance(file, Path) else None)
        return replace(settings, config_mark=mark)

    # Collecting

    def _take_environment(self, environment: Mapping[str, str]) -> None:
        variables = {option.variable: option for option in OPTIONS}
        for name in sorted(environment):
            if not name.startswith(PREFIX) or _SERVICE_VARIABLE.fullmatch(name):
                continue
            option = variables.get(name)
            if option is None:
                expected = "the variable of an option" + did_you_mean(name, variables)
                self.problems.append(Problem(name, "(environment)", "an unknown variable", expected))
            elif text := without_line_end(environment[name]):
                # Compose files pass on what is unset as an empty text: that is not given, too.
                self._general[option.key] = Given(option, split(option, text), name, option.key, Path())

    def _take_flags(self, flags: Mapping[str, object]) -> None:
        for key, value in flags.items():
            if value is not None:
                option = BY_KEY[key]
                several = value if isinstance(value, list | tuple) else (value,)
                texts = tuple(without_line_end(str(each)) for each in several)
                self._general[key] = Given(option, texts, option.flag, key, Path())

    def _take_file(self, path: Path, table: Table) -> tuple[dict[str, Given], list[_Stream] | None]:
        """Take over the file's options; return its `defaults:` and its `streams:` (None: it has none)."""
        sections = {option.group for option in OPTIONS if option.in_file}
        defaults: dict[str, Given] = {}
        streams: list[_Stream] | None = None
        single: dict[str, Given] = {}
        for name, node in table.entries.items():
            where = f"{path}:{table.lines[name]}"
            if name == "defaults":
                defaults = self._stream_keys(path, node, name, where, leave_out=_NOT_IN_DEFAULTS)
            elif name == "streams":
                streams = self._streams(path, node, where)
            elif name == "stream":
                single = self._stream_keys(path, node, name, where)
            elif name in _TOP_LEVEL:
                self._top_level(path, node, name, where)
            elif name in sections:
                self._section(path, node, name, where)
            else:
                known = sorted({*sections, *_TOP_LEVEL, "streams", "defaults"})
                self._reader.unknown(where, name, name, known, f"one of {', '.join(known)}")
        if streams is not None:
            self._refuse_single(f"{path}:{table.lines['streams']}", single)
            return defaults, streams
        for name, given in single.items():
            self._general.setdefault(f"stream.{name}", given)
        return defaults, None

    def _refuse_single(self, streams_at: str, single: Mapping[str, Given]) -> None:
        """One stream beside a list of streams: nobody could tell which of them it should change."""
        outside = [given for key, given in self._outside_file.items() if BY_KEY[key].group == "stream"]
        for given in [*outside, *single.values()]:
            expected = f"none, because {streams_at} lists streams; put it there, or below defaults: for all of them"
            self._reader.problem(given, "an option of a single stream", expected)

    def _streams(self, path: Path, node: Node, where: str) -> list[_Stream] | None:
        if isinstance(node, Scalar) and node.text is None:
            return None
        if not isinstance(node, Sequence):
            self.problems.append(Problem(where, "streams", yaml_tree.describe(node), "a list of streams"))
            self._file_is_broken = True
            return []
        if not node.items:
            self.problems.append(Problem(where, "streams", "an empty list", "at least one stream"))
        streams = []
        for index, item in enumerate(node.items):
            key, place = f"streams[{index}]", f"{path}:{item.line}"
            if isinstance(item, Table):
                streams.append(_Stream(place, key, self._stream_keys(path, item, key, place), {}))
            else:
                self.problems.append(Problem(place, key, yaml_tree.describe(item), "keys with values"))
        return streams

    def _stream_keys(
        self, path: Path, node: Node, key: str, where: str, leave_out: Iterable[str] = ()
    ) -> dict[str, Given]:
        known = {name: option for name, option in STREAM_OPTIONS.items() if name not in leave_out}
        return self._reader.options(Origin(path), node, key, where, known)

    def _section(self, path: Path, node: Node, section: str, where: str) -> None:
        """Take over `web:`, `log:` and so on; flags and variables have been there before."""
        known = {option.name: option for option in OPTIONS if option.group == section and option.in_file}
        for given in self._reader.options(Origin(path), node, section, where, known).values():
            self._general.setdefault(given.option.key, given)

    def _top_level(self, path: Path, node: Node, name: str, where: str) -> None:
        """Take over an option that stands in a file by itself."""
        option = BY_KEY[_TOP_LEVEL[name]]
        texts = self._reader.texts(node, option, where, name)
        if texts is not None:
            self._general.setdefault(option.key, Given(option, texts, where, name, path.parent))

    @property
    def _discovers(self) -> bool:
        kubernetes = self._general.get("discovery.kubernetes")
        return (
            "discovery.files" in self._general
            or "discovery.http-url" in self._general
            or (kubernetes is not None and kubernetes.texts != ("none",))
        )

    def _single_stream(self) -> list[_Stream]:
        given = {BY_KEY[key].name: given for key, given in self._general.items() if BY_KEY[key].group == "stream"}
        if "url" not in given:
            # A file that could not be read in full may well have held it; discovery may find some later.
            if (
                not self._discovers
                and not self._file_is_broken
                and not any(p.key in {"config.file", "(file)"} for p in self.problems)
            ):
                self.problems.append(Problem("command line", "stream.url", "nothing", _HOW_TO_GIVE_A_STREAM))
            self._reader.read_all(given)
            return []
        return [_Stream(given["url"].where, "stream", given, {})]

    # Reading

    def _read_streams(self, streams: list[_Stream], defaults: Mapping[str, Given]) -> None:
        """Read each stream's values; those of `defaults:` once, or one mistake would be told for every stream."""
        common = self._reader.read_all(defaults)
        built_in = {name: default_of(option) for name, option in STREAM_OPTIONS.items()}
        for stream in streams:
            own = self._reader.read_all(stream.given)
            # A broken value must not be replaced by a default in checks of what belongs together.
            broken = (stream.given.keys() - own.keys()) | (defaults.keys() - common.keys() - stream.given.keys())
            stream.values = {name: v for name, v in {**built_in, **common, **own}.items() if name not in broken}
            stream.given = {**defaults, **stream.given}
            if "url" not in stream.given:
                self.problems.append(Problem(stream.where, f"{stream.key}.url", "nothing", STREAM_URL.syntax))
            if len(streams) > 1 and "name" not in stream.given:
                expected = "a name that no other stream has"
                self.problems.append(Problem(stream.where, f"{stream.key}.name", "nothing", expected))
                del stream.values["name"]

    # Checking what belongs together

    def _check_web_file(self, path: Path | None) -> None:
        """Look into the file of the door, with its certificates, so that a broken one is found before the start."""
        if path is not None and self._checks is not None:
            self.problems += self._checks.web(path)

    def _check_watch(self, values: Mapping[str, Any]) -> None:
        if values.get("config.watch") and "config.file" not in self._general:
            self._reader.problem(self._general["config.watch"], "true", "--config.file beside it, to be watched")

    def _check_fleet(self, values: Mapping[str, Any]) -> None:
        shard, total = values.get("shard", 0), values.get("total-shards", 1)
        if shard is not None and total is not None and shard >= total:
            given = self._general.get("shard") or self._general["total-shards"]
            self._reader.problem(given, str(shard), f"an ordinal below --total-shards, which is {total}")
        outside = values.get("fleet.kubernetes-url")
        for key in ("fleet.kubernetes-token-file", "fleet.kubernetes-ca-file"):
            if values.get(key) is not None and outside is None:
                self._reader.problem(self._general[key], quoted(str(values[key])), "--fleet.kubernetes-url beside it")
        for _, expected in credentials.problems(
            {"tls-ca-file": values.get("fleet.kubernetes-ca-file")}, self._check_tls
        ):
            given = self._general["fleet.kubernetes-ca-file"]
            self._reader.problem(given, quoted(given.texts[0]), expected)

    def _check_client(self, values: Mapping[str, Any], prefix: str, key: str) -> None:
        """Look at what identifies us to one server; `key` is the option after the prefix that names its key."""
        given = {name: self._general.get(f"{prefix}{name}") for name in (*client_options.NAMES, key)}
        own = {name: values[f"{prefix}{name}"] for name, each in given.items() if each is not None}
        if None in own.values():
            return  # what could not be read has been told, and nothing can be said about the others
        for name, expected in credentials.problems(own, self._check_tls, key):
            at_fault = self._general[f"{prefix}{name}"]
            self._reader.problem(at_fault, at_fault.option.kind.shown(at_fault.texts[0]), expected)

    def _check_together(self, streams: list[_Stream]) -> None:
        names: dict[str, _Stream] = {}
        endpoints: dict[tuple[str, str, int, str, str], _Stream] = {}
        for stream in streams:
            for option, expected in consistency.problems(stream.values, stream.given, self._check_tls):
                given = stream.given[option]
                self._reader.problem(given, given.option.kind.shown(given.texts[0]), expected)
            name = stream.values.get("name")
            if name is not None and (first := names.setdefault(name, stream)) is not stream:
                expected = f"a name that no other stream has ({first.key}.name, {first.where})"
                self._reader.problem(stream.given["name"], quoted(name), expected)
            url = stream.values.get("url")
            if url is not None and (first := endpoints.setdefault(urls.endpoint(url), stream)) is not stream:
                expected = f"an endpoint that no other stream has ({first.key}.url, {first.where})"
                self._reader.problem(stream.given["url"], STREAM_URL.shown(url), expected)
