"""From the file's text to a `WebConfig`, or to every problem at once.

Strict, because a mistake here lets somebody in: unknown keys, keys given twice and values of a wrong type are errors,
and no section is ever left out quietly. Messages show neither keys nor hashes.
"""

import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from iris_exporter.config import values
from iris_exporter.config.reader import Reader
from iris_exporter.config.values import BadValueError, ValueType, plain
from iris_exporter.config.yaml_tree import Scalar, Table
from iris_exporter.errors import ConfigError
from iris_exporter.web import tls
from iris_exporter.web.config import names
from iris_exporter.web.config.model import RateLimit, TlsSettings, WebConfig

MAX_COST = 18
"""Of a bcrypt hash: some fifteen seconds for a password. One more doubles that, and 31 takes a day."""
MAX_BURST = 1_000_000

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_EXAMPLE = "sections with keys (tls_server_config: ..., basic_auth_users: ...)"


# Types of values


def _pem(name: str) -> ValueType:
    def parse(text: str, _base: Path) -> str:
        if "-----BEGIN " not in text:
            raise ValueError(name)
        return text

    syntax = f"PEM text (for the name of a file there is {name}_file)"
    return ValueType(syntax, "PEM", parse, show=(lambda _: "text (not shown)") if name == "key" else values.quoted)


def _parse_client_auth(text: str, base: Path) -> object:
    if text in names.UNVERIFIED_CLIENT_AUTH:
        raise BadValueError(f"{_VERIFIED.syntax} ({text} would believe any certificate, and is not offered)")
    return _VERIFIED.parse(text, base)


def _named(meanings: Mapping[str, str], without_meaning: tuple[str, ...] = ()) -> ValueType:
    """A list of Go's names, as OpenSSL's; those without a meaning read as ""."""
    return values.one_of({**meanings, **dict.fromkeys(without_meaning, "")}, many=True)


_VERIFIED = values.choice(*names.CLIENT_AUTH)
_FILE = ValueType("the name of a file", "FILE", lambda text, base: base / text)
_VERSION = values.one_of(
    {version: version for version in names.VERSIONS},
    f" ({' and '.join(names.OLD_VERSIONS)} are withdrawn by RFC 8996, and not offered)",
)
_SWITCH = values.one_of({text: text.lower() == "true" for text in ("true", "false", "True", "False", "TRUE", "FALSE")})
_INTERVAL = ValueType(
    "a duration with a unit (1s, 250ms), or 0 for no limit", "DURATION", lambda text, _: names.parse_go_duration(text)
)
# 0 is right beside an interval of 0.
_BURST = ValueType(f"a whole number between 1 and {MAX_BURST}", "NUMBER", values.integer(0, MAX_BURST).parse)

_TLS: Mapping[str, ValueType] = {
    **{name: _pem(name) for name in ("cert", "key", "client_ca")},
    **dict.fromkeys(("cert_file", "key_file", "client_ca_file"), _FILE),
    "client_auth_type": ValueType(_VERIFIED.syntax, "TYPE", _parse_client_auth),
    "client_allowed_sans": replace(values.matching("a name, an address or a URI", "NAME", ".+"), many=True),
    "min_version": _VERSION,
    "max_version": _VERSION,
    "cipher_suites": _named(names.CIPHER_SUITES, names.TLS13_SUITES),
    "prefer_server_cipher_suites": _SWITCH,
    "curve_preferences": _named(names.CURVES),
}
_HTTP: Mapping[str, ValueType] = {
    "http2": _SWITCH,
    **{
        f"headers.{name}": values.choice(*allowed)
        if allowed
        else values.matching("one line of printable ASCII", "TEXT", r"[\t\x20-\x7e]*")
        for name, allowed in names.HEADERS.items()
    },
}
_RATE_LIMIT: Mapping[str, ValueType] = {"interval": _INTERVAL, "burst": _BURST}
_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")


