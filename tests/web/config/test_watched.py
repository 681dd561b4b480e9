"""The file while the server runs: taken over when it is whole, and not when it is broken."""

import os
from pathlib import Path

import pytest

from iris_exporter.errors import ConfigError
from iris_exporter.web.config.watched import CHECK_SECONDS, RETRY_SECONDS, LiveConfig
from tests.fakes import FakeClock
from tests.web.config.certificates import Authority

HEADER = "http_server_config: {headers: {X-XSS-Protection: %s}}\n"


class Case:
    """A file, a clock, and what was reported."""

    def __init__(self, directory: Path, text: str) -> None:
        self.directory = directory
        self.path = directory / "web.yml"
        self.path.write_text(text)
        self.clock = FakeClock()
        self.reports: list[str | None] = []
        self.live = LiveConfig(self.path, self.clock, self.reports.append)

    def write(self, text: str) -> None:
        """Replace the file as a careful program does."""
        new = self.directory / "new"
        new.write_text(text)
        new.replace(self.path)

    def later(self, seconds: float = CHECK_SECONDS) -> bool:
        self.clock.now += seconds
        return self.live.refresh()

    @property
    def header(self) -> str | None:
        return self.live.loaded.config.headers.get("X-XSS-Protection")


def test_a_change_is_in_force_at_the_next_check_and_checks_are_a_second_apart(tmp_path: Path) -> None:
    case = Case(tmp_path, HEADER % "1")
    case.write(HEADER % "2")
    assert not case.later(CHECK_SECONDS - 0.001)
    assert case.header == "1"
    assert case.later(0.001)
    assert case.header == "2"
    assert not case.later()
    assert case.reports == [None, None]


def test_an_edit_in_place_is_seen_by_its_time(tmp_path: Path) -> None:
    case = Case(tmp_path, HEADER % "1")
    status = case.path.stat()
    case.path.write_text(HEADER % "2")
    os.utime(case.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert case.later()
    assert case.header == "2"


def test_a_broken_file_changes_nothing_and_is_logged_once_for_each_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = Case(tmp_path, HEADER % "1")
    case.write("basic_auth_user: {alice: s3cr3t}\n")
    for _ in range(30):
        assert not case.later()
    assert case.header == "1"
    assert [record.getMessage() for record in caplog.records] == ["web.config_rejected"]
    case.path.unlink()
    case.later()
    case.later()
    assert [record.getMessage() for record in caplog.records] == ["web.config_rejected"] * 2
    assert case.header == "1"
    assert set(case.reports[1:]) == {"invalid"}
    case.write(HEADER % "3")
    assert case.later()
    assert (case.header, case.reports[-1]) == ("3", None)
    assert "s3cr3t" not in str([record.__dict__ for record in caplog.records])


def test_a_start_with_a_broken_file_fails(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        Case(tmp_path, "basic_auth: {}\n")


def test_without_a_file_nothing_is_checked() -> None:
    clock = FakeClock()
    live = LiveConfig(None, clock, lambda _: pytest.fail("nothing to report"))
    clock.now += 60
    assert not live.refresh()
    assert live.loaded.context is None


def test_a_certificate_that_changes_gives_a_new_context(tmp_path: Path) -> None:
    authority = Authority()
    authority.issue(tmp_path / "a.crt", tmp_path / "a.key")
    case = Case(tmp_path, "tls_server_config: {cert_file: a.crt, key_file: a.key}\n")
    first = case.live.loaded.context
    assert first is not None
    assert not case.later()
    authority.issue(tmp_path / "b.crt", tmp_path / "b.key")
    (tmp_path / "b.crt").replace(tmp_path / "a.crt")
    # Between the two steps of a rotation they do not match: the old pair stays.
    assert not case.later()
    assert case.live.loaded.context is first
    (tmp_path / "b.key").replace(tmp_path / "a.key")
    assert case.later()
    assert case.live.loaded.context is not first
    assert case.reports == [None, "invalid", None]


@pytest.mark.parametrize(("text", "reason"), [(HEADER % "2", None), ("nonsense: true\n", "invalid")])
def test_a_disk_that_answers_again_is_reported_although_the_file_is_the_same(
    tmp_path: Path, text: str, reason: str | None
) -> None:
    case = Case(tmp_path, HEADER % "1")
    case.write(text)
    case.later()
    case.live.not_answered()
    assert case.reports[-1] == "hangs"
    assert not case.later()
    assert case.reports[-1] == reason


def test_a_new_file_may_name_a_certificate_that_comes_later(tmp_path: Path) -> None:
    case = Case(tmp_path, HEADER % "1")
    case.write("tls_server_config: {cert_file: a.crt, key_file: a.key}\n")
    assert not case.later()
    Authority().issue(tmp_path / "a.crt", tmp_path / "a.key")
    assert case.later(RETRY_SECONDS)
    assert case.live.loaded.context is not None


def test_a_kubernetes_volume_is_followed_through_its_links(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "web.yml").write_text(HEADER % name)
    (tmp_path / "data").symlink_to("one")
    clock = FakeClock()
    live = LiveConfig(tmp_path / "data" / "web.yml", clock, lambda _: None)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    clock.now += CHECK_SECONDS
    assert live.refresh()
    assert live.loaded.config.headers["X-XSS-Protection"] == "two"
