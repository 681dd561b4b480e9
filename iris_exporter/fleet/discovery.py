"""More streams, from files, an HTTP endpoint or annotations in Kubernetes; each source on its own.

A source tells the whole list of its streams whenever it has changed. An entry that cannot be used is left out, logged
and counted, and takes no other one with it; a source that cannot be asked keeps its last list.
"""

import asyncio
import glob
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from iris_exporter.clock import Clock
from iris_exporter.config import values, yaml_tree
from iris_exporter.config.values import BadValueError
from iris_exporter.config.yaml_tree import Node, Scalar
from iris_exporter.core import stream_names
from iris_exporter.core.failures import Failure, TransportError, from_status
from iris_exporter.core.negotiation import without_credentials
from iris_exporter.core.stream_names import DEFAULT_PATH, DEFAULT_SCHEME
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.fleet.entries import read_entry, table_of
from iris_exporter.fleet.kubernetes import Kubernetes, KubernetesError, version_of
from iris_exporter.http.classify import LINK_ERRORS, failure_of
from iris_exporter.http.credentials import Credentials
from iris_exporter.http.requester import Requester
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.logs import get_logger, protect
from iris_exporter.process.blocking import FILES, PARSING, BlockedError
from iris_exporter.settings import DiscoverySettings, StreamSettings
from iris_exporter.transports.polling import read_body

ANNOTATION = "iris-exporter.io/"
_MAX_BYTES = 4 * 1024 * 1024
_HTTP_SECONDS = 10.0
_LINES_PER_MINUTE = 10
_READ_SHARE = 20  # a list whose entries wait for files takes 1/20 of a processor at most
_FIRST_PAUSE_SECONDS = 1.0
_SHAPE = "a list of streams in YAML or JSON"

_log = get_logger("discovery")

_Mark = tuple[int, ...]
"""What differs when a file was written or replaced."""

Found = Callable[[str, tuple[StreamSettings, ...]], None]
"""Told the name of a source and all of its streams."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is said about one stream: `where` it stands, what it is called there, and what is wrong with its form."""

    node: Node
    where: str
    key: str = "stream"
    file: Path | None = None
    problems: Sequence[Problem] = ()


class _Reader:
    """What the sources share: reading entries, and complaining."""

    def __init__(self, source: str, defaults: StreamSettings, metrics: SelfMetrics, clock: Clock) -> None:
        self.source = source
        self._defaults = defaults
        self._metrics = metrics
        self._limited = _log.limited(_LINES_PER_MINUTE, clock)

    def read(self, entries: Iterable["_Entry"]) -> tuple[StreamSettings, ...]:
        """The streams of entries, after complaining about those that cannot be used."""
        streams, refused = self.sort(entries)
        for problems in refused:
            self.refuse(problems)
        return streams

    def sort(self, entries: Iterable["_Entry"]) -> tuple[tuple[StreamSettings, ...], list[list[Problem]]]:
        """The streams of entries, and what is wrong with each of the others."""
        streams = []
        refused = []
        for entry in entries:
            if entry.problems:
                refused.append(list(entry.problems))
                continue
            try:
                streams.append(read_entry(entry.node, self._defaults, entry.file, entry.where, entry.key))
            except ConfigError as error:
                refused.append(error.problems)
        return tuple(streams), refused

    async def read_aside(self, entries: Iterable["_Entry"]) -> tuple[StreamSettings, ...] | None:
        """The same in a thread, since entries name files; None when one of these hangs."""
        try:
            return await PARSING.run(lambda: self.read(entries), self.source)
        except BlockedError as error:
            self.failed("files that entries name", error)
            return None

    def refuse(self, problems: Sequence[Problem]) -> None:
        self._metrics.add(catalog.DISCOVERY_FAILURES, 1, self.source)
        for problem in problems:
            self._limited.warning("discovery.refused", source=self.source, problem=str(problem))

    def failed(self, what: str, error: object) -> None:
        self._metrics.add(catalog.DISCOVERY_FAILURES, 1, self.source)
        self._limited.warning("discovery.failed", source=self.source, what=what, error=error)


