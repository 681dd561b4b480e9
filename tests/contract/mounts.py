"""Puts into a directory what Kubernetes would mount into the exporter's container."""

import datetime
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.contract.chart import Manifest, exporter, pods


def mounted_arguments(objects: list[Manifest], root: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the exporter's container, with all paths below `root` and files there.

    ConfigMaps and Secrets of the chart have their content; others get something plausible by the name of the key.
    """
    named = {name: [container["name"] for container in pod["spec"]["containers"]] for name, pod in pods(objects)}
    name = next(name for name, containers in named.items() if "iris-exporter" in containers)
    spec, container = dict(pods(objects))[name]["spec"], exporter(objects, name)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for mount in container["volumeMounts"]:
        target = root / mount["mountPath"].lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        for path, text in _files(objects, volumes.get(mount["name"], {})).items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(_below(root, text))
    environment = {each["name"]: _value(each) for each in container.get("env", [])}
    environment = {key: _expanded(value, environment) for key, value in environment.items()}
    return [_below(root, argument) for argument in container["args"]], environment


def _below(root: Path, text: str) -> str:
    for place in ("/etc/iris-exporter", "/var/lib/iris-exporter", "/etc/streams"):
        text = text.replace(place, f"{root}{place}")
    return text


def _value(variable: Mapping[str, Any]) -> str:
    if "value" in variable:
        return str(variable["value"])
    source = variable["valueFrom"]
    return "authorization=none" if "secretKeyRef" in source else str(source["fieldRef"]["fieldPath"])


def _expanded(value: str, environment: Mapping[str, str]) -> str:
    for name, other in environment.items():
        value = value.replace(f"$({name})", other)
    return value


def _files(objects: list[Manifest], volume: Mapping[str, Any]) -> dict[str, str]:
    if "projected" in volume:
        return {
            item["path"]: _content(objects, kind, source[kind]["name"], item["key"])
            for source in volume["projected"]["sources"]
            for kind in source
            for item in source[kind]["items"]
        }
    if "configMap" in volume:
        name = volume["configMap"]["name"]
        own = _data(objects, "ConfigMap", name)
        if volume["name"].startswith("iris-exporter-mappings"):
            return {"more.yaml": "mappings: {more: {extends: ntfy}}"}
        return dict(own) if own else {"iris.yaml": "stream: {url: 'http://127.0.0.1:1/'}", "streams.yaml": "[]"}
    if "secret" in volume:
        name = volume["secret"]["secretName"]
        keys = _data(objects, "Secret", name) or ("tls.crt", "tls.key", "iris.yaml")
        return {key: _content(objects, "secret", name, key) for key in keys}
    return {}


def _data(objects: list[Manifest], kind: str, name: str) -> dict[str, str]:
    for each in objects:
        if each["kind"] == kind and each["metadata"]["name"] == name:
            return dict(each.get("data") or each.get("stringData") or {})
    return {}


def _content(objects: list[Manifest], kind: str, name: str, key: str) -> str:
    own = _data(objects, "Secret" if kind == "secret" else "ConfigMap", name)
    certificate, private = _certificate()
    plausible = {
        "tls.crt": certificate,
        "tls.key": private,
        "ca.crt": certificate,
        "authority.pem": certificate,
        "headers": "X-Gateway: iris-gateway-secret",
        "iris.yaml": yaml.safe_dump({"rate_limit": {"interval": "1s", "burst": 5}}),
    }
    return own.get(key) or plausible.get(key, "a-key-of-some-length")


@cache
def _certificate() -> tuple[str, str]:
    """A certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "iris.example.com")])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day.replace(year=2126))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()
