"""Which runbook helps: the alerts' own names, chosen as the dashboards choose them, with a section each."""

import pytest

from alerts.main import GROUPS
from dashboards.streams import RANKS
from iris_exporter.core import runbooks
from iris_exporter.core.own_failures import PARTS
from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import State
from tests.tools import ROOT

ALERTS = {alert.name: alert for group in GROUPS for alert in group.alerts}


def every_choice() -> set[str]:
    found = {
        runbooks.for_stream(state, reason, is_silent=is_silent)
        for state in State
        for reason in (None, *REASONS)
        for is_silent in (False, True)
    }
    return {*runbooks.BY_PART.values(), *(each for each in found if each is not None)}


def test_each_is_an_alert_with_a_section_of_its_own() -> None:
    headings = {line[4:] for line in (ROOT / "docs/runbooks.md").read_text().splitlines() if line.startswith("### ")}
    assert every_choice() <= ALERTS.keys() & headings
    for name in every_choice():
        assert runbooks.anchor(name) == ALERTS[name].anchor


def test_every_part_that_has_an_alert_of_its_own_is_here() -> None:
    assert runbooks.BY_PART.keys() == PARTS.keys() - {"streams", "live"}


def test_streams_have_the_runbooks_that_the_dashboards_give_them() -> None:
    """All but those of streams whose exporter does not answer, which cannot show a page either."""
    ranks = {rank.alert.name for rank in RANKS if rank.alert is not None} - {"IrisExporterDown"}
    assert every_choice() - set(runbooks.BY_PART.values()) == ranks | {"IrisUpstreamRateLimiting"}


@pytest.mark.parametrize(
    ("state", "reason", "is_silent", "alert"),
    [
        (State.LIVE, None, False, None),
        (State.LIVE, None, True, "IrisStreamDataStale"),
        (State.CONNECTING, None, False, None),
        (State.CONNECTING, "dns", False, "IrisStreamDown"),
        (State.CONNECTING, "rate_limited", False, "IrisUpstreamRateLimiting"),
        (State.POLLING, None, False, None),
        (State.POLLING, None, True, "IrisStreamDataStale"),
        (State.POLLING, "upgrade_refused", False, "IrisStreamPolling"),
        (State.ERROR, "unauthorized", False, "IrisStreamUnauthorized"),
        (State.ERROR, "credentials", False, "IrisStreamUnauthorized"),
        (State.ERROR, "not_found", False, "IrisStreamError"),
        (State.DISCONNECTED, "requested", False, "IrisStreamDisconnected"),
    ],
)
def test_the_runbook_of_a_stream(state: State, reason: str | None, is_silent: bool, alert: str | None) -> None:
    assert runbooks.for_stream(state, reason, is_silent=is_silent) == alert
