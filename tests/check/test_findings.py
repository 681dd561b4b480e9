"""The table of findings, and the document that is made of it."""

from iris_exporter.check.diagnosis import exit_code, main_finding
from iris_exporter.check.finding import Heading, Severity
from iris_exporter.check.findings import FINDINGS, Found
from iris_exporter.core.reasons import REASONS
from scripts import generate_troubleshooting


def test_every_reason_of_a_failure_is_a_finding() -> None:
    assert REASONS.keys() - FINDINGS.keys() == {"requested"}


def test_each_heading_of_the_old_page_leads_to_findings() -> None:
    assert {finding.heading for finding in FINDINGS.values()} == set(Heading)


def test_causes_and_advice_are_sentences() -> None:
    for name, finding in FINDINGS.items():
        for text in (finding.cause, finding.advice):
            assert text[0].isupper(), name
            assert text[-1] == ".", name


def test_the_document_has_every_finding_once() -> None:
    page = generate_troubleshooting.render()
    assert all(page.count(f"\n| `{name}` |") == 1 for name in FINDINGS)


def test_notes_are_no_trouble() -> None:
    notes = [Found(name) for name, finding in FINDINGS.items() if finding.severity is Severity.NOTE]
    assert notes
    assert main_finding(notes) is None
    assert exit_code(notes) == 0
