"""Write JSON schemas of Kubernetes objects to .tools/schemas, for kubeconform; scripts/tools.sh calls this.

They come from what the projects publish in their Go modules: Kubernetes' own OpenAPI document, and the definitions of
custom resources. Schemas are strict: a field that the API server would drop without a word is an error.

    .tools/schemas/v1.37.0/deployment-apps-v1.json        kind, first part of the group, version
    .tools/schemas/custom/monitoring.coreos.com/servicemonitor_v1.json
    .tools/schemas/definitions/monitoring.coreos.com_servicemonitors.yaml      for a real API server
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).resolve().parents[2] / ".tools/schemas"

# The oldest that the chart allows, and the oldest and newest that get fixes.
KUBERNETES = ("v1.29.15", "v1.35.0", "v1.37.0")

# Module, and the definitions in it. The newest tag of the operator that the module mirrors have is this one.
CUSTOM = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    "sigs.k8s.io/gateway-api@v1.6.3": ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
}

Schema = dict[str, Any]


def module(name: str) -> Path:
    """The directory of a Go module, fetched if need be."""
    answer = subprocess.run(["go", "mod", "download", "-json", name], check=False, text=True, capture_output=True)
    if answer.returncode:
        sys.exit(f"{name}: {answer.stdout or answer.stderr}")
    return Path(json.loads(answer.stdout)["Dir"])


def strict(schema: Any) -> Any:
    """The same schema, in which objects with known properties have no others."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    fresh = {key: strict(value) for key, value in schema.items() if not key.startswith("x-")}
    # The formats of OpenAPI (int32, byte, ...) are not those of JSON Schema.
    if isinstance(fresh.get("format"), str):
        del fresh["format"]
    open_end = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(fresh.get("properties"), dict) and "additionalProperties" not in fresh and not open_end:
        fresh["additionalProperties"] = False
    return fresh


def references(schema: Any) -> set[str]:
    """Names of the definitions that a schema refers to itself."""
    if isinstance(schema, list):
        return set().union(*map(references, schema))
    if not isinstance(schema, dict):
        return set()
    found = set().union(*map(references, schema.values()))
    if isinstance(schema.get("$ref"), str):
        found.add(schema["$ref"].removeprefix("#/definitions/"))
    return found


def write(path: Path, schema: Schema) -> None:
    """Write one schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema))


def kubernetes(version: str) -> None:
    """Write the schemas of one version of Kubernetes."""
    document = json.loads((module(f"k8s.io/kubernetes@{version}") / "api/openapi-spec/swagger.json").read_text())
    definitions = {name: strict(schema) for name, schema in document["definitions"].items()}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for name, published in document["definitions"].items():
        kinds = published.get("x-kubernetes-group-version-kind", [])
        if len(kinds) != 1:
            continue  # options of requests, which belong to every group
        kind, group = kinds[0]["kind"].lower(), kinds[0]["group"].partition(".")[0]
        needed: set[str] = set()
        missing = references(definitions[name])
        while missing:
            needed |= missing
            missing = set().union(*(references(definitions[each]) for each in missing)) - needed
        schema = {**definitions[name], "definitions": {each: definitions[each] for each in sorted(needed)}}
        parts = [kind, group, kinds[0]["version"]] if group else [kind, kinds[0]["version"]]
        write(TARGET / version / f"{'-'.join(parts)}.json", schema)


def custom(definition: Path) -> None:
    """Write the schemas of one definition of a custom resource."""
    spec = yaml.safe_load(definition.read_text())["spec"]
    for version in spec["versions"]:
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        name = f"{spec['names']['kind'].lower()}_{version['name']}.json"
        write(TARGET / "custom" / spec["group"] / name, schema)


def main() -> None:
    """Run as a program: write all of them anew."""
    shutil.rmtree(TARGET, ignore_errors=True)
    for version in KUBERNETES:
        kubernetes(version)
    for name, definitions in CUSTOM.items():
        directory = module(name)
        for definition in definitions:
            custom(directory / definition)
            (TARGET / "definitions").mkdir(exist_ok=True)
            shutil.copyfile(directory / definition, TARGET / "definitions" / Path(definition).name)


if __name__ == "__main__":
    main()
