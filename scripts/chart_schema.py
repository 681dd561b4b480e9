"""The schema of the chart's values, made from the values themselves, the program's options, and the rules below.

Types, and which keys there are, come from values.yaml; keys of a stream from the program's options. What helm prints
of a broken rule is the place and what is allowed there, so a rule that needs a reason lists it among what is allowed:
`value must be one of 1, '(more needs leaderElection.enabled=true ...)'`. The sentences in templates/_validate.tpl say
the same where schemas are skipped.
"""

from pathlib import Path
from typing import Any

from chart_values import described_values

from iris_exporter.config import OPTIONS, Option

Schema = dict[str, Any]

_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
_SIZE = r"^[0-9]+(\.[0-9]+)?(B|[KMG]i?B)?$"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?([KMGTPE]i?|m|k)?$"
_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_COUNT: Schema = {"type": "integer", "minimum": 1}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_PERCENTAGE: Schema = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]}


def _one_of(*values: object) -> Schema:
    return {"enum": list(values)}


def _object(properties: Schema, *required: str, **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        **more,
    }


def _optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


_STRING: Schema = {"type": "string"}
_REFERENCE = _object({"name": _text(_NAME), "key": _STRING}, "name")
_STRINGS: Schema = {"type": "object", "additionalProperties": _STRING}


def _option(option: Option) -> Schema:
    """A value of the configuration file as far as a schema can say it; `--config.check` says the rest."""
    syntax = option.kind.syntax
    described: Schema = {"description": f"{option.help}: {syntax}"}
    if option.kind.many:
        return {"type": ["object", "array", "string"], **described}
    if syntax.startswith("one of "):
        return {**_one_of(*syntax.removeprefix("one of ").split(", ")), **described}
    if syntax.startswith("a duration"):
        zero: Schema = {"const": 0} if "between 0 " in syntax else {"const": "0"}
        return {"anyOf": [_text(_DURATION), zero], **described}
    if syntax.startswith("a size"):
        return {"anyOf": [_text(_SIZE), {"type": "integer", "minimum": 0}], **described}
    if syntax == "true or false":
        return {"type": "boolean", **described}
    if "number" in syntax:
        return {"type": "number", **described}
    if option.key == "stream.url":
        return {**_text("^(https?|wss?)://"), **described}
    return {"type": ["string", "number"], **described}


def _stream(*required: str) -> Schema:
    own = {option.name: _option(option) for option in OPTIONS if option.group == "stream"}
    extra = dict.fromkeys(("apiKeySecret", "headersSecret", "tlsCaSecret", "tlsCaConfigMap"), _REFERENCE)
    properties = {**own, **extra, "tlsClientSecret": _object({"name": _text(_NAME)}, "name"), "apiKey": _STRING}
    if not required:
        properties = {key: value for key, value in properties.items() if key not in ("name", "url")}
    return _object(properties, *required)


def _sections() -> list[str]:
    return sorted({option.group for option in OPTIONS if option.in_file} - {"stream", "fleet", "discovery"})