class FileDiscovery:
    """Files named by globs, looked at now and then; the swap of a ConfigMap's symbolic link is a change like any."""

    name = "files"

    def __init__(self, settings: DiscoverySettings, metrics: SelfMetrics, clock: Clock, found: Found) -> None:
        self._settings = settings
        self._clock = clock
        self._found = found
        self._reader = _Reader("files", settings.defaults, metrics, clock)
        self._known: dict[str, tuple[StreamSettings, ...]] = {}
        self._marks: dict[str, _Mark] = {}  # of what was read last, whether it could be used or not
        self._refused: dict[str, list[list[Problem]]] = {}  # what was wrong with entries of it
        self._again: dict[str, float] = {}  # when files that entries of it name may be looked for again

    async def run(self) -> None:
        """Look for ever."""
        told: tuple[StreamSettings, ...] | None = None
        while True:
            await self._look()
            streams = tuple(stream for listed in self._known.values() for stream in listed)
            if streams != told:
                told = streams
                self._found("files", streams)
            await self._clock.sleep(self._settings.files_interval_seconds)

    async def _look(self) -> None:
        """Look at every file at once, so that one that hangs keeps no other one from being read."""
        patterns = self._settings.files
        try:
            names = await FILES.run(lambda: _matching(patterns), patterns)
        except BlockedError as error:
            self._reader.failed(" ".join(patterns), error)
            return
        self._marks = {name: mark for name, mark in self._marks.items() if name in names}
        await asyncio.gather(*map(self._look_at, names))
        self._known = {name: self._known[name] for name in names if name in self._known}
        self._refused = {name: self._refused[name] for name in names if name in self._refused}
        self._again = {name: self._again[name] for name in names if name in self._again}

    async def _look_at(self, name: str) -> None:
        before = self._marks.get(name)
        # An entry may have been refused for a file that it names, such as a key that is mounted a little later.
        is_due = self._clock.monotonic() >= self._again.get(name, math.inf)
        try:
            mark, content = await FILES.run(lambda: _changed(Path(name), None if is_due else before), name)
            self._marks[name] = mark
            if content is not None:
                known = self._refused[name] if mark == before else []
                self._known[name] = await PARSING.run(lambda: self._read(name, content, known), name)
        except OSError as error:
            self._reader.failed(name, error)
        except ConfigError as error:
            # What the file said before stays in force.
            self._reader.refuse(error.problems)

    def _read(self, name: str, content: bytes, known: Sequence[Sequence[Problem]]) -> tuple[StreamSettings, ...]:
        """The streams of a file; of what is wrong with its entries, `known` has been told."""
        path, started = Path(name), self._clock.monotonic()
        self._again.pop(name, None)
        if len(content) > _MAX_BYTES:
            raise ConfigError([Problem(str(path), "(file)", f"more than {_MAX_BYTES >> 20} MiB", _SHAPE)])
        streams, refused = self._reader.sort(
            _Entry(node, f"{path}:{node.line}", f"[{index}]", path, problems)
            for index, (node, problems) in enumerate(yaml_tree.read_list(content, path, _SHAPE))
        )
        for problems in refused:
            if problems not in known:
                self._reader.refuse(problems)
        self._refused[name] = refused
        if any(problem.key.endswith("-file") for problems in refused for problem in problems):
            now = self._clock.monotonic()
            self._again[name] = now + _READ_SHARE * (now - started)
        return streams


def _matching(patterns: Iterable[str]) -> list[str]:
    return sorted({name for pattern in patterns for name in glob.glob(pattern)})  # noqa: PTH207


def _changed(path: Path, before: _Mark | None) -> tuple[_Mark, bytes | None]:
    """The mark of a file, and its content unless the mark is the one `before`; one byte more than is allowed."""
    status = path.stat()  # of what the link points to, so that a swap shows
    mark = (status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size)
    if mark == before:
        return mark, None
    with path.open("rb") as file:
        return mark, file.read(_MAX_BYTES + 1)


