"""Requests to operations, and what a subscription asks for."""

from typing import Any

import pytest

from iris_exporter.backend.graphql.operations import (
    MAX_ERROR_CHARS,
    Parameters,
    RequestError,
    prepare,
    read_parameters,
)
from iris_exporter.backend.options import Grant, Request

STREAM = "subscription($v: [Channel!], $n: Int) { stream(channels: $v, debounceMs: $n) { __typename } }"


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ([], "object"),
        ({}, "query"),
        ({"query": 7}, "query"),
        ({"query": None}, "query"),
        ({"query": "{a}", "operationName": 7}, "operationName"),
        ({"query": "{a}", "variables": []}, "variables"),
        ({"query": "{a}", "variables": "x"}, "variables"),
        ({"query": "{a}", "extensions": 7}, "extensions"),
    ],
)
def test_bad_parameters_are_named(found: object, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        read_parameters(found)


@pytest.mark.parametrize(
    ("query", "variables", "said"),
    [
        ("", None, "Syntax Error"),
        ("{", None, "Syntax Error"),
        ("{ nothing }", None, "Cannot query field"),
        ("{ projects }", None, "must have a selection"),
        ("mutation { a }", None, "mutation"),
        ("query a { projects { id } } query b { projects { id } }", None, "operation name"),
        ("subscription { stream { __typename } other: stream { __typename } }", None, "only one top level field"),
        (STREAM, {"v": ["nonsense"]}, "nonsense"),
        (STREAM, {"n": "7"}, "Int"),
        ("subscription { stream(channels: [nonsense]) { __typename } }", None, "nonsense"),
    ],
)
def test_a_request_that_cannot_be_executed_says_why(query: str, variables: Any, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        prepare(Parameters(query, variables=variables))
    assert said.lower() in str(refused.value).lower()
    assert all(error["extensions"]["code"] == "INVALID_REQUEST" for error in refused.value.errors)


@pytest.mark.parametrize("limit", ["9" * 20_000, '"' + "x" * 20_000 + '"'], ids=["number", "text"])
def test_an_error_does_not_repeat_all_that_the_client_wrote(limit: str) -> None:
    with pytest.raises(RequestError) as caught:
        prepare(Parameters(f"{{ events(limit: {limit}) {{ cursor }} }}"))
    assert len(str(caught.value.errors)) < 2 * MAX_ERROR_CHARS


def test_options_of_a_subscription_are_those_of_a_stream() -> None:
    asked = prepare(
        Parameters(
            """subscription s($p: [ID!]) { ...f } fragment f on Subscription { it: stream(
            channels: [events, anomalies], projects: $p, severities: [error], debounceMs: 99999, priority: true,
            after: "e-7") { __typename } }""",
            "s",
            {"p": ["a", "b"]},
        )
    ).options()
    grant = Grant(
        channels=frozenset({"events", "anomalies"}),
        projects=frozenset({"a", "b"}),
        severities=frozenset({"error"}),
        debounce_ms=10_000,
        priority=True,
    )
    assert asked == Request(grant, "e-7")


def test_the_last_event_id_wins_over_after() -> None:
    operation = prepare(Parameters('subscription { stream(after: "e-7") { __typename } }'))
    assert operation.options("e-9").after == "e-9"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("subscription { stream(channels: []) { __typename } }", "channels"),
        ("subscription { stream(debounceMs: -1) { __typename } }", "debounceMs"),
        ('subscription { stream(projects: ["' + "x" * 201 + '"]) { __typename } }', "projects"),
        ("subscription { stream @skip(if: true) { __typename } }", "nothing|skip"),
    ],
)
def test_bad_options_are_named(query: str, named: str) -> None:
    with pytest.raises(RequestError, match=named):
        prepare(Parameters(query)).options()
