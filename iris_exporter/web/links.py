"""Where the page leads to outside of this exporter: the dashboards in a Grafana, and the runbooks. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from iris_exporter.core import runbooks

Link = tuple[str, str]
"""An address and its words, neither of them escaped."""

_OF_ALL = (("iris-overview", "Overview"), ("iris-exporter", "Exporter"))
_OF_ONE = (("iris-overview", "Overview"), ("iris-connection", "Connection"), ("iris-project", "Projects"))
"""Dashboards by uid, those that have no or one stream to choose."""


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses that others begin with, http or https, without query; None for no links."""

    grafana_url: str | None = None
    runbook_base_url: str | None = None

    def dashboards(self, stream: str | None = None) -> Iterator[Link]:
        """Links to dashboards: of everything, or of one stream."""
        if self.grafana_url is None:
            return
        chosen = "" if stream is None else f"?var-stream={quote(stream, safe='')}"
        for uid, title in _OF_ALL if stream is None else _OF_ONE:
            yield f"{self.grafana_url.rstrip('/')}/d/{uid}{chosen}", title

    def runbook(self, alert: str | None) -> Iterator[Link]:
        """The link to the runbook of an alert; none for None."""
        if self.runbook_base_url is not None and alert is not None:
            yield f"{self.runbook_base_url}#{runbooks.anchor(alert)}", alert
