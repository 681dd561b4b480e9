"""Which finding a failure on the way to a host is. Pure."""

from iris_exporter.core.failures import Failure

# Texts of OpenSSL; they are the same whether the handshake was with the source or through a proxy's tunnel.
_CERTIFICATES = (
    ("has expired", "tls_expired"),
    ("not yet valid", "tls_not_yet_valid"),
    ("mismatch", "tls_wrong_name"),
    ("self-signed certificate in certificate chain", "tls_unknown_authority"),
    ("self signed certificate in certificate chain", "tls_unknown_authority"),
    ("self-signed certificate", "tls_self_signed"),
    ("self signed certificate", "tls_self_signed"),
    ("unable to get", "tls_unknown_authority"),
    ("unable to verify", "tls_unknown_authority"),
)


def kind_of(failure: Failure, step: str) -> str | None:
    """What ended the way at this step, by the ids of streams; None for what its reason says well enough."""
    reason, detail = failure.listed_reason, failure.detail
    if reason == "tls_certificate":
        words = detail.partition("; presented: ")[0].lower()
        return next((found for text, found in _CERTIFICATES if text in words), reason)
    if reason == "tls" and any(
        text in detail for text in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
    ):
        return "tls_not_spoken"
    return "connect_timeout" if reason == "timeout" and step == "tcp" else None


_OF_SERVICES = {
    "dns": "dns",
    "proxy": "proxy",
    "proxy_refused": "proxy",
    "tls": "tls",
    "client_certificate": "client_certificate",
    "timeout": "timeout",
}


def service_finding(service: str, failure: Failure, step: str) -> str:
    """The id of what ended the way to a service."""
    return f"{service}_{kind_of(failure, step) or _OF_SERVICES.get(failure.listed_reason, 'unreachable')}"
