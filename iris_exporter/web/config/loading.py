"""From the file's text to a `WebConfig`, or to every problem at once.

Strict, because a mistake here opens a door: unknown keys, keys given twice and values of a wrong type are errors, and
no section is ever left out quietly. Messages show neither keys nor hashes.
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from iris_exporter.config import yaml_tree
from iris_exporter.config.reader import did_you_mean
from iris_exporter.config.values import quoted
from iris_exporter.config.yaml_tree import Node, Scalar, Sequence, Table
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.web import tls
from iris_exporter.web.config import names
from iris_exporter.web.config.model import RateLimit, TlsSettings, WebConfig

MAX_COST = 18
"""Of a bcrypt hash: some fifteen seconds for a password. One more doubles that, and 31 takes a day."""
MAX_BURST = 1_000_000

_SECTIONS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
_TLS = (
    *("cert", "key", "client_ca", "cert_file", "key_file", "client_auth_type", "client_ca_file"),
    *("client_allowed_sans", "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites"),
    "curve_preferences",
)
_SECRET = frozenset({"key"})
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_INTERVAL = "a duration with a unit (1s, 250ms), or 0 for no limit"
_EXAMPLE = "sections with keys (tls_server_config: ..., basic_auth_users: ...)"


def load(path: Path) -> WebConfig:
    """Return what the file at `path` says; certificates and keys have been tried, too.

    Raises:
        ConfigError: With every problem found.
    """
    return load_for_use(path)[0]


def load_for_use(path: Path) -> tuple[WebConfig, ssl.SSLContext | None]:
    """Return the same with the context for new connections, None where the file asks for no TLS.

    Raises:
        ConfigError: With every problem found.
    """
    reader = _Reader(path)
    config = reader.read()
    context = None
    if config.tls is not None:
        try:
            context = tls.build_context(config.tls)
        except ConfigError as error:
            reader.problems += error.problems
    if reader.problems:
        raise ConfigError(list(dict.fromkeys(reader.problems)))
    return config, context


class _Reader:
    """One run of `load`; `problems` grows in the order found. A section with a problem is not built."""

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self._path = path

    def read(self) -> WebConfig:
        """Return what could be read."""
        root, problems = yaml_tree.read(self._path, "web.config.file", _EXAMPLE)
        self.problems += problems
        sections = self._keys(root, "", _SECTIONS)
        http2, headers = self._http(sections.get("http_server_config"))
        return WebConfig(
            tls=self._tls(sections.get("tls_server_config")),
            headers=MappingProxyType(headers),
            http2=http2,
            users=MappingProxyType(self._users(sections.get("basic_auth_users"))),
            rate_limit=self._rate_limit(sections.get("rate_limit")),
        )

    def _report(self, line: int, key: str, value: str, expected: str) -> None:
        self.problems.append(Problem(f"{self._path}:{line}", key, value, expected))

    # Shapes

    def _table(self, node: Node | None, key: str) -> Table | None:
        """The table of a section; None for no section, and after reporting what is none."""
        if node is None or (isinstance(node, Scalar) and node.text is None):
            return None
        if isinstance(node, Table):
            return node
        self._report(node.line, key, yaml_tree.describe(node), "keys with values")
        return None

    def _keys(self, table: Table, prefix: str, known: Iterable[str]) -> Mapping[str, Node]:
        for name in table.entries.keys() - set(known):
            shown = name if name.isprintable() and len(name) <= 100 else repr(name[:100])
            expected = f"a key of the format{did_you_mean(name, known)}"
            self._report(table.lines[name], prefix + shown, "an unknown key", expected)
        return {name: node for name, node in table.entries.items() if name in known}

    def _text(self, keys: Mapping[str, Node], key: str, name: str, expected: str) -> tuple[str, int] | None:
        """The text of a key and its line; None when it is not given, is blank, or is no text."""
        node = keys.get(name)
        if node is None or (isinstance(node, Scalar) and not node.text):
            return None
        if isinstance(node, Scalar) and node.text:
            return node.text, node.line
        self._report(node.line, f"{key}.{name}", yaml_tree.describe(node), expected)
        return None

    def _choice(
        self, keys: Mapping[str, Node], key: str, name: str, mapping: Mapping[str, str], why: str
    ) -> str | None:
        expected = f"one of {', '.join(mapping)}{why}"
        found = self._text(keys, key, name, expected)
        if found is None:
            return None
        text, line = found
        if text not in mapping:
            self._report(line, f"{key}.{name}", quoted(text), expected)
            return None
        return mapping[text]

    def _switch(self, keys: Mapping[str, Node], key: str, name: str) -> bool | None:
        spellings = {text: text.lower() for text in ("true", "false", "True", "False", "TRUE", "FALSE")}
        word = self._choice(keys, key, name, spellings, "")
        return None if word is None else word == "true"

    def _list(self, keys: Mapping[str, Node], key: str, name: str, expected: str) -> list[tuple[str, int]]:
        node = keys.get(name)
        if node is None or (isinstance(node, Scalar) and node.text is None):
            return []
        if not isinstance(node, Sequence):
            self._report(node.line, f"{key}.{name}", yaml_tree.describe(node), f"a list of {expected}")
            return []
        result = []
        for index, item in enumerate(node.items):
            if isinstance(item, Scalar) and item.text:
                result.append((item.text, item.line))
            else:
                self._report(item.line, f"{key}.{name}[{index}]", yaml_tree.describe(item), f"one of {expected}")
        return result

    def _named(
        self, keys: Mapping[str, Node], key: str, name: str, mapping: Mapping[str, str], also: tuple[str, ...] = ()
    ) -> list[str]:
        """A list of Go's names, as OpenSSL's; those in `also` are right and mean nothing."""
        result = []
        for text, line in self._list(keys, key, name, f"{', '.join(mapping)}"):
            if text in mapping:
                result.append(mapping[text])
            elif text not in also:
                self._report(line, f"{key}.{name}", quoted(text), f"one of {', '.join([*mapping, *also])}")
        return result

    # Sections

    def _tls(self, node: Node | None) -> TlsSettings | None:
        key = "tls_server_config"
        table = self._table(node, key)
        if table is None or not table.entries:
            return None
        before = len(self.problems)
        keys = self._keys(table, f"{key}.", _TLS)
        files = {name: self._file(keys, key, name) for name in ("cert_file", "key_file", "client_ca_file")}
        texts = {name: self._pem(keys, key, name) for name in ("cert", "key", "client_ca")}
        for name, text in texts.items():
            file = files[f"{name}_file"]
            if text is not None and file is not None:
                self._report(table.lines[name], f"{key}.{name}", f"both {name} and {name}_file", "one of them")
            elif text is None and file is None and name != "client_ca" and len(self.problems) == before:
                self._report(table.line, f"{key}.{name}_file", "nothing", f"a file, or {name} with PEM text")
        client_auth, sans = self._client_auth(keys, table, has_ca=bool(files["client_ca_file"] or texts["client_ca"]))
        minimum, maximum = self._version(keys, "min_version", "TLS12"), self._version(keys, "max_version", "TLS13")
        if minimum > maximum:
            expected = f"at least min_version, which is {minimum}"
            self._report(table.lines.get("max_version", table.line), f"{key}.max_version", maximum, expected)
        suites = self._named(keys, key, "cipher_suites", names.CIPHER_SUITES, names.TLS13_SUITES)
        if "cipher_suites" in keys and not suites and minimum == "TLS12":
            # Only suites of TLS 1.3 are named: older versions are left with none.
            minimum = "TLS13" if self._list(keys, key, "cipher_suites", "names") else minimum
        curves = self._named(keys, key, "curve_preferences", names.CURVES)
        prefer = self._switch(keys, key, "prefer_server_cipher_suites")
        if minimum > maximum and len(self.problems) == before:
            expected = "a suite of TLS 1.2, because max_version is TLS12"
            self._report(table.lines["cipher_suites"], f"{key}.cipher_suites", "only suites of TLS 1.3", expected)
        if len(self.problems) > before:
            return None
        return TlsSettings(
            where=f"{self._path}:{table.line}",
            client_auth=client_auth,
            client_sans=tuple(sans),
            min_version=minimum,
            max_version=maximum,
            cipher_suites=tuple(suites),
            curves=tuple(curves),
            prefer_server_ciphers=prefer is not False,
            cert_file=files["cert_file"],
            cert=texts["cert"],
            key_file=files["key_file"],
            key=texts["key"],
            client_ca_file=files["client_ca_file"],
            client_ca=texts["client_ca"],
        )

    def _file(self, keys: Mapping[str, Node], key: str, name: str) -> Path | None:
        found = self._text(keys, key, name, "the name of a file")
        return None if found is None else self._path.parent / found[0]

    def _pem(self, keys: Mapping[str, Node], key: str, name: str) -> str | None:
        found = self._text(keys, key, name, "PEM text")
        if found is None:
            return None
        text, line = found
        if "-----BEGIN " not in text:
            shown = "text (not shown)" if name in _SECRET else quoted(text)
            self._report(line, f"{key}.{name}", shown, f"PEM text (for the name of a file there is {name}_file)")
        return text

    def _client_auth(self, keys: Mapping[str, Node], table: Table, *, has_ca: bool) -> tuple[str, list[str]]:
        key = "tls_server_config"
        known = {name: name for name in names.CLIENT_AUTH}
        why = "".join(
            f" ({name} would believe any certificate, and is not offered)"
            for name in names.UNVERIFIED_CLIENT_AUTH
            if (node := keys.get("client_auth_type")) is not None and isinstance(node, Scalar) and node.text == name
        )
        before = len(self.problems)
        auth = self._choice(keys, key, "client_auth_type", known, why) or "NoClientCert"
        sans = [text for text, _ in self._list(keys, key, "client_allowed_sans", "names, addresses or URIs")]
        if len(self.problems) > before:
            return auth, sans
        if auth == "NoClientCert" and has_ca:
            name = "client_ca_file" if "client_ca_file" in keys else "client_ca"
            expected = "a client_auth_type that makes use of it (RequireAndVerifyClientCert)"
            self._report(table.lines[name], f"{key}.{name}", "a CA without a policy", expected)
        if auth != "NoClientCert" and not has_ca:
            expected = "client_ca_file, or client_ca with PEM text, to verify certificates against"
            self._report(table.lines["client_auth_type"], f"{key}.client_ca_file", "nothing", expected)
        if "client_allowed_sans" in keys and auth != "RequireAndVerifyClientCert":
            expected = "it with client_auth_type RequireAndVerifyClientCert only"
            self._report(table.lines["client_allowed_sans"], f"{key}.client_allowed_sans", f"it with {auth}", expected)
        elif "client_allowed_sans" in keys and not sans:
            # An empty list would admit nobody in one reading and everybody in another.
            self._report(table.lines["client_allowed_sans"], f"{key}.client_allowed_sans", "nothing", "a list of names")
        return auth, sans

    def _version(self, keys: Mapping[str, Node], name: str, default: str) -> str:
        known = {version: version for version in names.VERSIONS}
        why = f" ({' and '.join(names.OLD_VERSIONS)} are withdrawn by RFC 8996, and not offered)"
        return self._choice(keys, "tls_server_config", name, known, why) or default

    def _http(self, node: Node | None) -> tuple[bool | None, dict[str, str]]:
        key = "http_server_config"
        table = self._table(node, key)
        if table is None:
            return None, {}
        keys = self._keys(table, f"{key}.", ("http2", "headers"))
        headers: dict[str, str] = {}
        inner = self._table(keys.get("headers"), f"{key}.headers")
        given = {} if inner is None else self._keys(inner, f"{key}.headers.", names.HEADERS)
        for name in given:
            allowed = names.HEADERS[name]
            expected = f"one of {', '.join(allowed)}" if allowed else "one line of printable ASCII"
            found = self._text(given, f"{key}.headers", name, expected)
            if found is None:
                continue
            text, line = found
            if (allowed and text not in allowed) or not _HEADER_VALUE.fullmatch(text):
                self._report(line, f"{key}.headers.{name}", quoted(text), expected)
            else:
                headers[name] = text
        return self._switch(keys, key, "http2"), headers

    def _users(self, node: Node | None) -> dict[str, str]:
        key = "basic_auth_users"
        table = self._table(node, key)
        users: dict[str, str] = {}
        for name, value in table.entries.items() if table is not None else ():
            line = table.lines[name] if table is not None else 0
            text = value.text if isinstance(value, Scalar) else None
            match = _BCRYPT.fullmatch(text or "")
            shown = name if name.isprintable() and len(name) <= 100 else repr(name[:100])
            if ":" in name:
                self._report(line, f"{key}.{shown}", "a name with a colon", "a name that a browser can send")
            elif match is None:
                expected = "a bcrypt hash ($2y$10$...), as htpasswd -nBC 10 prints it"
                self._report(line, f"{key}.{shown}", "something else (not shown)", expected)
            elif not 4 <= int(match["cost"]) <= MAX_COST:
                expected = f"a cost between 4 and {MAX_COST}"
                self._report(line, f"{key}.{shown}", f"a hash with cost {match['cost']}", expected)
            else:
                users[name] = text or ""
        return users

    def _rate_limit(self, node: Node | None) -> RateLimit | None:
        key = "rate_limit"
        table = self._table(node, key)
        if table is None:
            return None
        before = len(self.problems)
        keys = self._keys(table, f"{key}.", ("interval", "burst"))
        seconds = self._interval(keys)
        burst = self._text(keys, key, "burst", "a whole number")
        count = int(burst[0]) if burst is not None and re.fullmatch("[0-9]{1,8}", burst[0]) else None
        if "interval" not in keys and burst is not None:
            self._report(table.line, f"{key}.interval", "nothing", _INTERVAL)
        expected = f"a whole number between 1 and {MAX_BURST}"
        if burst is not None and (count is None or not 0 <= count <= MAX_BURST or (count == 0 and seconds)):
            self._report(burst[1], f"{key}.burst", quoted(burst[0]), expected)
        elif burst is None and seconds and len(self.problems) == before:
            self._report(table.line, f"{key}.burst", "nothing", expected)
        if len(self.problems) > before or not seconds or not count:
            return None
        return RateLimit(seconds, count)

    def _interval(self, keys: Mapping[str, Node]) -> float:
        found = self._text(keys, "rate_limit", "interval", _INTERVAL)
        if found is None:
            return 0.0
        try:
            return names.parse_go_duration(found[0])
        except ValueError:
            self._report(found[1], "rate_limit.interval", quoted(found[0]), _INTERVAL)
            return 0.0
