"""From flags, variables and a file to `Settings`, or to every problem at once.

Three steps: collect what was given and where (`Given`), read each value by its option's type, check what belongs
together. No step stops at the first problem; a step leaves out what an earlier one has already complained about.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iris_exporter.config import mappings, rules, yaml_tree
from iris_exporter.config.option_types import STREAM_URL, prefix_of
from iris_exporter.config.options import BY_KEY, CLIENTS, OPTIONS, PREFIX, STREAM_OPTIONS, Option
from iris_exporter.config.reader import Given, Reader, split, without_line_end
from iris_exporter.config.rules import FileChecks
from iris_exporter.config.values import BadValueError, plain
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.core import urls
from iris_exporter.core.suggestions import nearest
from iris_exporter.errors import ConfigError
from iris_exporter.settings import (
    ClientSettings,
    DiscoverySettings,
    FleetSettings,
    LiveSettings,
    Settings,
    StreamSettings,
    WebSettings,
)

if TYPE_CHECKING:
    from iris_exporter.mapping import spec

# Kubernetes describes a Service called iris-exporter to every container of its namespace in variables that start as
# ours do; they are not ours.
_SERVICE_VARIABLE = re.compile(
    PREFIX + r"(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)
_STREAM_TYPES = {name: option.type for name, option in STREAM_OPTIONS.items()}
_DEFAULTS_TYPES = {name: each for name, each in _STREAM_TYPES.items() if name not in ("name", "url")}
_SECTIONS = {option.group for option in OPTIONS if option.in_file and "." in option.key}
# Keys of a file that are in no section, and the options that they are.
_TOP_LEVEL = {option.key: option for option in OPTIONS if "." not in option.key} | {
    "streams_files": BY_KEY["discovery.files"]
}
# What identifies us to servers that are no streams: keys of options by what they are called for a stream.
_CLIENTS: tuple[Mapping[str, str], ...] = (
    *(
        {key.removeprefix(prefix): key for key in BY_KEY if BY_KEY[key].path.startswith(f"{owner}.")}
        for prefix, owner in CLIENTS.items()
    ),
    {"tls-ca-file": "fleet.kubernetes-ca-file"},
)
_HOW_TO_GIVE_A_STREAM = (
    "the address of a source: --stream.url, IRIS_EXPORTER_STREAM_URL, or streams: in the file of --config.file"
)


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


def default_of(option: Option) -> Any:
    """Return the value of an option's default; where there is none, None or an empty list."""
    if option.default is None:
        return () if option.type.many else None
    value = option.type.read(option.default)
    return (value,) if option.type.many else value


_DEFAULTS = {name: default_of(option) for name, option in STREAM_OPTIONS.items()}


