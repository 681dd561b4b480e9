"""The moments of a request, as aiohttp tells them, handed to the operation of the task."""

from types import SimpleNamespace
from typing import Any

import aiohttp

from iris_exporter.http.session import RedirectedError
from iris_exporter.instruments import signals
from iris_exporter.otel.request_spans import CURRENT, Operation


class _Moment(SimpleNamespace):
    """What aiohttp makes for each request, in the task that makes it; the lookup of a host may run in another one."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.operation: Operation | None = CURRENT.get()


def trace_config() -> aiohttp.TraceConfig:
    """Hooks for a client session, to be passed as one of its `trace_configs`; requests outside operations pass by."""
    config = aiohttp.TraceConfig(trace_config_ctx_factory=_Moment)
    config.on_request_start.append(_requested)
    config.on_connection_create_start.append(_connecting)
    config.on_dns_resolvehost_start.append(_resolving)
    config.on_dns_resolvehost_end.append(_resolved)
    config.on_connection_create_end.append(_connected)
    config.on_request_headers_sent.append(_sent)
    config.on_request_end.append(_answered)
    config.on_request_exception.append(_broke)
    return config


# The signatures are aiohttp's: session, what `_Moment` made, parameters.


async def _requested(_: aiohttp.ClientSession, moment: Any, params: aiohttp.TraceRequestStartParams) -> None:
    if moment.operation is not None:
        url = params.url
        moment.operation.requested(params.method, str(url), url.host, url.port)


async def _connecting(_: aiohttp.ClientSession, moment: Any, __: object) -> None:
    if moment.operation is not None:
        moment.operation.began(signals.TCP)


async def _resolving(_: aiohttp.ClientSession, moment: Any, __: object) -> None:
    if moment.operation is not None:
        moment.operation.resolving()


async def _resolved(_: aiohttp.ClientSession, moment: Any, __: object) -> None:
    if moment.operation is not None:
        moment.operation.began(signals.TCP)


async def _connected(_: aiohttp.ClientSession, moment: Any, __: object) -> None:
    if moment.operation is not None:
        moment.operation.ended(signals.DNS, signals.TCP, signals.TLS)


async def _sent(_: aiohttp.ClientSession, moment: Any, __: object) -> None:
    if moment.operation is not None:
        moment.operation.sent()


async def _answered(_: aiohttp.ClientSession, moment: Any, params: aiohttp.TraceRequestEndParams) -> None:
    if moment.operation is not None:
        version = params.response.version
        spelled = "1.1" if version is None else f"{version.major}.{version.minor}"
        moment.operation.answered(params.response.status, spelled)


async def _broke(_: aiohttp.ClientSession, moment: Any, params: aiohttp.TraceRequestExceptionParams) -> None:
    if moment.operation is None:
        return
    if isinstance(params.exception, RedirectedError):
        moment.operation.ended(signals.HANDSHAKE)
    else:
        moment.operation.broke()
