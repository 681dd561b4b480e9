"""Proxies of the way to a collector: the variables of the environment, read as for streams, over HTTP and gRPC."""

import asyncio

import pytest

from iris_exporter.otel.exporters.base import Answer
from iris_exporter.otel.exporters.renewed import RenewedExporter
from iris_exporter.otel.settings import Endpoint
from tests.otel.receivers import grpc_receiver, http_receiver
from tests.otel.samples import log_records
from tests.transports.support import Proxy, serve_proxy

EXCEPTIONS = ["other 127.0.0.1", "other, 127.0.0.0/8", "*", "127.0.0.1:{port}"]


async def send(exporter: RenewedExporter) -> Answer:
    return await asyncio.to_thread(exporter.export, log_records())


def exporter_to(protocol: str, url: str) -> RenewedExporter:
    path = "/v1/logs" if protocol == "http/protobuf" else ""
    return RenewedExporter("logs", Endpoint(protocol, url + path, {}, "none", 5.0, insecure=True), "agent/1")


def with_user(proxy: Proxy) -> str:
    return f"http://me:s3cret%40word@127.0.0.1:{proxy.port}"


AUTHORIZATION = "proxy-authorization: basic bwu6cznjcmv0qhdvcmq="  # me:s3cret@word


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
async def test_http_goes_through_the_proxy_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as receiver:
        async with serve_proxy() as proxy:
            monkeypatch.setenv(variable, with_user(proxy))
            exporter = exporter_to("http/protobuf", receiver.url)
            assert (await send(exporter)).reason == ""
            exporter.close()
            (head,) = proxy.heads
            assert head.startswith(f"POST {receiver.url}/v1/logs HTTP/1.1\r\n")
            assert AUTHORIZATION in head.lower()
            for text in EXCEPTIONS:
                monkeypatch.setenv("NO_PROXY", text.format(port=receiver.url.rpartition(":")[2]))
                exporter = exporter_to("http/protobuf", receiver.url)
                assert (await send(exporter)).reason == ""
                exporter.close()
            assert len(proxy.heads) == 1
        assert len(receiver.received.records) == 1 + len(EXCEPTIONS)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "grpc_proxy"])
async def test_grpc_goes_through_a_tunnel(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with grpc_receiver() as receiver:
        place = f"127.0.0.1:{receiver.port}"
        async with serve_proxy() as proxy:
            monkeypatch.setenv(variable, with_user(proxy))
            exporter = exporter_to("grpc", f"http://{place}")
            assert (await send(exporter)).reason == ""
            exporter.close()
            (head,) = proxy.heads
            assert head.startswith(f"CONNECT {place} ")
            assert AUTHORIZATION in head.lower()
            for text in EXCEPTIONS:
                monkeypatch.setenv("NO_PROXY", text.format(port=receiver.port))
                exporter = exporter_to("grpc", f"http://{place}")
                assert (await send(exporter)).reason == ""
                exporter.close()
            assert len(proxy.heads) == 1
        assert len(receiver.received.records) == 1 + len(EXCEPTIONS)


@pytest.mark.parametrize(
    ("protocol", "value", "reason"),
    [
        ("http/protobuf", "socks5://me:s3cret-word@p", "proxy: HTTP_PROXY is not the URL of an HTTP proxy"),
        ("grpc", "socks5://me:s3cret-word@p", "proxy: HTTP_PROXY is not the URL of an HTTP proxy"),
        ("grpc", "https://me:s3cret-word@p", "proxy: gRPC goes through proxies with an address of http:// alone"),
    ],
)
def test_an_unusable_proxy_is_a_reason_and_is_not_bypassed(
    protocol: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    exporter = exporter_to(protocol, "http://127.0.0.1:1")
    assert exporter.export(log_records()) == Answer(retry=True, reason=reason)
    exporter.close()
