"""The JSON Schema for editors."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from iris_exporter.config import yaml_text
from iris_exporter.mapping import presets
from iris_exporter.mapping.fields import as_json
from iris_exporter.mapping.schema import schema
from tests.mapping import samples
from tests.mapping.samples import read_files

FILES = [presets.path(name) for name in presets.names()] + sorted(samples.DIRECTORY.glob("*/mapping.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_preset_and_every_worked_mapping_is_valid(file: Path, validator: Draft202012Validator) -> None:
    table, _ = yaml_text.read(file)
    assert [error.message for error in validator.iter_errors(as_json(table))] == []


WRONG = {
    "an unknown key": "a: {namespace: a, messages: [{kind: a}], colour: red}",
    "an unknown key of a metric": "a: {namespace: a, messages: [{kind: a, metrics: [{name: b, sort: gauge}]}]}",
    "a type that there is not": "a: {namespace: a, messages: [{kind: a, metrics: [{name: b, type: summary}]}]}",
    "no namespace": "a: {messages: [{kind: a}]}",
    "a path that is none": "a: {namespace: a, messages: [{kind: a, id: b.c}]}",
    "a number in quotes": 'a: {namespace: a, messages: [{kind: a}], limits: {series: "10"}}',
    "no such unit": "a: {namespace: a, messages: [{kind: a, metrics: [{name: b, value: {path: $, unit: x}}]}]}",
    "a condition that there is not": "a: {namespace: a, messages: [{kind: a, when: {$.a: {like: b}}}]}",
    "no messages": "a: {namespace: a, messages: []}",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_the_reader_refuses_the_schema_refuses(text: str, validator: Draft202012Validator, tmp_path: Path) -> None:
    file = tmp_path / "mappings.yaml"
    file.write_text(f"mappings:\n  {text}\n")
    table, _ = yaml_text.read(file)
    document: Any = as_json(table)
    assert not validator.is_valid(document)
    assert read_files([file]).problems