def _stream(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stream's settings; `values` has every option by its name."""
    return {STREAM_OPTIONS[name].path: value for name, value in values.items()}


def _build(
    values: Mapping[str, Any], streams: Iterable[StreamSettings], template: StreamSettings, found: mappings.Found
) -> Settings:
    """All settings. `values` are by key, without those of streams; `template` is what discovered streams begin with."""
    fields: dict[str, dict[str, Any]] = {}
    for option in OPTIONS:
        owner, _, field = option.path.rpartition(".")
        if option.group != "stream":
            value = values[option.key] if option.key in values else default_of(option)
            fields.setdefault(owner, {})[field] = value

    def client(owner: str) -> ClientSettings:
        return ClientSettings(owner.removesuffix(".client"), **{**fields[owner], "url": fields[owner]["url"] or ""})

    web = fields["web"]
    if web["route_prefix"] is None:
        web["route_prefix"] = prefix_of(web["external_url"])
    return Settings(
        streams=tuple(streams),
        web=WebSettings(**web),
        fleet=FleetSettings(**fields["fleet"]),
        discovery=DiscoverySettings(
            **fields["discovery"], http=client("discovery.http"), defaults=template, mappings=found.by_name
        ),
        live=LiveSettings(**fields["live"], client=client("live.client")),
        config_mark=found.mark,
        mappings=found.by_name,
        mapping_tree=found.tree,
        mapping_warnings=tuple(found.warnings),
        **fields[""],
    )


@dataclass(slots=True)
class _Stream:
    """What was given for one stream, by option name, and what became of it."""

    where: str
    key: str  # what messages about the stream as a whole call it
    given: dict[str, Given]
    values: dict[str, Any]
    mapped: "spec.Mapping | None" = None


class _Loader:
    """One run of `load`."""

    def __init__(self, flags: Mapping[str, object], environment: Mapping[str, str], checks: FileChecks | None) -> None:
        self._checks = checks
        self._check_tls = None if checks is None else checks.tls
        self._reader = Reader()
        self._general: dict[str, Given] = {}
        self._mappings = mappings.Found()
        self._file_is_broken = False
        self._take_environment(environment)
        self._take_flags(flags)

    def load(self) -> Settings:
        streams: list[_Stream] | None = None
        defaults: dict[str, Given] = {}
        if "config.file" in self._general:
            if (file := self._reader.read(self._general["config.file"])) is None:
                self._file_is_broken = True
            else:
                # Before the file is read: a change in between is then seen as one.
                self._mappings.mark = yaml_tree.mark(file)
                defaults, streams = self._take_file(file)
        values = {
            key: self._reader.read(given) for key, given in self._general.items() if BY_KEY[key].group != "stream"
        }
        if streams is None:
            streams = self._single_stream()
        self._mappings.read(self._reader.file, values.get("mapping-files") or ())
        self._reader.problems += self._mappings.problems
        self._read_streams(streams, defaults)
        self._check_streams(streams)
        self._check_general(values)
        if self._reader.problems:
            # Once each: what is wrong in `defaults:` shows up again for every stream.
            raise ConfigError(list(dict.fromkeys(self._reader.problems)))
        template = StreamSettings(**_stream({**_DEFAULTS, "url": "", **self._reader.read_all(defaults)}))
        found = (StreamSettings(**_stream(stream.values), mapped=stream.mapped) for stream in streams)
        return _build(values, found, template, self._mappings)

    # Collecting

    def _take_environment(self, environment: Mapping[str, str]) -> None:
        variables = {option.variable: option for option in OPTIONS}
        for name in sorted(environment):
            if not name.startswith(PREFIX) or _SERVICE_VARIABLE.fullmatch(name):
                continue
            option = variables.get(name)
            if option is None:
                # Their common beginning would make all of them alike.
                hint = nearest(name.removeprefix(PREFIX), (each.removeprefix(PREFIX) for each in variables), "_")
                expected = "the variable of an option" + (f" (did you mean {PREFIX}{hint}?)" if hint else "")
                self._reader.report(plain(name), "(environment)", "an unknown variable", expected)
            elif text := without_line_end(environment[name]):
                # Compose files pass on what is unset as an empty text: that is not given, too.
                self._general[option.key] = Given(option.type, split(option.type, text), name, option.key)

    def _take_flags(self, flags: Mapping[str, object]) -> None:
        for key, value in flags.items():
            if value is not None:
                several = value if isinstance(value, list | tuple) else (value,)
                texts = tuple(without_line_end(str(each)) for each in several)
                self._general[key] = Given(BY_KEY[key].type, texts, BY_KEY[key].flag, key)

    def _take_file(self, path: Path) -> tuple[dict[str, Given], list[_Stream] | None]:
        """Take over the file's options; return its `defaults:` and its `streams:` (None: it has none)."""
        from iris_exporter.config import yaml_text

        table, problems = yaml_text.read(path)
        reader = self._reader
        reader.problems += problems
        reader.file = path
        self._file_is_broken = bool(problems)
        outside = [given for key, given in self._general.items() if BY_KEY[key].group == "stream"]
        found: dict[str, Given] = {}
        defaults: dict[str, Given] = {}
        streams: list[_Stream] | None = None
        for name, node in table.entries.items():
            where = reader.place(table, name, "")
            if name == "defaults":
                defaults = reader.given(node, name, where, _DEFAULTS_TYPES)
            elif name == "streams":
                streams = self._streams(node, where)
            elif name == "mappings":
                self._mappings.tree = node
            elif name in _TOP_LEVEL:
                option = _TOP_LEVEL[name]
                if (given := reader.value(node, option.type, name, where)) is not None:
                    found.setdefault(option.key, given)
            elif name in _SECTIONS:
                known = {option.name: option.type for option in OPTIONS if option.group == name and option.in_file}
                for key, given in reader.given(node, name, where, known).items():
                    found.setdefault(f"{name}.{key}", given)
            else:
                keys = sorted({*_SECTIONS, *_TOP_LEVEL, "streams", "defaults", "mappings"})
                reader.unknown(where, name, name, keys, f"one of {', '.join(keys)}")
        if streams is not None:
            single = {key: found.pop(key) for key in list(found) if BY_KEY[key].group == "stream"}
            self._refuse_single([*outside, *single.values()], reader.place(table, "streams", ""))
        for key, given in found.items():
            self._general.setdefault(key, given)  # flags and variables go before the file
        return defaults, streams

    def _refuse_single(self, single: Iterable[Given], streams_at: str) -> None:
        """One stream beside a list of streams: which of them it should change would be a guess."""
        expected = f"none, because {streams_at} lists streams; put it there, or below defaults: for all of them"
        for given in single:
            self._reader.refuse(given, expected, "an option of a single stream")

    def _streams(self, node: Node, where: str) -> list[_Stream] | None:
        if isinstance(node, Scalar) and node.text is None:
            return None
        if not isinstance(node, Sequence):
            self._reader.report(where, "streams", yaml_tree.describe(node), "a list of streams")
            self._file_is_broken = True
            return []
        if not node.items:
            self._reader.report(where, "streams", "an empty list", "at least one stream")
        streams = []
        for index, item in enumerate(node.items):
            key, place = f"streams[{index}]", f"{self._reader.file}:{item.line}"
            if isinstance(item, Table):
                streams.append(_Stream(place, key, self._reader.given(item, key, place, _STREAM_TYPES), {}))
            else:
                self._reader.report(place, key, yaml_tree.describe(item), "keys with values")
        return streams

    def _single_stream(self) -> list[_Stream]:
        given = {BY_KEY[key].name: given for key, given in self._general.items() if BY_KEY[key].group == "stream"}
        if "url" in given:
            return [_Stream(given["url"].where, "stream", given, {})]
        self._reader.read_all(given)
        kubernetes = self._general.get("discovery.kubernetes")
        discovers = (
            "discovery.files" in self._general
            or "discovery.http-url" in self._general
            or (kubernetes is not None and kubernetes.texts != ("none",))
        )
        # A file that could not be read in full may well have held it; discovery may find some later.
        if not discovers and not self._file_is_broken:
            self._reader.report("command line", "stream.url", "nothing", _HOW_TO_GIVE_A_STREAM)
        return []

    # Reading

    def _read_streams(self, streams: list[_Stream], defaults: Mapping[str, Given]) -> None:
        """Read each stream's values; those of `defaults:` once, or one mistake would be reported for every stream."""
        common = self._reader.read_all(defaults)
        for stream in streams:
            own = self._reader.read_all(stream.given)
            # A broken value must not be replaced by a default in checks of what belongs together.
            broken = (stream.given.keys() - own.keys()) | (defaults.keys() - common.keys() - stream.given.keys())
            stream.values = {name: v for name, v in {**_DEFAULTS, **common, **own}.items() if name not in broken}
            stream.given = {**defaults, **stream.given}
            if (name := stream.values.get("mapping")) is not None:
                stream.mapped = self._mapping(name, stream)
            if "url" not in stream.given:
                self._reader.report(stream.where, f"{stream.key}.url", "nothing", STREAM_URL.syntax)
            if len(streams) > 1 and "name" not in stream.given:
                self._reader.report(stream.where, f"{stream.key}.name", "nothing", "a name that no other stream has")
                del stream.values["name"]

    def _mapping(self, name: str, stream: _Stream) -> "spec.Mapping | None":
        try:
            return self._mappings.find(name)
        except BadValueError as error:
            self._reader.refuse(stream.given["mapping"], error.expected)
            return None

    # Checking what belongs together

    def _check_streams(self, streams: list[_Stream]) -> None:
        self._check_metrics(streams)
        names: dict[str, _Stream] = {}
        endpoints: dict[object, _Stream] = {}
        for stream in streams:
            for option, expected in rules.stream_problems(stream.values, stream.given, self._check_tls, stream.mapped):
                self._reader.refuse(stream.given[option], expected)
            name, url = stream.values.get("name"), stream.values.get("url")
            if name is not None and (first := names.setdefault(name, stream)) is not stream:
                expected = f"a name that no other stream has ({first.key}.name, {first.where})"
                self._reader.refuse(stream.given["name"], expected)
            # With a mapping one address may bring what a parameter asks for.
            asked = stream.values.get("mapping"), stream.values.get("parameters")
            endpoint = None if url is None else (urls.endpoint(url), asked)
            if endpoint is not None and (first := endpoints.setdefault(endpoint, stream)) is not stream:
                expected = f"an endpoint that no other stream has ({first.key}.url, {first.where})"
                self._reader.refuse(stream.given["url"], expected)

    def _check_metrics(self, streams: list[_Stream]) -> None:
        """A name of a metric means one thing, in whatever mapping it stands."""
        presets = {stream.mapped.name: stream.mapped for stream in streams if stream.mapped is not None}
        for name, wrong in mappings.conflicts({**self._mappings.by_name, **presets}.values()):
            where = self._mappings.places.get(name, f"preset {name}")
            self._reader.report(where, f"mappings.{name}", "a metric that means two things", wrong)

    def _check_general(self, values: Mapping[str, Any]) -> None:
        def refuse(key: str, expected: str) -> None:
            self._reader.refuse(self._general[key], expected)

        if values.get("web.config.file") is not None and self._checks is not None:
            # A broken file is found before the start, and so are its certificates.
            self._reader.problems += self._checks.web(values["web.config.file"])
        if values.get("config.watch") and "config.file" not in self._general:
            refuse("config.watch", "--config.file beside it, to be watched")
        shard, total = values.get("shard", 0), values.get("total-shards", 1)
        if shard is not None and total is not None and shard >= total:
            refuse("shard", f"an ordinal below --total-shards, which is {total}")
        for key in ("fleet.kubernetes-token-file", "fleet.kubernetes-ca-file"):
            if values.get(key) is not None and values.get("fleet.kubernetes-url") is None:
                refuse(key, "--fleet.kubernetes-url beside it")
        for client in _CLIENTS:
            own = {name: values[key] for name, key in client.items() if key in values and name != "url"}
            if None in own.values():
                continue  # what could not be read has been reported, and nothing can be said about the others
            key_file = "token-file" if "token-file" in client else "api-key-file"
            for name, expected in rules.client_problems(own, self._check_tls, key_file):
                refuse(client[name], expected)