# What values.yaml's defaults do not tell by themselves.
_SPECIAL: dict[str, Schema] = {
    "mode": _one_of("deployment", "statefulset", "sidecar"),
    "replicaCount": _COUNT,
    "commonLabels": _STRINGS,
    "commonAnnotations": _STRINGS,
    "image.digest": _text("^(sha256:[0-9a-f]{64})?$"),
    "image.pullPolicy": _one_of("Always", "IfNotPresent", "Never"),
    "imagePullSecrets": _list_of({"type": ["string", "object"]}),
    "global.imagePullSecrets": _list_of({"type": ["string", "object"]}),
    "streams": _list_of(_stream("name", "url")),
    "streamDefaults": _stream(),
    "config": _object(
        {
            **{section: {"type": "object"} for section in _sections()},
            "streams": _one_of("(not here: streams is a value of its own)"),
            "defaults": _one_of("(not here: they are the value streamDefaults)"),
        }
    ),
    "log.level": _one_of("debug", "info", "warn", "error"),
    "log.format": _one_of("logfmt", "json"),
    "demo.rate": {"type": "number", "exclusiveMinimum": 0},
    "sharding.shards": {**_COUNT, "maximum": 1024},
    "sharding.replicasPerShard": {**_COUNT, "maximum": 3},
    "leaderElection.leaseDuration": _text(_DURATION),
    "discovery.configMaps": _list_of(_object({"name": _text(_NAME), "optional": {"type": "boolean"}}, "name")),
    "discovery.files": _list_of(_STRING),
    "discovery.httpUrl": _text("^(https?://.*)?$"),
    "discovery.httpInterval": _text(_DURATION),
    "discovery.kubernetes.role": _one_of("none", "services", "pods"),
    "discovery.kubernetes.secrets": _list_of(_REFERENCE),
    "state.kind": _one_of("none", "emptyDir", "claim", "claimPerPod"),
    "state.mountPath": _text("^/"),
    "state.sizeLimit": _text(_QUANTITY),
    "state.size": _text(_QUANTITY),
    "state.accessModes": {
        **_list_of(_one_of("ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod")),
        "minItems": 1,
        "uniqueItems": True,
    },
    "web.port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "web.telemetryPath": _text("^/"),
    "web.enableControl": _one_of("auto", "always", "never"),
    "otlp.endpoint": _text("^(https?://.*)?$"),
    "otlp.protocol": _one_of("http/protobuf", "grpc"),
    "otlp.resourceAttributes": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "extraArgs": _list_of(_STRING),
    "extraManifests": _list_of({"type": ["object", "string"]}),
    "livenessProbe": {"type": "object"},
    "readinessProbe": {"type": "object"},
    "startupProbe": {"type": "object"},
    "podSecurityContext": {"type": "object"},
    "securityContext": {"type": "object"},
    "dnsPolicy": _one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    "service.type": _one_of("ClusterIP", "NodePort", "LoadBalancer"),
    "service.port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "service.nodePort": _optional({"type": "integer", "minimum": 1, "maximum": 65535}),
    "service.ipFamilyPolicy": _one_of("", "SingleStack", "PreferDualStack", "RequireDualStack"),
    "ingress.hosts": _list_of(_object({"host": _STRING, "paths": _OBJECTS}, "host")),
    "httpRoute.hostnames": _list_of(_STRING),
    "networkPolicy.egressPorts": _list_of({"type": "integer", "minimum": 1, "maximum": 65535}),
    "podDisruptionBudget.minAvailable": _optional(_PERCENTAGE),
    "podDisruptionBudget.maxUnavailable": _optional(_PERCENTAGE),
    "podDisruptionBudget.unhealthyPodEvictionPolicy": _one_of("AlwaysAllow", "IfHealthyBudget"),
    "autoscaling.minReplicas": _COUNT,
    "autoscaling.maxReplicas": _COUNT,
    "serviceMonitor.scheme": _one_of("", "http", "https"),
    "serviceMonitor.scrapeProtocols": _list_of(_STRING),
    "serviceMonitor.targetLabels": _list_of(_STRING),
    "prometheusRule.disabledAlerts": _list_of(_STRING),
    "dashboards.grafanaOperator.instanceSelector": {"type": "object"},
}


def _rule(conditions: Schema, consequence: Schema) -> Schema:
    """Where the conditions hold, so must the consequence; both from paths to schemas."""
    return {"if": _paths(conditions), "then": _paths(consequence)}


def _paths(schemas: Schema) -> Schema:
    merged: Schema = {}
    for path, schema in schemas.items():
        level = merged
        for key in path.split("."):
            level = level.setdefault("properties", {}).setdefault(key, {})
        level.update(schema)
    return merged


def _only(allowed: object, reason: str) -> Schema:
    return _one_of(allowed, f"({reason})")


_ON: Schema = {"const": True}
_OFF: Schema = {"const": False}
_INLINE = "not here: put the key into a Secret and name that in apiKeySecret, or set allowInlineApiKeys=true"

