"""From `tls_server_config` to an `ssl.SSLContext`, and the check of a client certificate's names.

A context is made anew when a file has changed, and is used from the next handshake on. Files are read once for each
context, so that what is tried is what is used.
"""

import ipaddress
import os
import re
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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


def build_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return a context for the server side.

    Raises:
        ConfigError: A file cannot be read or used, certificate and key do not belong together, or this Python cannot
            do what is asked. Messages never show a key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.maximum_version = _VERSIONS[settings.max_version]
    # A resumed session has no handshake in which a changed CA or certificate could be noticed.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    if not settings.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.cipher_suites:
        context.set_ciphers(":".join(settings.cipher_suites))
    # HTTP/2 is not spoken; a client that offers both gets HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    loader = _Loader(settings, context)
    loader.set_curves()
    loader.load_client_ca()
    context.verify_mode = _VERIFY[settings.client_auth]
    loader.load_chain()
    if loader.problems:
        raise ConfigError(loader.problems)
    return context


@dataclass(frozen=True, slots=True)
class _Pem:
    """PEM text, the option that it comes from, and what messages call it."""

    text: str
    option: str
    shown: str


class _Loader:
    """Loads what can be wrong into a context, and notes what is."""

    def __init__(self, settings: TlsSettings, context: ssl.SSLContext) -> None:
        self.problems: list[Problem] = []
        self._settings = settings
        self._context = context

    def _report(self, option: str, value: str, expected: str) -> None:
        self.problems.append(Problem(self._settings.where, f"tls_server_config.{option}", value, expected))

    def set_curves(self) -> None:
        curves = self._settings.curves
        set_groups = getattr(self._context, "set_groups", None)  # since Python 3.15
        if set_groups is not None and curves:
            set_groups(":".join(curves))
        elif len(curves) == 1:
            self._context.set_ecdh_curve(curves[0])
        elif curves:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            expected = f"one, or none (Python {version} can set only one)"
            self._report("curve_preferences", f"{len(curves)} curves", expected)

    def _pem(self, name: str, file: Path | None, text: str | None) -> _Pem | None:
        """Read a file, or take the text; None after a problem."""
        if file is None:
            return _Pem(text or "", name, f"the text of {name}")
        option, shown = f"{name}_file", repr(str(file))
        try:
            with file.open("rb") as source:
                content = source.read(MAX_PEM_BYTES + 1)
        except OSError as error:
            self._report(option, shown, f"a readable file ({error.strerror})")
            return None
        if b"-----BEGIN " not in content or len(content) > MAX_PEM_BYTES:
            self._report(option, shown, "a file in PEM form, up to 1 MiB")
            return None
        # Without what people write between the blocks, which need not be the ASCII that OpenSSL wants.
        return _Pem("\n".join(_BLOCK.findall(content.decode("ascii", "replace"))) + "\n", option, shown)

    def load_client_ca(self) -> None:
        file, text = self._settings.client_ca_file, self._settings.client_ca
        pem = None if file is None and text is None else self._pem("client_ca", file, text)
        if pem is not None:
            try:
                self._context.load_verify_locations(cadata=pem.text)
            except (ssl.SSLError, ValueError) as error:
                self._report(pem.option, pem.shown, f"certificates of authorities ({_reason(error)})")

    def load_chain(self) -> None:
        settings = self._settings
        cert = self._pem("cert", settings.cert_file, settings.cert)
        key = self._pem("key", settings.key_file, settings.key)
        if cert is None or key is None:
            return
        if "PRIVATE KEY-----" not in key.text:
            self._report(key.option, key.shown, "a private key")
        elif "ENCRYPTED" in key.text:
            self._report(key.option, key.shown, "a private key without a password")
        elif "BEGIN CERTIFICATE" not in cert.text and "BEGIN TRUSTED CERTIFICATE" not in cert.text:
            self._report(cert.option, cert.shown, "a certificate")
        else:
            try:
                with _as_file(cert.text) as cert_path, _as_file(key.text) as key_path:
                    # A password that nobody has, or OpenSSL would ask the terminal for one.
                    self._context.load_cert_chain(cert_path, key_path, password=str)
            except ssl.SSLError as error:
                if error.reason == "KEY_VALUES_MISMATCH":
                    self._report(key.option, key.shown, f"the key that belongs to the certificate in {cert.shown}")
                else:
                    self._report(cert.option, cert.shown, f"a certificate with its key ({_reason(error)})")


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
