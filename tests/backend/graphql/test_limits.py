"""What one document may ask for."""

import time

import pytest
from graphql import get_introspection_query

from iris_exporter.backend.graphql import limits
from iris_exporter.backend.graphql.operations import Parameters, RequestError, prepare
from tests.waiting import BUSY

CHAIN = " ".join(f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }}" for n in range(60))
BOMBS = {
    "aliases": "{" + " ".join(f"a{n}: projects {{ id }}" for n in range(limits.MAX_ALIASES + 1)) + "}",
    "aliases in a fragment": "{ a: overview { ...f } b: overview { ...f } } fragment f on Overview { "
    + " ".join(f"a{n}: cursor" for n in range(limits.MAX_ALIASES // 2))
    + "}",
    "fields": "{ projects { " + "id " * (limits.MAX_FIELDS + 1) + "} }",
    "fragments that double": "{ ...f0 } " + CHAIN + " fragment f60 on Query { projects { id } }",
    "a fragment in itself": "{ ...f } fragment f on Query { ...f }",
    "two fragments in each other": "{ ...f } fragment f on Query { ...g } fragment g on Query { ...f }",
    "levels": "{ overview " + "{ overview " * (limits.MAX_DEPTH + 1) + "{ id }" + "}" * (limits.MAX_DEPTH + 2),
    "levels beyond the parser": "{a" * 900 + "}" * 900,
    "inline fragments": "{" + "... {" * 900 + "a" + "}" * 901,
    "values": "{ project(id: " + "[" * 900 + "]" * 900 + ") { id } }",
    "directives": "{ projects { id" + " @skip(if: false)" * (limits.MAX_DIRECTIVES + 1) + "} }",
    "tokens": "{ projects { id } " + "# x\n" + "a " * limits.MAX_TOKENS + "}",
    "nested introspection": "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
    "introspection through fragments": "{ __schema { types { ...t } } } fragment t on __Type { fields { type "
    "{ ...u } } } fragment u on __Type { fields { type { fields { type { fields { name } } } } } }",
    "operations": " ".join(f"query q{n} {{ projects {{ id }} }}" for n in range(400)),
}


@pytest.mark.parametrize("query", BOMBS.values(), ids=BOMBS)
def test_a_document_that_asks_for_too_much_is_refused_at_once(query: str) -> None:
    began = time.process_time()
    with pytest.raises(RequestError) as refused:
        prepare(Parameters(query))
    assert time.process_time() - began < 1 * BUSY
    assert refused.value.code == "INVALID_REQUEST"
    assert all(error["extensions"] == {"code": "INVALID_REQUEST"} for error in refused.value.errors)
    assert all(len(str(error)) < 1000 for error in refused.value.errors)


def test_the_introspection_that_tools_send_is_answered() -> None:
    query = get_introspection_query(
        specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
    )
    result = prepare(Parameters(query)).result({})
    assert "errors" not in result
    names = {each["name"] for each in result["data"]["__schema"]["types"]}
    assert {"Query", "Subscription", "Message", "EventMessage", "Project"} <= names


def test_what_is_at_the_limits_is_allowed() -> None:
    aliases = " ".join(f"a{n}: projects {{ id }}" for n in range(limits.MAX_ALIASES))
    prepare(Parameters("{" + aliases + "}"))
    prepare(Parameters("{ projects { " + "id " * (limits.MAX_FIELDS - 1) + "} }"))
