"""Export over TLS: whom an exporter trusts, and the certificate that it shows."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from iris_exporter.otel.environment import read_otel
from iris_exporter.otel.exporters.base import Answer
from iris_exporter.otel.exporters.renewed import RenewedExporter
from tests.otel.receivers import GrpcReceiver, HttpReceiver, grpc_receiver, http_receiver
from tests.otel.samples import log_records
from tests.web.config.certificates import Authority

BATCH = log_records()
PROTOCOLS = ("http/protobuf", "grpc")

pytestmark = pytest.mark.parametrize("protocol", PROTOCOLS)


class Files:
    """A server's certificate, a client's, the authority of both, and one that nobody was certified by."""

    def __init__(self, directory: Path) -> None:
        self.authority, self.stranger = directory / "ca.pem", directory / "stranger.pem"
        self.server, self.server_key = directory / "server.pem", directory / "server-key.pem"
        self.client, self.client_key = directory / "client.pem", directory / "client-key.pem"
        self.rotate()
        self.stranger.write_text(Authority("Stranger").pem)

    def rotate(self) -> None:
        """Replace everything by what a new authority has certified, as a rotation does."""
        authority = Authority()
        authority.issue(self.server, self.server_key, "localhost")
        authority.issue(self.client, self.client_key, "client")
        self.authority.write_text(authority.pem)

    @contextmanager
    def receiver(self, protocol: str, *, ask: bool = False, port: int = 0) -> Iterator[HttpReceiver | GrpcReceiver]:
        """A receiver with TLS; with `ask` it wants to see a certificate of the authority."""
        if protocol == "grpc":
            pair = (self.server_key.read_bytes(), self.server.read_bytes())
            trusted = self.authority.read_bytes() if ask else None
            with grpc_receiver(grpc.ssl_server_credentials([pair], trusted, ask), port) as over_grpc:
                yield over_grpc
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.server, self.server_key)
            if ask:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.authority)
            with http_receiver(context, port) as over_http:
                yield over_http


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Files(tmp_path)


def make(receiver: HttpReceiver | GrpcReceiver, protocol: str, **variables: Path) -> RenewedExporter:
    """An exporter for the variables, whose names are without OTEL_EXPORTER_OTLP_."""
    settings = read_otel(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://localhost:{receiver.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            **{f"OTEL_EXPORTER_OTLP_{name}": str(path) for name, path in variables.items()},
        }
    )
    assert settings.logs is not None
    return RenewedExporter("logs", settings.logs.endpoint, "agent/1")


def send(receiver: HttpReceiver | GrpcReceiver, protocol: str, **variables: Path) -> Answer:
    """One batch, as the variables want it sent."""
    exporter = make(receiver, protocol, **variables)
    try:
        return exporter.export(BATCH)
    finally:
        exporter.close()


@pytest.mark.parametrize("bundle", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_authority_of_the_variable_is_trusted_whatever_else_is_set(
    protocol: str, bundle: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(bundle, str(files.stranger))
    with files.receiver(protocol) as receiver:
        assert send(receiver, protocol, CERTIFICATE=files.authority) == Answer()
        assert len(receiver.received.records) == 1


def test_the_systems_authorities_are_trusted_without_the_variable(
    protocol: str, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    with files.receiver(protocol) as receiver:
        assert send(receiver, protocol) == Answer()


def test_nothing_is_sent_to_a_server_that_an_unknown_authority_has_certified(protocol: str, files: Files) -> None:
    """It is tried again, since certificates are exchanged, and says why."""
    with files.receiver(protocol) as receiver:
        answer = send(receiver, protocol, CERTIFICATE=files.stranger)
        assert answer.retry
        assert answer.reason in ("SSLCertVerificationError", "UNAVAILABLE")
        assert receiver.received.records == []


def test_a_server_that_asks_for_a_certificate_is_shown_the_one_of_the_variables(protocol: str, files: Files) -> None:
    with files.receiver(protocol, ask=True) as receiver:
        assert send(receiver, protocol, CERTIFICATE=files.authority).retry
        assert receiver.received.records == []
        shown = {"CLIENT_CERTIFICATE": files.client, "CLIENT_KEY": files.client_key}
        assert send(receiver, protocol, CERTIFICATE=files.authority, **shown) == Answer()
        assert len(receiver.received.records) == 1


@pytest.mark.parametrize("prefix", ["", "LOGS_"])
def test_rotated_authorities_and_certificates_are_used_without_a_restart(
    protocol: str, prefix: str, files: Files
) -> None:
    """The collector and all files change at once, while the exporter that began with the old ones goes on."""
    chosen = {"CERTIFICATE": files.authority, "CLIENT_CERTIFICATE": files.client, "CLIENT_KEY": files.client_key}
    variables = {f"{prefix}{name}": path for name, path in chosen.items()}
    with files.receiver(protocol, ask=True) as before:
        exporter = make(before, protocol, **variables)
        assert exporter.export(BATCH) == Answer()
    files.rotate()
    with files.receiver(protocol, ask=True, port=before.port) as after:
        answers = [exporter.export(BATCH) for _ in range(2)]
        assert Answer() in answers
        assert after.received.records
    exporter.close()


def test_the_old_certificate_is_used_while_a_rotation_is_half_done(protocol: str, files: Files) -> None:
    """A key beside the certificate of another one, then no file at all, and at last the pair: each is one write."""
    with files.receiver(protocol, ask=True) as receiver:
        shown = {"CLIENT_CERTIFICATE": files.client, "CLIENT_KEY": files.client_key}
        exporter = make(receiver, protocol, CERTIFICATE=files.authority, **shown)
        assert exporter.export(BATCH) == Answer()
        key = files.client_key.read_bytes()
        files.client_key.write_bytes(files.server_key.read_bytes())
        assert exporter.export(BATCH) == Answer()
        files.client_key.unlink()
        assert exporter.export(BATCH) == Answer()
        files.client_key.write_bytes(key)
        assert exporter.export(BATCH) == Answer()
        exporter.close()
