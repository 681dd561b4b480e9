"""The content of a web configuration file, checked. Secrets and hashes are left out of every `repr`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`tls_server_config`.

    A certificate, a key and a CA are each a file or the PEM text itself, never both; without client certificates
    there is no CA. Versions are `TLS12` or `TLS13`. `cipher_suites` and `curves` hold OpenSSL's names, in order of
    preference, empty for OpenSSL's own choice; the suites are those up to TLS 1.2. `client_sans` empty admits every
    client certificate that the CA has signed.
    """

    where: str  # file and line, for messages
    cert_file: Path | None = None
    cert: str | None = None
    key_file: Path | None = None
    key: str | None = field(default=None, repr=False)
    client_ca_file: Path | None = None
    client_ca: str | None = None
    client_auth: str = "NoClientCert"
    client_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    prefer_server_ciphers: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose content belongs to these settings."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`rate_limit`: one request per `interval_seconds` (more than 0), and up to `burst` (1 or more) at once."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebConfig:
    """The whole file. `tls` and `rate_limit` None are off; `users` maps names to bcrypt hashes, empty asks nobody.

    `http2` is what the file has, None for nothing. HTTP/2 is not spoken either way.
    """

    tls: TlsSettings | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    http2: bool | None = None
    users: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    rate_limit: RateLimit | None = None

    @property
    def authenticates(self) -> bool:
        """Whether every client has to identify itself, by password or by certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.client_auth == "RequireAndVerifyClientCert")