_RULES: list[Schema] = [
    _rule(
        {"mode": {"const": "deployment"}, "leaderElection.enabled": _OFF},
        {
            "replicaCount": _only(
                1,
                "more would count every event several times: set leaderElection.enabled=true, "
                "or mode=statefulset with sharding.shards",
            ),
            "autoscaling.enabled": _only(False, "true needs leaderElection.enabled=true"),
        },
    ),
    _rule(
        {"mode": {"const": "statefulset"}, "leaderElection.enabled": _OFF},
        {"sharding.replicasPerShard": _only(1, "more need leaderElection.enabled=true, or each counts every event")},
    ),
    _rule(
        {"mode": _one_of("statefulset", "sidecar")},
        {
            "autoscaling.enabled": _only(False, "true needs mode=deployment; the number of shards is sharding.shards"),
            "replicaCount": _only(1, "more need mode=deployment; a fleet has sharding.shards and replicasPerShard"),
        },
    ),
    _rule(
        {"mode": _one_of("deployment", "sidecar")},
        {"state.kind": _one_of("none", "emptyDir", "claim", "(claimPerPod needs mode=statefulset)")},
    ),
    _rule(
        {"mode": {"const": "sidecar"}},
        {
            "serviceMonitor.enabled": _only(False, "a sidecar has no Service: use podMonitor.enabled"),
            "ingress.enabled": _only(False, "a sidecar has no Service"),
            "httpRoute.enabled": _only(False, "a sidecar has no Service"),
        },
    ),
    _rule(
        {"serviceMonitor.enabled": _ON},
        {
            "podMonitor.enabled": _only(False, "true beside serviceMonitor.enabled scrapes every pod twice"),
            "service.enabled": _only(True, "serviceMonitor.enabled needs it"),
        },
    ),
    _rule(
        {"otlp.enabled": _ON},
        {"otlp.endpoint": {"anyOf": [_text("^https?://"), _one_of("(the address of a collector)")]}},
    ),
    _rule(
        {"allowInlineApiKeys": _OFF},
        {
            "streamDefaults": {"properties": {"apiKey": _one_of(f"({_INLINE})")}},
            "streams": {"items": {"properties": {"apiKey": _one_of(f"({_INLINE})")}}},
        },
    ),
    _rule({"ingress.enabled": _ON}, {"ingress.hosts": {"minItems": 1}}),
    _rule({"httpRoute.enabled": _ON}, {"httpRoute.parentRefs": {"minItems": 1}}),
]


def chart_schema(values_file: Path) -> Schema:
    """The schema for the values of the chart whose defaults are in `values_file`.

    Raises:
        ValueError: A default is of a type that says nothing, and `_SPECIAL` says nothing either.
    """
    descriptions = {value.path: value for value in described_values(values_file)}
    root: Schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart iris-exporter",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            # Charts that depend on this one switch it on and off by this key.
            "enabled": {"type": "boolean", "description": "Read by a parent chart's condition alone."},
        },
    }
    for path, value in descriptions.items():
        level = root
        *parents, key = path.split(".")
        for parent in parents:
            fresh = {"type": "object", "additionalProperties": False, "properties": {}}
            level = level["properties"].setdefault(parent, fresh)
        schema = _SPECIAL.get(path) or _inferred(path, value.default)
        level["properties"][key] = {"description": value.description, **schema}
    # Shared with other charts, which have keys of their own there.
    root["properties"]["global"]["additionalProperties"] = True
    if unknown := _SPECIAL.keys() - descriptions.keys():
        raise ValueError(f"{values_file} has no {', '.join(sorted(unknown))}")
    return {**root, "allOf": _RULES}


def _inferred(path: str, default: object) -> Schema:
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case dict():
            return {"type": "object"}
        case list():
            return {"type": "array", "items": {"type": "object"}}
    raise ValueError(f"{path}: {default!r} does not say what it can be")
