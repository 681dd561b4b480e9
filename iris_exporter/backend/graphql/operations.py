"""From the parameters of a request to something that can be executed, or to the errors that a client is told. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    Executor,
    GraphQLError,
    GraphQLSyntaxError,
    OperationType,
    parse,
    validate,
)
from graphql.execution.execute import assume_not_awaitable

from iris_exporter.backend.feed import Feed
from iris_exporter.backend.graphql import limits
from iris_exporter.backend.graphql.schema import root_of, schema
from iris_exporter.backend.options import OptionError, Request, parse_options

MAX_ERRORS = 10
"""Errors of one kind that a client is told of at once."""
MAX_ERROR_CHARS = 500
"""Of the text of one, which may repeat what the client has written."""
Result = dict[str, Any]
"""A GraphQL response: some of `data`, `errors`."""


class RequestError(Exception):
    """A request that is not executed. `errors` are as GraphQL writes them, each with a code of the protocol."""

    def __init__(self, *errors: Mapping[str, Any], code: str = "INVALID_REQUEST") -> None:
        super().__init__(errors[0]["message"] if errors else "")
        self.errors = list(errors)
        self.code = code


def refusal(message: str, code: str = "INVALID_REQUEST") -> RequestError:
    """A refusal in one sentence."""
    return RequestError({"message": message, "extensions": {"code": code}}, code=code)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a GraphQL request consists of, over HTTP as in a `subscribe` message."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None


def read_parameters(found: object) -> Parameters:
    """The parameters in a JSON value. Raises RequestError."""
    if not isinstance(found, Mapping):
        raise refusal("a request is an object with the member query")
    query, name, variables = found.get("query"), found.get("operationName"), found.get("variables")
    if not isinstance(query, str):
        raise refusal("query: expected the text of a GraphQL document")
    if name is not None and not isinstance(name, str):
        raise refusal("operationName: expected a name")
    if variables is not None and not isinstance(variables, Mapping):
        raise refusal("variables: expected an object")
    if not isinstance(found.get("extensions", {}), Mapping | None):
        raise refusal("extensions: expected an object")
    return Parameters(query, name, variables)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, with its variables."""

    executor: Executor[Any]

    @property
    def is_subscription(self) -> bool:
        """Whether its results are a stream."""
        return self.executor.operation.operation is OperationType.SUBSCRIPTION

    def answer(self, feed: Feed) -> Result:
        """The result of a query."""
        return self._execute(root_of(feed))

    def result(self, message: Mapping[str, Any]) -> Result:
        """The result for one message of a subscription, a value of the type Message with its `__typename`."""
        return self._execute({"stream": message})

    def options(self, last_event_id: str | None = None) -> Request:
        """What a subscription asks for; `last_event_id` goes before `after`. Raises RequestError."""
        asked: list[Mapping[str, Any]] = []

        def take(_: object, **arguments: Any) -> None:
            asked.append(arguments)

        result = self._execute({"stream": take})
        if not asked:
            raise RequestError(*result.get("errors", ({"message": "there is nothing to subscribe to"},)))
        try:
            return parse_options({**asked[0], "after": last_event_id} if last_event_id else asked[0])
        except OptionError as problem:
            raise refusal(str(problem)) from None

    def _execute(self, root: Mapping[str, Any]) -> Result:
        executor = self.executor.build_per_event_executor(root)
        # Nothing is awaitable here.
        found: Any = executor.execute_operation(serially=False)
        result: Result = {"data": found.data}
        if found.errors:
            result["errors"] = [_formatted(error) for error in found.errors[:MAX_ERRORS]]
        return result


def prepare(parameters: Parameters) -> Operation:
    """Read, check and choose the operation of a request.

    Raises:
        RequestError: It cannot be executed.
    """
    try:
        document = parse(parameters.query, no_location=False, max_tokens=limits.MAX_TOKENS)
        limits.check(document)
        errors: Sequence[GraphQLError] = validate(schema(), document, max_errors=MAX_ERRORS)
    except GraphQLSyntaxError as error:
        raise _of_errors([error]) from None
    except limits.LimitError as error:
        raise refusal(str(error)) from None
    except RecursionError:
        raise refusal("the document is nested too deep") from None
    if errors:
        raise _of_errors(errors)
    try:
        executor = Executor.build(
            schema(),
            document,
            raw_variable_values=dict(parameters.variables or {}),
            operation_name=parameters.operation_name,
            max_coercion_errors=MAX_ERRORS,
            is_awaitable=assume_not_awaitable,
        )
    except RecursionError:
        raise refusal("the variables are nested too deep") from None
    if not isinstance(executor, Executor):
        raise _of_errors(executor)
    return Operation(executor)


def _of_errors(errors: Sequence[GraphQLError]) -> RequestError:
    return RequestError(*({**_formatted(error), "extensions": {"code": "INVALID_REQUEST"}} for error in errors))


def _formatted(error: GraphQLError) -> Mapping[str, Any]:
    found, text = error.formatted, error.message
    return found if len(text) <= MAX_ERROR_CHARS else {**found, "message": f"{text[:MAX_ERROR_CHARS]}..."}