class HttpDiscovery:
    """An endpoint in the form of Prometheus's http_sd: a list of groups with `targets` and `labels`.

    A target is an address of a stream, or `host:port`. Labels that begin with `__iris_` are stream options with
    underscores in place of dashes (`__iris_name`, `__iris_protocol`); `__scheme__` and `__iris_path` complete a
    `host:port`. Without `__iris_name` the name is made from the address (`core.stream_names`).
    """

    name = "http"

    def __init__(
        self,
        settings: DiscoverySettings,
        session: aiohttp.ClientSession,
        metrics: SelfMetrics,
        clock: Clock,
        found: Found,
    ) -> None:
        self._url = settings.http.url
        self._interval = settings.http_interval_seconds
        self._requester = Requester(settings.http, session, Credentials(settings.http, protect))
        self._clock = clock
        self._found = found
        self._reader = _Reader("http", settings.defaults, metrics, clock)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            try:
                groups = await self._ask()
            except (TransportError, *LINK_ERRORS) as error:
                self._reader.failed(without_credentials(self._url), failure_of(error))
            else:
                streams = await self._reader.read_aside(_http_entries(groups, without_credentials(self._url)))
                if streams is not None:
                    self._found("http", streams)
            await self._clock.sleep(self._interval)

    async def _ask(self) -> list[object]:
        async with asyncio.timeout(_HTTP_SECONDS):
            response = await self._requester.get(self._url, {"Accept": "application/json", "Accept-Encoding": "gzip"})
            async with response:
                if response.status != 200:
                    raise TransportError(from_status(response.status))
                content, _ = await read_body(response, _MAX_BYTES)
        return _groups(content)


