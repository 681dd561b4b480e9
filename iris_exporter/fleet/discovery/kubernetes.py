"""Discovery in Kubernetes: annotated Services or Pods, listed once and then watched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iris_exporter.config import values
from iris_exporter.config.values import BadValueError
from iris_exporter.core import stream_names
from iris_exporter.core.stream_names import DEFAULT_PATH, DEFAULT_SCHEME
from iris_exporter.errors import Problem
from iris_exporter.fleet.discovery.source import Entry, Source
from iris_exporter.fleet.kubernetes import Kubernetes, KubernetesError, version_of

ANNOTATION = "iris-exporter.io/"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0


@dataclass(slots=True)
class KubernetesDiscovery(Source):
    """Services or Pods with the annotation `iris-exporter.io/scrape: "true"`.

    Further annotations: `path` (`/api/stream/overview`), `port` (the first one), `scheme` (`http`), `protocol`, `name`
    (namespace and name), `mapping`, `parameters` (one in each line), `secret`: a Secret that is mounted below
    `--discovery.secrets-dir`, whose file `api-key` is the key, `secrets`: a line `NAME: SECRET` for each further one.
    The API is never asked for a Secret, so the permission to list Services or Pods is enough. A pod without an address
    is no stream yet.
    """

    name = "kubernetes"
    kubernetes: Kubernetes
    _objects: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)

    @property
    def _path(self) -> str:
        namespace = self.settings.namespace or self.kubernetes.access.namespace
        return f"/api/v1/namespaces/{namespace}/{self.settings.kubernetes}"

    async def run(self) -> None:
        """List and watch; a watch that ends is begun again, from a new list when it is too old."""
        pause, listed_anew = _FIRST_PAUSE_SECONDS, False
        while True:
            try:
                version = await self._list()
                while True:
                    before, version = version, await self._watch(version)
                    pause, listed_anew = _FIRST_PAUSE_SECONDS, False
                    if version == before:  # a server may end each watch at once
                        await self.clock.sleep(pause)
            except KubernetesError as error:
                if error.status == 410 and not listed_anew:
                    listed_anew = True
                    continue
                # A version that is too old when it is new, again and again, is a failure as well.
                self.failed(self._path, error, error.reason)
                await self.clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _list(self) -> str:
        answer = await self.kubernetes.get(self._path) or {}
        self._objects = {_key(item): item for item in answer.get("items") or [] if isinstance(item, dict)}
        await self._report_objects()
        return version_of(answer)

    async def _watch(self, version: str) -> str:
        async for event in self.kubernetes.watch(self._path, version):
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
            await self._report_objects()
        return version

    async def _report_objects(self) -> None:
        wanted = [item for item in self._objects.values() if self._is_wanted(item)]
        entries = ((self._options(item), _key(item)) for item in wanted)
        await self.report_entries([Entry.of(options, where) for options, where in entries if options is not None])

    def _is_wanted(self, item: dict[str, Any]) -> bool:
        text = _annotations(item).get("scrape", "false")
        try:
            return bool(values.SWITCH.read(text))
        except BadValueError as error:
            self.refuse([Problem(_key(item), f"{ANNOTATION}scrape", values.quoted(text), error.expected)])
            return False

    def _options(self, item: dict[str, Any]) -> dict[str, object] | None:
        """Stream options from the annotations; None for a pod that has no address yet, or has ended."""
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
        options: dict[str, object] = {
            "name": annotations.get("name") or stream_names.from_object(namespace, name),
            "url": f"{annotations.get('scheme') or DEFAULT_SCHEME}://{address}"
            + (f":{port}" if port else "")
            + (annotations.get("path") or DEFAULT_PATH),
        }
        options |= {key: annotations[key] for key in ("protocol", "mapping", "parameters") if annotations.get(key)}
        if secret := annotations.get("secret"):
            options["api-key-file"] = self._mounted(secret)
        if secrets := annotations.get("secrets"):
            pairs = [line.partition(":") for line in secrets.strip().splitlines()]
            options["secrets"] = [f"{name}{colon} {self._mounted(secret.strip())}" for name, colon, secret in pairs]
        return options

    def _mounted(self, secret: str) -> str:
        """The file of a Secret, which can be none outside of the directory of the Secrets."""
        directory = self.settings.secrets_dir or Path("(--discovery.secrets-dir is not set)")
        return str(directory / Path(secret).name / "api-key")


def _key(item: Mapping[str, Any]) -> str:
    metadata = item.get("metadata") or {}
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


def _annotations(item: Mapping[str, Any]) -> dict[str, str]:
    found = (item.get("metadata") or {}).get("annotations") or {}
    return {str(key).removeprefix(ANNOTATION): str(value) for key, value in found.items() if key.startswith(ANNOTATION)}
