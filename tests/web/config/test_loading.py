"""The web configuration file: what is accepted, what is refused and in which words."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iris_exporter import config as options
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.errors import ConfigError
from iris_exporter.web import config
from iris_exporter.web.config.names import parse_go_duration
from tests.web.config.certificates import Authority

DATA = Path(__file__).parents[2] / "data" / "web-config"
SEEN = ("s3cr3t", "QOauhQNb")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures with the certificates and keys that they name."""
    directory = tmp_path_factory.mktemp("web") / "files"
    shutil.copytree(DATA, directory)
    authority = Authority()
    authority.issue(directory / "server.crt", directory / "server.key")
    authority.issue(directory / "other.crt", directory / "other.key")
    authority.issue(directory / "encrypted.crt", directory / "encrypted.key", password=b"s3cr3t")
    (directory / "ca.crt").write_text(f"# Zertifizierungsstelle für Tests\n{authority.pem}")
    (directory / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n")
    (directory / "etc").mkdir()
    return directory


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.bad.yml")))
def test_a_bad_file_gives_exactly_these_errors(name: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(ConfigError) as error:
        config.load(Path(name))
    printed = f"{error.value}\n"
    if os.environ.get("UPDATE_EXPECTED"):
        (DATA / name).with_suffix(".txt").write_text(printed)
    assert printed == (DATA / name).with_suffix(".txt").read_text()
    assert not any(secret in printed for secret in SEEN)


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.good.yml")))
def test_a_good_file_means_this_and_shows_no_hash(name: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    loaded = config.load(Path(name))
    printed = repr(loaded).replace(", ", ",\n") + "\n"
    if os.environ.get("UPDATE_EXPECTED"):
        (DATA / name).with_suffix(".txt").write_text(printed)
    assert printed == (DATA / name).with_suffix(".txt").read_text()
    assert not any(secret in printed for secret in SEEN)


def test_users_have_their_hashes(files: Path) -> None:
    users = config.load(files / "users.good.yml").users
    assert users["alice"] == "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
    assert list(users) == ["alice", "bob smith"]


def test_several_curves_are_refused_where_python_can_set_only_one(files: Path) -> None:
    text = (
        (files / "tls.good.yml")
        .read_text()
        .replace("server.key\n", "server.key\n  curve_preferences: [X25519, CurveP256]\n")
    )
    (files / "curves.yml").write_text(text)
    if sys.version_info >= (3, 15):
        assert config.load(files / "curves.yml").tls is not None
        return
    with pytest.raises(ConfigError, match=r"curve_preferences: got 2 curves, expected one, or none \(Python 3"):
        config.load(files / "curves.yml")


def test_certificate_key_and_authority_may_stand_in_the_file_itself(files: Path) -> None:
    def block(name: str) -> str:
        return "".join(f"    {line}\n" for line in (files / name).read_text().splitlines() if not line.startswith("#"))

    text = (
        f"tls_server_config:\n  cert: |\n{block('server.crt')}  key: |\n{block('server.key')}"
        f"  client_ca: |\n{block('ca.crt')}  client_auth_type: RequireAndVerifyClientCert\n"
    )
    (files / "inline.yml").write_text(text)
    loaded = config.load(files / "inline.yml")
    assert loaded.tls is not None
    assert loaded.authenticates
    assert "PRIVATE" not in repr(loaded)


@pytest.mark.parametrize(
    ("name", "authenticates"),
    [("empty", False), ("users", True), ("tls", False), ("mutual", True), ("everything", False)],
)
def test_only_passwords_and_required_certificates_authenticate(name: str, authenticates: bool, files: Path) -> None:
    assert config.load(files / f"{name}.good.yml").authenticates is authenticates


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rate_limit: {interval: , burst: 5}", "rate_limit.interval: got nothing, expected a duration"),
        ("rate_limit: {interval: 1s, burst: 0}", "rate_limit.burst: got '0', expected a whole number between 1"),
        ("tls_server_config: {client_allowed_sans: me}", "got a single value, expected a list, each value a name,"),
        ("tls_server_config: {client_allowed_sans: [{}]}", "got keys with values, expected a list, each value a name,"),
        ("tls_server_config: {client_allowed_sans: }", "client_allowed_sans: got it with NoClientCert, expected it"),
        ("tls_server_config: {cert_file: , key_file: ''}", "tls_server_config.cert_file: got nothing, expected a file"),
        ("http_server_config: {headers.X-Frame-Options: deny}", "got an unknown key, expected a key of http_server"),
    ],
)
def test_what_would_leave_the_server_open_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(problem)):
        config.load(file)


def test_a_list_may_repeat_itself_and_a_blank_value_is_not_given(tmp_path: Path) -> None:
    """As in Go: a file that other exporters take is taken."""
    authority = Authority()
    authority.issue(tmp_path / "server.crt", tmp_path / "server.key")
    file = tmp_path / "web.yml"
    file.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, min_version: '', "
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]}"
    )
    tls = config.load(file).tls
    assert tls is not None
    assert (tls.min_version, set(tls.cipher_suites)) == ("TLS12", {"ECDHE-RSA-AES128-GCM-SHA256"})


def test_a_file_that_is_not_there_is_a_problem_of_its_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        config.load(tmp_path / "gone.yml")
    (problem,) = error.value.problems
    assert (problem.key, problem.expected) == ("web.config.file", "a readable file (No such file or directory)")


def test_the_check_of_the_configuration_reads_the_file(files: Path) -> None:
    flags: dict[str, object] = {"stream.url": "http://iris.test/", "web.config.file": str(files / "other-key.bad.yml")}
    with pytest.raises(ConfigError, match="expected the key that belongs to the certificate"):
        options.load(flags, {}, FILE_CHECKS)


def test_without_the_option_nothing_of_the_server_is_imported() -> None:
    code = (
        "import sys; from iris_exporter import config; config.load({'stream.url': 'http://x/'}, {});"
        "print([name for name in ('aiohttp', 'bcrypt', 'iris_exporter.web') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("250ms", 0.25), ("1.5h", 5400), ("1m30s", 90), ("0", 0), ("100us", 1e-4), ("1µs", 1e-6), (".5s", 0.5)],
)
def test_durations_are_written_as_in_go(text: str, seconds: float) -> None:
    assert parse_go_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1 s", "-1s", "1d", "1s ", "1e3s", "\u0661s", "9" * 40 + "s"])
def test_what_is_no_duration_in_go_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_go_duration(text)