def load(path: Path) -> WebConfig:
    """Return the content of the file at `path`; certificates and keys have been tried, too.

    Raises:
        ConfigError: With every problem found.
    """
    return load_for_use(path)[0]


def load_for_use(path: Path) -> tuple[WebConfig, ssl.SSLContext | None]:
    """Return the same with the context for new connections, None where the file asks for no TLS.

    Raises:
        ConfigError: With every problem found.
    """
    loader = _Loader(path)
    config = loader.load(path)
    context = None
    if config.tls is not None:
        try:
            context = tls.build_context(config.tls)
        except ConfigError as error:
            loader.problems += error.problems
    if loader.problems:
        raise ConfigError(list(dict.fromkeys(loader.problems)))
    return config, context


class _Section:
    """One section of the file: its table, what that gives, and in `values` what could be read of it."""

    def __init__(self, reader: Reader, root: Table, key: str, types: Mapping[str, ValueType]) -> None:
        node = root.entries.get(key)
        self.key = key
        self._reader = reader
        self._before = len(reader.problems)
        self.where = f"{reader.file}:{root.line if node is None else node.line}"
        table = reader.table(node, key, self.where)
        self._lines: Mapping[str, int] = {} if table is None else table.lines
        self.given = reader.given(table, key, self.where, types)
        self.values = reader.read_all(self.given)

    @property
    def names(self) -> Collection[str]:
        """All keys of the table, with those that are blank."""
        return self._lines.keys()

    @property
    def is_whole(self) -> bool:
        """Whether nothing has been found wrong with it."""
        return len(self._reader.problems) == self._before

    def refuse(self, name: str, value: str, expected: str, at: str = "") -> None:
        """Note a problem of a key, at the line of the key `at`, or else of its own, or else of the section."""
        line = self._lines.get(at or name)
        where = self.where if line is None else f"{self._reader.file}:{line}"
        self._reader.report(where, f"{self.key}.{name}", value, expected)


