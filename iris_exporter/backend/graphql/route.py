"""`/api/graphql`: one handler for requests and streams; without the extra `graphql`, a clear refusal."""

from importlib.util import find_spec

from aiohttp import web

from iris_exporter.backend.replies import error_response

MISSING = "GraphQL needs what is not installed here: pip install 'iris-exporter[graphql]'"


def is_available() -> bool:
    """Whether the extra is installed."""
    return find_spec("graphql") is not None


async def graphql(request: web.Request) -> web.StreamResponse:
    """Answer a request, or serve a stream until either side ends it."""
    if not is_available():
        return error_response(404, "INVALID_ENDPOINT", MISSING)
    # graphql-core takes a quarter of a second to import, which a backend need not pay that nobody asks.
    from iris_exporter.backend.graphql.serving import serve

    return await serve(request)
