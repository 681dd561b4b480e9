"""The schema of the chart's values, made from the values themselves, the program's options, and the rules below.

Types, and which keys there are, come from values.yaml; keys of a stream and of `config` from the program's options.
What helm prints of a broken rule is the place and what is allowed there, so a rule that needs a reason lists it among
what is allowed: `value must be one of 1, '(more needs leaderElection.enabled=true ...)'`. Where a pattern would be
printed, which few can read at night, an example takes its place (`_or_say`); the value itself is not printed then,
which matters where it could be a key. The sentences in templates/_validate.tpl say the same where schemas are skipped.
"""

import re
from pathlib import Path
from typing import Any

from chart_values import described_values

from iris_exporter.config import OPTIONS, Option

Schema = dict[str, Any]

_COUNT: Schema = {"type": "integer", "minimum": 1}


def _one_of(*values: object) -> Schema:
    return {"enum": list(values)}


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **_closed(properties)}


def _closed(properties: Schema) -> Schema:
    """No other keys. `false` would refuse a wrong one without saying which there are."""
    known = [key for key, schema in properties.items() if not str(*schema.get("enum", ())[:1]).startswith("(not here")]
    return {"additionalProperties": _one_of(f"(no such key here; there are {', '.join(known)})")}


def _optional(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def _or_say(schema: Schema, hint: str, then: Schema | None = None) -> Schema:
    """The schema, or a sentence in place of all that helm would print of it; `then` is held to in full."""
    return {"if": schema, "then": then or {}, "else": _one_of(f"({hint})")}


_STRING: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_DURATION = _or_say(_text(r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"), "a number with its unit, such as 30s or 1m30s")
_PROMETHEUS_DURATION = _or_say(
    _text("^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"), "a number with its unit, such as 30s or 1m30s"
)
_GO_DURATION = _or_say(_text(r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"), "a number with its unit, such as 30s or 10m")
_QUANTITY = _or_say(
    _text(r"^[0-9]+(\.[0-9]+)?([KMGTPE]i?|m|k)?$"), "a quantity of Kubernetes in quotes, such as 1Gi or 500Mi"
)
_NAME = _or_say(_text("^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"), "the name of an object: small letters, digits, dashes")
# Services have the strictest names of all objects.
_LABEL = _or_say(_text("^([a-z]([-a-z0-9]*[a-z0-9])?)?$"), "small letters, digits and dashes, a letter first")
_NAMESPACE = _or_say(_text("^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"), "small letters, digits and dashes")
_PERCENTAGE = _or_say(
    {"anyOf": [{"type": "integer", "minimum": 0}, _text("^[0-9]+%$"), {"type": "null"}]},
    "a number, a percentage such as 50%, or null",
)
_PATH = _or_say(_text("^/"), "a path that begins with /")
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_RESOURCES = _object({"requests": _OBJECT, "limits": _OBJECT, "claims": {"type": "array"}})


def _strings(hint: str = "text: put it in quotes") -> Schema:
    return {"type": "object", "additionalProperties": _or_say(_STRING, hint)}


def _reference(default_key: str) -> Schema:
    example = f"a map such as {{name: iris, key: {default_key}}}, which names an object and a key of it"
    return _or_say(_OBJECT, example, _object({"name": _NAME, "key": _STRING}, "name"))


def _url(schemes: str, example: str, *, optional: bool = False) -> Schema:
    """An address with a host, and without the user and password that would stand in a ConfigMap or an argument."""
    pattern = f"({schemes})://[^@/?# ]+([/?][^# ]*)?"
    return _or_say(_text(f"^({pattern})?$" if optional else f"^{pattern}$"), f"an address such as {example}")


def _base_url(example: str) -> Schema:
    """An address that becomes the beginning of others in YAML and JSON, or nothing."""
    return _or_say(_text(r"""^(https?://[^@/?#\s"'\\<>]+(/[^?#\s"'\\<>]*)?)?$"""), f"an address such as {example}")


_EXAMPLE = "{name: production, url: wss://iris.example.com/api/stream/overview}"
_INLINE = "not here: put the key into a Secret and name that in apiKeySecret, or set allowInlineApiKeys=true and apiKey"

# A program's own option, and the value of the chart that sets it: a flag of the chart's goes before the file.
_ELSEWHERE = {
    "web.listen-address": "web.port",
    "web.telemetry-path": "web.telemetryPath",
    "web.external-url": "web.externalUrl",
    "web.route-prefix": "web.routePrefix",
    "web.grafana-url": "alerts.grafanaUrl",
    "web.runbook-base-url": "alerts.runbookBaseUrl",
    "web.enable-control": "web.enableControl",
    "web.config.file": "web.config",
}


def _option(option: Option) -> Schema:
    """A value of the configuration file as far as a schema can say it; `--config.check` says the rest."""
    syntax = option.type.syntax
    described: Schema = {"description": f"{option.help}: {syntax}"}
    if option.key == "stream.url":
        return {**_url("https?|wss?", "wss://iris.example.com/api/stream/overview"), **described}
    if option.key == "stream.name":
        return {**_or_say(_text("^[A-Za-z0-9_.-]{1,64}$"), syntax), **described}
    if syntax == "an http:// or https:// URL":
        return {**_url("https?", "https://iris.example.com/api/telemetry"), **described}
    if option.key == "stream.secrets":
        secret = _or_say({"type": ["string", "object"]}, "a path, or a map such as {name: iris, key: token}")
        reference = {"if": _OBJECT, "then": _reference("token")["then"]}
        return {"type": ["object", "array"], "additionalProperties": {"allOf": [secret, reference]}, **described}
    if option.type.many:
        return {"type": ["object", "array", "string"], **described}
    if syntax.startswith("one of "):
        return {**_one_of(*syntax.removeprefix("one of ").split(", ")), **described}
    if syntax.startswith("a duration"):
        zero = [_one_of(0, "0")] if "between 0 " in syntax else []
        return {**_or_say({"anyOf": [_DURATION["if"], *zero]}, syntax), **described}
    if syntax.startswith("a size"):
        size = _text(r"^[0-9]+(\.[0-9]+)?(B|[KMG]i?B)?$")
        return {**_or_say({"anyOf": [size, {"type": "integer", "minimum": 0}]}, syntax), **described}
    if syntax == "true or false":
        return {"type": "boolean", **described}
    if number := re.fullmatch(r"a (whole )?number between (\d+) and (\d+)", syntax):
        kind = "integer" if number[1] else "number"
        return {**_or_say({"type": kind, "minimum": int(number[2]), "maximum": int(number[3])}, syntax), **described}
    return {"type": ["string", "number"], **described}


def _references() -> Schema:
    return {
        "headersSecret": _reference("headers"),
        "tlsCaSecret": _reference("ca.crt"),
        "tlsCaConfigMap": _reference("ca.crt"),
        "tlsClientSecret": _or_say(_OBJECT, "a map such as {name: iris-client}", _object({"name": _NAME}, "name")),
    }


def _client(prefix: str, key_reference: str, default_key: str, *elsewhere: str) -> Schema:
    """A server that is no stream: options by their key behind `prefix`, but for those that are values `elsewhere`."""
    own = {
        option.key.removeprefix(prefix): _option(option)
        for option in OPTIONS
        if option.key.startswith(prefix) and option.key.removeprefix(prefix) not in elsewhere
    }
    return _object({**own, key_reference: _reference(default_key), **_references()})


def _stream(*required: str) -> Schema:
    own = {option.name: _option(option) for option in OPTIONS if option.group == "stream"}
    properties = {**own, "apiKeySecret": _reference("api-key"), **_references(), "apiKey": _STRING}
    if not required:
        properties = {key: value for key, value in properties.items() if key not in ("name", "url")}
    # The program has no such option; people who expect one have a key at hand.
    properties["api-key"] = _one_of(f"({_INLINE})")
    return _object(properties, *required)


def _config() -> Schema:
    """The rest of the configuration file: the program's sections without what the chart sets."""
    sections: dict[str, Schema] = {}
    for option in OPTIONS:
        if option.in_file and option.group not in ("config", "stream", "fleet", "discovery"):
            elsewhere = _ELSEWHERE.get(option.key)
            schema = _one_of(f"(not here: say it by {elsewhere})") if elsewhere else _option(option)
            sections.setdefault(option.group, {})[option.name] = schema
    return _object(
        {
            **{section: _object(options) for section, options in sections.items()},
            "log": _one_of("(not here: log is a value of its own)"),
            "state": _one_of("(not here: say it by state.kind and state.mountPath)"),
            "streams": _one_of("(not here: streams is a value of its own)"),
            "mappings": _one_of("(not here: mappings is a value of its own)"),
            **{option.key: _option(option) for option in OPTIONS if option.in_file and option.group == "config"},
            "defaults": _one_of("(not here: they are the value streamDefaults)"),
            "stream": _one_of("(not here: streams is a value of its own)"),
            "discovery": _one_of("(not here: discovery is a value of its own)"),
            "fleet": _one_of("(not here: say it by sharding and leaderElection)"),
        }
    )


# What values.yaml's defaults do not tell by themselves.
_SPECIAL: dict[str, Schema] = {
    "mode": _one_of("deployment", "statefulset", "sidecar"),
    "replicaCount": _COUNT,
    "fullnameOverride": _LABEL,
    "namespaceOverride": _NAMESPACE,
    "image.tag": _or_say(_STRING, 'text: put it in quotes, as in "0.1.0"'),
    "image.digest": _or_say(_text("^(sha256:[0-9a-f]{64})?$"), "sha256: and 64 digits, or empty"),
    "image.pullPolicy": _one_of("Always", "IfNotPresent", "Never"),
    "imagePullSecrets": _list_of({"type": ["string", "object"]}),
    "global.imagePullSecrets": _list_of({"type": ["string", "object"]}),
    "streams": _or_say(
        {"type": "array"},
        f"a list of maps such as {_EXAMPLE}",
        _list_of(_or_say(_OBJECT, f"a map such as {_EXAMPLE}", _stream("name", "url"))),
    ),
    "streamDefaults": _stream(),
    "mappings": {
        "type": "object",
        "additionalProperties": _or_say(_OBJECT, "a map such as {namespace: rooms, messages: [...]}"),
    },
    "mappingConfigMaps": _list_of(
        _or_say(_OBJECT, "a map such as {name: iris-mappings}", _object({"name": _NAME}, "name"))
    ),
    "config": _config(),
    "existingConfigMap.name": _or_say({"anyOf": [_NAME["if"], _one_of("")]}, "the name of a ConfigMap"),
    "log.level": _one_of("debug", "info", "warn", "error"),
    "log.format": _one_of("logfmt", "json"),
    "demo.rate": {"type": "number", "exclusiveMinimum": 0},
    "demo.resources": _RESOURCES,
    "resources": _RESOURCES,
    "sharding.shards": {**_COUNT, "maximum": 1024},
    "sharding.replicasPerShard": {**_COUNT, "maximum": 3},
    "leaderElection.leaseDuration": _DURATION,
    "discovery.configMaps": _list_of(
        _or_say(
            _OBJECT,
            "a map such as {name: iris-streams}",
            _object({"name": _NAME, "optional": {"type": "boolean"}}, "name"),
        )
    ),
    "discovery.files": _list_of(_STRING),
    "discovery.httpUrl": _url("https?", "http://inventory.example.com/iris", optional=True),
    "discovery.httpInterval": _DURATION,
    "discovery.httpClient": _client("discovery.http-", "apiKeySecret", "api-key", "url", "interval"),
    "live": _client("live.", "tokenSecret", "token"),
    "discovery.kubernetes.role": _one_of("none", "services", "pods"),
    "discovery.kubernetes.namespace": _NAMESPACE,
    "discovery.kubernetes.secrets": _list_of(_reference("api-key")),
    "state.kind": _one_of("none", "emptyDir", "claim", "claimPerPod"),
    "state.mountPath": _PATH,
    "state.sizeLimit": _QUANTITY,
    "state.size": _QUANTITY,
    "state.accessModes": {
        **_list_of(_one_of("ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod")),
        "minItems": 1,
        "uniqueItems": True,
    },
    "web.port": _PORT,
    "web.telemetryPath": _PATH,
    "web.externalUrl": _url("https?", "https://example.com/iris/", optional=True),
    "web.routePrefix": _or_say(_text(r"^(/([A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?)?)?$"), "a path such as /iris, or /"),
    "web.config": _object(
        {
            "tls_server_config": _OBJECT,
            "http_server_config": _OBJECT,
            "basic_auth_users": {
                "type": "object",
                "additionalProperties": _or_say(
                    _text(r"^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$"),
                    'the bcrypt hash of a password, as `htpasswd -nBC 10 ""` prints it',
                ),
            },
            "rate_limit": _OBJECT,
        }
    ),
    "web.enableControl": _one_of("auto", "always", "never"),
    "otlp.endpoint": _url("https?", "http://otel-collector.observability:4318", optional=True),
    "otlp.protocol": _one_of("http/protobuf", "grpc"),
    "otlp.resourceAttributes": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    "extraArgs": _or_say({"type": "array"}, "a list such as [--web.max-connections=100]", _list_of(_STRING)),
    "extraEnv": _or_say({"type": "array"}, "a list of maps such as {name: HTTPS_PROXY, value: ...}", _list_of(_OBJECT)),
    "extraManifests": _list_of({"type": ["object", "string"]}),
    "strategy": _or_say(_OBJECT, "a map such as {type: Recreate}"),
    "updateStrategy": _or_say(_OBJECT, "a map such as {type: RollingUpdate}"),
    "livenessProbe": _or_say(_OBJECT, "a map such as {periodSeconds: 10}; null for none"),
    "readinessProbe": _or_say(_OBJECT, "a map such as {periodSeconds: 10}; null for none"),
    "startupProbe": _or_say(_OBJECT, "a map such as {failureThreshold: 60}; null for none"),
    "podSecurityContext": _OBJECT,
    "securityContext": _OBJECT,
    "dnsPolicy": _one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    "service.type": _one_of("ClusterIP", "NodePort", "LoadBalancer"),
    "service.port": _PORT,
    "service.nodePort": _optional(_PORT),
    "service.ipFamilyPolicy": _one_of("", "SingleStack", "PreferDualStack", "RequireDualStack"),
    "service.ipFamilies": {**_list_of(_one_of("IPv4", "IPv6")), "uniqueItems": True},
    "service.externalTrafficPolicy": _one_of("", "Cluster", "Local"),
    "service.internalTrafficPolicy": _one_of("", "Cluster", "Local"),
    "service.loadBalancerIP": _or_say(_text("^[0-9A-Fa-f:.]*$"), "an IP address such as 192.0.2.10"),
    "service.loadBalancerSourceRanges": _list_of(
        _or_say(_text("^[0-9A-Fa-f:.]+/[0-9]+$"), "a range of addresses such as 10.0.0.0/8")
    ),
    "service.allocateLoadBalancerNodePorts": _optional({"type": "boolean"}),
    "ingress.hosts": _list_of(
        _or_say(
            _OBJECT,
            "a map such as {host: iris.example.com, paths: [{path: /, pathType: Prefix}]}",
            _object(
                {
                    "host": _STRING,
                    "paths": _list_of(
                        _or_say(
                            _OBJECT,
                            "a map such as {path: /, pathType: Prefix}",
                            _object(
                                {"path": _PATH, "pathType": _one_of("Prefix", "Exact", "ImplementationSpecific")},
                                "path",
                            ),
                        )
                    ),
                },
                "host",
            ),
        )
    ),
    "httpRoute.hostnames": _list_of(_STRING),
    "networkPolicy.egressPorts": _list_of(_PORT),
    "podDisruptionBudget.minAvailable": _PERCENTAGE,
    "podDisruptionBudget.maxUnavailable": _PERCENTAGE,
    "podDisruptionBudget.unhealthyPodEvictionPolicy": _one_of("AlwaysAllow", "IfHealthyBudget"),
    "autoscaling.minReplicas": _COUNT,
    "autoscaling.maxReplicas": _COUNT,
    "serviceMonitor.interval": _PROMETHEUS_DURATION,
    "serviceMonitor.scrapeTimeout": _PROMETHEUS_DURATION,
    "serviceMonitor.scheme": _one_of("", "http", "https"),
    "serviceMonitor.scrapeProtocols": _list_of(_STRING),
    "serviceMonitor.authorization": _object(
        {
            "type": _STRING,
            "credentials": _or_say(
                _OBJECT,
                "a map such as {name: scrape, key: token}, which names a Secret and a key of it",
                _object({"name": _NAME, "key": _STRING, "optional": {"type": "boolean"}}, "name", "key"),
            ),
        }
    ),
    "serviceMonitor.params": {"type": "object", "additionalProperties": _list_of(_STRING)},
    "serviceMonitor.proxyUrl": _url("https?|socks5", "http://proxy.example.com:3128", optional=True),
    "serviceMonitor.honorTimestamps": _optional({"type": "boolean"}),
    "serviceMonitor.enableHttp2": _optional({"type": "boolean"}),
    "serviceMonitor.followRedirects": _optional({"type": "boolean"}),
    "serviceMonitor.attachMetadata": _object({"node": {"type": "boolean"}}),
    "serviceMonitor.podTargetLabels": _list_of(_STRING),
    "serviceMonitor.targetLabels": _list_of(_STRING),
    "podMonitor.selector": _strings(),
    "alerts.runbookBaseUrl": _base_url("https://wiki.example.com/iris/runbooks, to which # and a name are added"),
    "alerts.grafanaUrl": _base_url("https://grafana.example.com"),
    "prometheusRule.additionalRuleLabels": _strings(),
    "prometheusRule.disabledAlerts": _list_of(_STRING),
    "nodeSelector": _strings(),
    "dashboards.labelValue": _or_say(_STRING, 'text: put it in quotes, as in "1"'),
    "dashboards.grafanaOperator.instanceSelector": _OBJECT,
    "dashboards.grafanaOperator.resyncPeriod": _GO_DURATION,
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
        {
            # The default cannot be told from the same number on purpose.
            "sharding.shards": _only(2, "others need mode=statefulset: without it no stream is divided"),
            "sharding.replicasPerShard": _only(1, "more need mode=statefulset"),
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
            "networkPolicy.enabled": _only(False, "the pods of a sidecar are yours, and so are their policies"),
            "podDisruptionBudget.enabled": _only(False, "the pods of a sidecar are yours, and so is their budget"),
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
        {"otlp.endpoint": _or_say({"minLength": 1}, "needed: the address of a collector, such as http://otel:4318")},
    ),
    _rule(
        {"allowInlineApiKeys": _OFF},
        {
            "streamDefaults": {"properties": {"apiKey": _one_of(f"({_INLINE})")}},
            "streams": {"items": {"properties": {"apiKey": _one_of(f"({_INLINE})")}}},
        },
    ),
    _rule(
        {"ingress.enabled": _ON},
        {"ingress.hosts": _or_say({"minItems": 1}, "needed: a list of maps such as {host: iris.example.com}")},
    ),
    _rule(
        {"httpRoute.enabled": _ON},
        {"httpRoute.parentRefs": _or_say({"minItems": 1}, "needed: the Gateway, a list of maps such as {name: web}")},
    ),
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
        "properties": {
            # Charts that depend on this one switch it on and off by this key.
            "enabled": {"type": "boolean", "description": "Read by a parent chart's condition alone."},
        },
    }
    for path, value in descriptions.items():
        level = root
        *parents, key = path.split(".")
        for parent in parents:
            level = level["properties"].setdefault(parent, {"type": "object", "properties": {}})
        schema = _SPECIAL.get(path) or _inferred(path, value.default)
        level["properties"][key] = {"description": value.description, **schema}
    for path in descriptions:
        for level in _levels(root, path):
            level.update(_closed(level["properties"]))
    # So many that a list of them would hide the one that is wrong.
    root["additionalProperties"] = False
    # Shared with other charts, which have keys of their own there.
    root["properties"]["global"]["additionalProperties"] = True
    if unknown := _SPECIAL.keys() - descriptions.keys():
        raise ValueError(f"{values_file} has no {', '.join(sorted(unknown))}")
    return {**root, "allOf": _RULES}


def _levels(root: Schema, path: str) -> list[Schema]:
    """The schemas of the maps that a value lies in, from the outermost on."""
    levels = [root]
    for parent in path.split(".")[:-1]:
        levels.append(levels[-1]["properties"][parent])
    return levels


def _inferred(path: str, default: object) -> Schema:
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case dict() if path.lower().endswith(("annotations", "labels")):
            return _strings()
        case dict():
            return {"type": "object"}
        case list():
            return _or_say({"type": "array"}, "a list, each entry of it a map", _list_of(_OBJECT))
    raise ValueError(f"{path}: {default!r} does not say what it can be")