class _Loader:
    """One run of `load`; `problems` grows in the order found. A section with a problem is not built."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path, toolkit=True)
        self.problems = self._reader.problems

    def load(self, path: Path) -> WebConfig:
        """Return what could be read."""
        from iris_exporter.config import yaml_text

        root, problems = yaml_text.read(path, "web.config.file", _EXAMPLE)
        self.problems += problems
        for name in root.entries:
            if name not in _SECTIONS:
                where = self._reader.place(root, name, "")
                self._reader.unknown(where, name, name, _SECTIONS, f"one of {', '.join(_SECTIONS)}")
        http = _Section(self._reader, root, "http_server_config", _HTTP)
        headers = {name: http.values[f"headers.{name}"] for name in names.HEADERS if f"headers.{name}" in http.values}
        return WebConfig(
            tls=_tls(_Section(self._reader, root, "tls_server_config", _TLS)),
            headers=MappingProxyType(headers),
            http2=http.values.get("http2"),
            users=MappingProxyType(self._users(root)),
            rate_limit=_rate_limit(_Section(self._reader, root, "rate_limit", _RATE_LIMIT)),
        )

    def _users(self, root: Table) -> dict[str, str]:
        key, reader = "basic_auth_users", self._reader
        node = root.entries.get(key)
        table = reader.table(node, key, f"{reader.file}:{root.line if node is None else node.line}")
        users: dict[str, str] = {}
        for name, value in () if table is None else table.entries.items():
            where = reader.place(table, name, "") if table is not None else ""
            text = value.text if isinstance(value, Scalar) and value.text is not None else ""
            match = _BCRYPT.fullmatch(text)
            shown = f"{key}.{plain(name)}"
            if ":" in name:
                reader.report(where, shown, "a name with a colon", "a name that a browser can send")
            elif match is None:
                expected = "a bcrypt hash ($2y$10$...), as htpasswd -nBC 10 prints it"
                reader.report(where, shown, "something else (not shown)", expected)
            elif not 4 <= int(match["cost"]) <= MAX_COST:
                reader.report(where, shown, f"a hash with cost {match['cost']}", f"a cost between 4 and {MAX_COST}")
            else:
                users[name] = text
        return users


def _tls(section: _Section) -> TlsSettings | None:
    if not section.names:
        return None
    found = section.values
    for name in ("cert", "key", "client_ca"):
        if name in section.given and f"{name}_file" in section.given:
            section.refuse(name, f"both {name} and {name}_file", "one of them")
        elif name != "client_ca" and section.is_whole and not {name, f"{name}_file"} & found.keys():
            section.refuse(f"{name}_file", "nothing", f"a file, or {name} with PEM text")
    _check_client_auth(section)
    minimum, maximum = _versions(section)
    if not section.is_whole:
        return None
    return TlsSettings(
        where=section.where,
        client_auth=found.get("client_auth_type", names.CLIENT_AUTH[0]),
        client_sans=found.get("client_allowed_sans", ()),
        min_version=minimum,
        max_version=maximum,
        cipher_suites=tuple(suite for suite in found.get("cipher_suites", ()) if suite),
        curves=found.get("curve_preferences", ()),
        prefer_server_ciphers=found.get("prefer_server_cipher_suites", True),
        **{name: found.get(name) for name in ("cert_file", "cert", "key_file", "key", "client_ca_file", "client_ca")},
    )


def _check_client_auth(section: _Section) -> None:
    """A policy and what it is about have to be given together."""
    auth, sans = "client_auth_type", "client_allowed_sans"
    if {auth, sans} & (section.given.keys() - section.values.keys()):
        return
    policy = section.values.get(auth, names.CLIENT_AUTH[0])
    authorities = [name for name in ("client_ca_file", "client_ca") if name in section.given]
    if policy == "NoClientCert" and authorities:
        expected = "a client_auth_type that makes use of it (RequireAndVerifyClientCert)"
        section.refuse(authorities[0], "a CA without a policy", expected)
    if policy != "NoClientCert" and not authorities:
        expected = "client_ca_file, or client_ca with PEM text, to verify certificates against"
        section.refuse("client_ca_file", "nothing", expected, at=auth)
    if sans in section.names and policy != "RequireAndVerifyClientCert":
        section.refuse(sans, f"it with {policy}", "it with client_auth_type RequireAndVerifyClientCert only")
    elif sans in section.names and not section.values.get(sans):
        # An empty list would admit nobody in one reading and everybody in another.
        section.refuse(sans, "nothing", "a list of names")


def _versions(section: _Section) -> tuple[str, str]:
    """The least and the greatest version of TLS."""
    suites = section.values.get("cipher_suites")
    minimum, maximum = section.values.get("min_version", "TLS12"), section.values.get("max_version", "TLS13")
    if minimum > maximum:
        section.refuse("max_version", maximum, f"at least min_version, which is {minimum}")
    elif suites and not any(suites):
        # Only suites of TLS 1.3 are named: older versions are left with none.
        minimum = "TLS13"
        if minimum > maximum and section.is_whole:
            expected = "a suite of TLS 1.2, because max_version is TLS12"
            section.refuse("cipher_suites", "only suites of TLS 1.3", expected)
    return minimum, maximum


def _rate_limit(section: _Section) -> RateLimit | None:
    seconds, burst = section.values.get("interval", 0.0), section.values.get("burst")
    if "burst" in section.given and "interval" not in section.given:
        section.refuse("interval", "nothing", _INTERVAL.syntax)
    if burst == 0 and seconds:
        section.refuse("burst", "'0'", _BURST.syntax)
    elif "burst" not in section.given and seconds and section.is_whole:
        section.refuse("burst", "nothing", _BURST.syntax)
    return RateLimit(seconds, burst) if section.is_whole and seconds and burst else None
