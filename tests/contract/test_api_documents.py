"""docs/asyncapi.yaml and docs/openapi.yaml are valid, and have the fields, options and paths of the program."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from iris_exporter.backend import objects
from iris_exporter.backend.options import FIELDS, parse_options, query_options
from iris_exporter.backend.rest import GET_ROUTES
from iris_exporter.backend.server import make_app
from iris_exporter.backend.service import BackendSettings, Service
from iris_exporter.backend.streams import PATHS
from iris_exporter.backend.wire import ERROR_MESSAGES
from iris_exporter.wire.iris.v1 import iris_pb2
from tests.api_documents import DOCS, document
from tests.tools import NODE_MODULES, tool

STREAMS = document("asyncapi.yaml")
REST = document("openapi.yaml")
PARSER = Path(__file__).parent / "asyncapi.mjs"


def test_openapi_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(REST).iter_errors()) == []
    broken = copy.deepcopy(REST)
    broken["paths"]["/api/events"]["get"]["responses"]["200"]["content"] = []
    assert list(OpenAPIV31SpecValidator(broken).iter_errors()) != []


def parsed(file: Path) -> dict[str, Any]:
    command = (tool("node"), PARSER, NODE_MODULES, file)
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.mark.slow
@pytest.mark.needs("node", "@asyncapi/parser")
def test_asyncapi_is_valid(tmp_path: Path) -> None:
    """By the initiative's own parser, which notes that there is a 3.1."""
    answer = parsed(DOCS / "asyncapi.yaml")
    assert [each for each in answer["found"] if each["code"] != "asyncapi-latest-version"] == []
    assert answer["channels"] == list(PATHS)
    broken = copy.deepcopy(STREAMS)
    broken["operations"]["send-stream"]["messages"][0] = {"$ref": "#/channels/stream/messages/Nothing"}
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(broken))
    assert [each["code"] for each in parsed(tmp_path / "broken.yaml")["found"] if each["severity"] == 0] != []


@pytest.mark.parametrize("kind", ["Metrics", "Project", "Event", "Anomaly"])
def test_objects_have_the_same_fields_everywhere(kind: str) -> None:
    """In both documents, as changes, in the backend's objects, in its options and in the binary schema."""
    fields = set(getattr(objects, kind).__struct_fields__)
    for found in (STREAMS, REST):
        assert set(found["components"]["schemas"][kind]["properties"]) == fields
    assert STREAMS["components"]["schemas"][kind] == REST["components"]["schemas"][kind]
    if kind != "Event":
        assert set(STREAMS["components"]["schemas"][f"{kind}Change"]["properties"]) == fields
    binary = {field.name for field in iris_pb2.DESCRIPTOR.message_types_by_name[kind].fields}
    assert binary - {"cleared", "other"} == fields
    assert fields in [set(names) for names in FIELDS.values()]


def test_paths_are_those_of_the_backend() -> None:
    """All but GraphQL, which has a schema of its own."""
    app = make_app(Service(BackendSettings()))
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/") and route.method != "HEAD"
    }
    found = {(method, path) for path, methods in REST["paths"].items() for method in methods}
    assert found == {(method, path) for method, path in routes if path != "/api/graphql"}
    assert {*GET_ROUTES, *PATHS} <= set(REST["paths"])
    assert [channel["address"] for channel in STREAMS["channels"].values()] == list(PATHS)


def test_error_codes_are_those_of_the_backend() -> None:
    for found in (STREAMS, REST):
        code = found["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]
        assert code["enum"] == list(ERROR_MESSAGES)


def test_options_are_those_that_are_granted() -> None:
    schemas = STREAMS["components"]["schemas"]
    asked = schemas["Subscribe"]["properties"]["data"]["properties"]
    everything = {
        "projects": ["a"],
        "severities": ["error"],
        "fields": {channel: list(names) for channel, names in FIELDS.items()},
        "delta": True,
        "batch": {},
        "debounceMs": 10**9,
        "priority": True,
    }
    granted = parse_options(everything).grant.document()
    assert set(asked) == {*granted, "after"}
    answer = schemas["Subscribed"]["properties"]["data"]["properties"]
    assert set(answer) == {*granted, "encoding", "position", "resume"}
    assert answer["debounceMs"]["maximum"] == granted["debounceMs"]
    for channel, names in FIELDS.items():
        assert asked["fields"]["properties"][channel]["items"]["enum"] == list(names)


def test_query_parameters_are_those_that_are_read() -> None:
    parameters = REST["paths"]["/api/stream"]["get"]["parameters"]
    names = [each["name"] for each in parameters if each["in"] == "query" and each["name"] != "ticket"]
    assert set(STREAMS["channels"]["stream"]["bindings"]["ws"]["query"]["properties"]) == set(names)
    for name in names:
        group, _, member = name.partition(".")
        found = query_options([(name, "1")])
        assert list(found) == [group], f"{name} is not read"
        assert not member or list(found[group]) == [member]
