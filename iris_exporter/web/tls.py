"""From `tls_server_config` to an `ssl.SSLContext`, and what may be asked of a client's certificate.

Nothing here listens. A context is made anew when a file has changed and is used from the next handshake on; files are
read once for each context, so that what is tried is what is used.
"""

import ipaddress
import os
import re
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iris_exporter.errors import ConfigError, Problem
from iris_exporter.web.config.model import TlsSettings

MAX_PEM_BYTES = 1 << 20
"""A chain has a few kilobytes, a system's bundle of authorities some two hundred."""

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_BLOCK = re.compile("-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)
_SAN_KINDS = frozenset({"DNS", "email", "URI", "IP Address"})
_KEY = "tls_server_config"


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context for the server side.

    Raises:
        ConfigError: A file cannot be read or used, certificate and key do not belong together, or this Python cannot
            do what is asked. Messages never show a key.
    """
    builder = _Builder(settings)
    context = builder.build()
    if builder.problems:
        raise ConfigError(builder.problems)
    return context


class _Builder:
    def __init__(self, settings: TlsSettings) -> None:
        self.problems: list[Problem] = []
        self._settings = settings

    def build(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.min_version]
        context.maximum_version = _VERSIONS[settings.max_version]
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        if settings.prefer_server_ciphers:
            context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        else:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        # A resumed session has no handshake in which a changed CA or certificate could be noticed.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        if settings.cipher_suites:
            context.set_ciphers(":".join(settings.cipher_suites))
        self._set_curves(context)
        # HTTP/2 is not spoken; a client that could do both is told so here.
        context.set_alpn_protocols(["http/1.1"])
        self._load_client_ca(context)
        context.verify_mode = _VERIFY[settings.client_auth]
        self._load_chain(context)
        return context

    def _report(self, key: str, value: str, expected: str) -> None:
        self.problems.append(Problem(self._settings.where, f"{_KEY}.{key}", value, expected))

    def _set_curves(self, context: ssl.SSLContext) -> None:
        curves = self._settings.curves
        set_groups = getattr(context, "set_groups", None)  # since Python 3.15
        if set_groups is not None and curves:
            set_groups(":".join(curves))
        elif len(curves) == 1:
            context.set_ecdh_curve(curves[0])
        elif curves:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            self._report(
                "curve_preferences", f"{len(curves)} curves", f"one, or none (Python {version} can set only one)"
            )

    def _content(self, name: str, file: Path | None, text: str | None) -> tuple[str, str] | None:
        """PEM text and how messages call where it came from; None after a problem."""
        if file is None:
            return text or "", f"the text of {name}"
        shown = repr(str(file))
        try:
            with file.open("rb") as source:
                content = source.read(MAX_PEM_BYTES + 1)
        except OSError as error:
            self._report(f"{name}_file", shown, f"a readable file ({error.strerror})")
            return None
        if b"-----BEGIN " not in content or len(content) > MAX_PEM_BYTES:
            self._report(f"{name}_file", shown, "a file in PEM form, up to 1 MiB")
            return None
        # Without what people write between the blocks, which need not be the ASCII that OpenSSL wants.
        return "\n".join(_BLOCK.findall(content.decode("ascii", "replace"))) + "\n", shown

    def _load_client_ca(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        if settings.client_ca_file is None and settings.client_ca is None:
            return
        found = self._content("client_ca", settings.client_ca_file, settings.client_ca)
        if found is None:
            return
        text, shown = found
        try:
            context.load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError) as error:
            key = "client_ca_file" if settings.client_ca_file else "client_ca"
            self._report(key, shown, f"certificates of authorities ({_reason(error)})")

    def _load_chain(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        cert = self._content("cert", settings.cert_file, settings.cert)
        key = self._content("key", settings.key_file, settings.key)
        if cert is None or key is None:
            return
        cert_key = "cert_file" if settings.cert_file else "cert"
        key_key = "key_file" if settings.key_file else "key"
        if "PRIVATE KEY-----" not in key[0]:
            self._report(key_key, key[1], "a private key")
        elif "ENCRYPTED" in key[0]:
            self._report(key_key, key[1], "a private key without a password")
        elif "BEGIN CERTIFICATE" not in cert[0] and "BEGIN TRUSTED CERTIFICATE" not in cert[0]:
            self._report(cert_key, cert[1], "a certificate")
        else:
            try:
                with _as_file(cert[0]) as cert_path, _as_file(key[0]) as key_path:
                    # A password that nobody has, or OpenSSL would ask the terminal for one.
                    context.load_cert_chain(cert_path, key_path, password=str)
            except ssl.SSLError as error:
                if error.reason == "KEY_VALUES_MISMATCH":
                    self._report(key_key, key[1], f"the key that belongs to the certificate in {cert[1]}")
                else:
                    self._report(cert_key, cert[1], f"a certificate with its key ({_reason(error)})")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else "it is damaged"


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path at which OpenSSL can read `text`: it takes certificates and keys from files alone."""
    if sys.platform == "linux":
        # In memory only: a key that stands in the configuration need not be written a second time.
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # mode 0600
            file.write(text.encode())
            file.flush()
            yield file.name


def has_allowed_san(certificate: Mapping[str, Any] | None, allowed: tuple[str, ...]) -> bool:
    """Whether one of the certificate's alternative names is exactly one of `allowed`; everything is when it is empty.

    Args:
        certificate: As `SSLObject.getpeercert` gives it; None for none.
        allowed: DNS names, e-mail addresses, IP addresses in any spelling, URIs.
    """
    if not allowed:
        return True
    wanted = {_plain_address(name) for name in allowed}
    names = (certificate or {}).get("subjectAltName", ())
    return any(kind in _SAN_KINDS and _plain_address(name) in wanted for kind, name in names)


def _plain_address(text: str) -> str:
    """An IP address in its one canonical spelling (OpenSSL's is `0:0:0:0:0:0:0:1`); all else as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
