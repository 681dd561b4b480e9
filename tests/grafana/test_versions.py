"""Which versions of Grafana a push accepts, and that the documentation names the same."""

import pytest

from iris_exporter.errors import UsageError
from iris_exporter.grafana import versions
from tests.tools import ROOT


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("9.0.0", "9.0.0 (needed: 9.0 to 13)"),
        ("13.9.1-pre+security-01", "13.9.1-pre+security-01 (needed: 9.0 to 13)"),
        ("v11.2.0", "v11.2.0 (needed: 9.0 to 13)"),
        ("14.0.0", "14.0.0, newer than what the dashboards were written for (9.0 to 13)"),
        (None, "does not tell its version, which could not be checked (needed: 9.0 to 13)"),
        ("", "does not tell its version, which could not be checked (needed: 9.0 to 13)"),
        ("main", "calls its version 'main', which could not be checked (needed: 9.0 to 13)"),
    ],
)
def test_a_version_that_may_do_is_told(version: str | None, sentence: str) -> None:
    assert versions.checked(version) == sentence


@pytest.mark.parametrize("version", ["8.5.27", "7.5.5", "0.1"])
def test_an_old_version_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match=rf"Grafana {version} is too old .* need 9\.0 or newer"):
        versions.checked(version)


def test_the_documentation_names_the_same_versions() -> None:
    assert f"Grafana {versions.NEEDED}" in (ROOT / "docs/dashboards.md").read_text()