def _groups(content: bytes) -> list[object]:
    """The groups of an answer; numbers stay as they are written, as in a file."""
    try:
        groups = json.loads(content, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise TransportError(Failure("not_json", "the answer is no JSON")) from None
    if not isinstance(groups, list):
        raise TransportError(Failure("not_json", "the answer is no list of groups"))
    return groups


def _http_entries(groups: Iterable[object], where: str) -> Iterable[_Entry]:
    for index, group in enumerate(groups):
        place = f"{where}[{index}]"
        targets = group.get("targets") if isinstance(group, Mapping) else None
        labels = group.get("labels") or {} if isinstance(group, Mapping) else {}
        if not isinstance(targets, list) or not isinstance(labels, Mapping):
            problem = Problem(place, "targets", "something else", "a list of targets, and labels with values")
            yield _Entry(Scalar(None, 0), place, problems=[problem])
            continue
        options = {
            str(name).removeprefix("__iris_").replace("_", "-"): value
            for name, value in labels.items()
            if str(name).startswith("__iris_") and name != "__iris_path"
        }
        for target in targets:
            address = str(target)
            if "://" not in address:
                # In front of a query a path would become part of a value.
                path = "" if "?" in address else str(labels.get("__iris_path") or DEFAULT_PATH)
                address = f"{labels.get('__scheme__') or DEFAULT_SCHEME}://{address}{path}"
            entry = {"name": stream_names.from_address(address), **options, "url": address}
            yield _Entry(table_of(entry), place)


class KubernetesDiscovery:
    """Services or Pods with the annotation `iris-exporter.io/scrape: "true"`, listed once and then watched.

    Further annotations: `path` (`/api/stream/overview`), `port` (the first one), `scheme` (`http`), `protocol`, `name`
    (namespace and name), `secret`: a Secret that is mounted below `--discovery.secrets-dir`, whose file `api-key` is
    the key. The API is never asked for a Secret, so the permission to list Services or Pods is enough. A pod without an
    address is no stream yet.
    """

    name = "kubernetes"

    def __init__(
        self,
        settings: DiscoverySettings,
        kubernetes: Kubernetes,
        metrics: SelfMetrics,
        clock: Clock,
        found: Found,
    ) -> None:
        namespace = settings.namespace or kubernetes.access.namespace
        self._path = f"/api/v1/namespaces/{namespace}/{settings.kubernetes}"
        self._secrets = settings.secrets_dir
        self._kubernetes = kubernetes
        self._clock = clock
        self._found = found
        self._reader = _Reader("kubernetes", settings.defaults, metrics, clock)
        self._objects: dict[str, dict[str, Any]] = {}
        self._told: tuple[StreamSettings, ...] | None = None

    async def run(self) -> None:
        """List and watch for ever; a watch that ends is begun again, from a new list when it is too old."""
        pause, listed_anew = _FIRST_PAUSE_SECONDS, False
        while True:
            try:
                version = await self._list()
                while True:
                    before, version = version, await self._watch(version)
                    pause, listed_anew = _FIRST_PAUSE_SECONDS, False
                    if version == before:  # a server may end each watch at once
                        await self._clock.sleep(pause)
            except KubernetesError as error:
                if error.status == 410 and not listed_anew:
                    listed_anew = True
                    continue
                # A version that is too old when it is new, again and again, is a failure as well.
                self._reader.failed(self._path, error)
                await self._clock.sleep(pause)
                pause = min(pause * 2, 60.0)

    async def _list(self) -> str:
        answer = await self._kubernetes.get(self._path) or {}
        self._objects = {_key(item): item for item in answer.get("items") or [] if isinstance(item, dict)}
        await self._tell()
        return version_of(answer)

    async def _watch(self, version: str) -> str:
        async for event in self._kubernetes.watch(self._path, version):
            item = event.get("object")
            if not isinstance(item, dict):
                continue
            version = version_of(item) or version
            match event.get("type"):
                case "ADDED" | "MODIFIED":
                    self._objects[_key(item)] = item
                case "DELETED":
                    self._objects.pop(_key(item), None)
                case _:
                    continue  # a bookmark: only the version has moved
            await self._tell()
        return version

    async def _tell(self) -> None:
        wanted = [item for item in self._objects.values() if self._is_wanted(item)]
        entries = ((self._entry(item), _key(item)) for item in wanted)
        read = [_Entry(table_of(entry), where) for entry, where in entries if entry is not None]
        streams = await self._reader.read_aside(read)
        if streams is not None and streams != self._told:
            self._told = streams
            self._found("kubernetes", streams)

    def _is_wanted(self, item: dict[str, Any]) -> bool:
        text = _annotations(item).get("scrape", "false")
        try:
            return bool(values.SWITCH.read(text))
        except BadValueError as error:
            self._reader.refuse([Problem(_key(item), f"{ANNOTATION}scrape", values.quoted(text), error.expected)])
            return False

    def _entry(self, item: dict[str, Any]) -> dict[str, object] | None:
        """An entry from the annotations; None for a pod that has no address yet, or has ended."""
        annotations, metadata, spec = _annotations(item), item.get("metadata") or {}, item.get("spec") or {}
        name, namespace = str(metadata.get("name")), str(metadata.get("namespace"))
        host = f"{name}.{namespace}.svc"
        ports = spec.get("ports") or []
        if item.get("kind") == "Pod" or "containers" in spec:
            status = item.get("status") or {}
            host = "" if status.get("phase") in ("Succeeded", "Failed") else str(status.get("podIP") or "")
            ports = [port for one in spec.get("containers") or [] for port in one.get("ports") or []]
        port = annotations.get("port") or next((p.get("port") or p.get("containerPort") for p in ports), None)
        if not host:
            return None
        address = f"[{host}]" if ":" in host else host
        entry: dict[str, object] = {
            "name": annotations.get("name") or stream_names.from_object(namespace, name),
            "url": f"{annotations.get('scheme') or DEFAULT_SCHEME}://{address}"
            + (f":{port}" if port else "")
            + (annotations.get("path") or DEFAULT_PATH),
        }
        if protocol := annotations.get("protocol"):
            entry["protocol"] = protocol
        if secret := annotations.get("secret"):
            directory = self._secrets or Path("(--discovery.secrets-dir is not set)")
            entry["api-key-file"] = str(directory / Path(secret).name / "api-key")
        return entry


def _key(item: Mapping[str, Any]) -> str:
    metadata = item.get("metadata") or {}
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _annotations(item: Mapping[str, Any]) -> dict[str, str]:
    found = (item.get("metadata") or {}).get("annotations") or {}
    return {str(key).removeprefix(ANNOTATION): str(value) for key, value in found.items() if key.startswith(ANNOTATION)}
