"""The same rules in the form of each program that reads them; every function returns what its file holds."""

import re
from collections.abc import Iterable
from typing import Any

from alerts import thresholds
from alerts.inhibition import INHIBITIONS, Inhibition
from alerts.model import Alert, Group, Record
from iris_exporter.grafana.panel_ids import panel_id

Document = dict[str, Any]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EVALUATION = "1m"
"""How often Grafana evaluates; Prometheus has its own setting."""
_PANEL_SAYS = " The linked panel and dashboard name the reason."
_EXPRESSIONS = "__expr__"
"""The data source that Grafana computes with itself."""


def seconds(duration: str) -> int:
    """Seconds of a duration with one unit, as all of ours are."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def prometheus(groups: Iterable[Group]) -> Document:
    """A rule file of Prometheus."""
    return {"groups": [{"name": group.name, "rules": [_rule(rule) for rule in group.rules]} for group in groups]}


def recording(groups: Iterable[Group]) -> Document:
    """A rule file with the recording rules alone, for whoever lets Grafana do the alerting."""
    return {
        "groups": [
            {"name": group.name, "rules": [_rule(rule) for rule in group.records]} for group in groups if group.records
        ]
    }


def prometheus_rule(groups: Iterable[Group]) -> Document:
    """A PrometheusRule of the Prometheus Operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "iris-exporter", "labels": {"app.kubernetes.io/name": "iris-exporter"}},
        "spec": prometheus(groups),
    }


def grafana(groups: Iterable[Group]) -> Document:
    """A file for Grafana's folder provisioning/alerting: the alerts as rules that Grafana evaluates itself."""
    return {
        "apiVersion": 1,
        "groups": [
            {
                "orgId": 1,
                "name": group.name,
                "folder": "IRIS",
                "interval": _EVALUATION,
                "rules": [_grafana_rule(alert) for alert in group.alerts],
            }
            for group in groups
        ],
    }


def alertmanager() -> Document:
    """A configuration of Alertmanager: who is told, and who is not told again."""
    return {
        "route": {
            "receiver": "tickets",
            # One notification for all streams that the same trouble hits; those that follow join it.
            "group_by": ["alertname", "namespace"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {"receiver": "page-iris", "matchers": ['severity="critical"', 'concern="source"']},
                {"receiver": "page-platform", "matchers": ['severity="critical"']},
                {"receiver": "notes", "matchers": ['severity="info"']},
            ],
        },
        "receivers": [{"name": name} for name in ("page-iris", "page-platform", "tickets", "notes")],
        "inhibit_rules": [_inhibit_rule(inhibition) for inhibition in INHIBITIONS],
    }


def _rule(rule: Record | Alert) -> Document:
    if isinstance(rule, Record):
        return {"record": rule.name, "expr": rule.expr}
    hold = {"for": rule.hold} if rule.hold else {}
    return {"alert": rule.name, "expr": rule.expr, **hold, "labels": rule.all_labels, "annotations": rule.annotations}


def _grafana_rule(alert: Alert) -> Document:
    """A query, and a condition that holds for each series that the query returns, whatever its value is.

    That is the meaning of a Prometheus alert, and it is how Grafana converts one: a series with the value 0 counts.
    """
    window = alert.labels.get("window", "")
    return {
        # At most 40 characters.
        "uid": "-".join(part for part in (alert.anchor, window) if part),
        "title": f"{alert.name} ({window})" if window else alert.name,
        "condition": "fires",
        "data": [
            {
                "refId": "query",
                "datasourceUid": thresholds.GRAFANA_DATASOURCE,
                "relativeTimeRange": {"from": 600, "to": 0},
                "model": {
                    "refId": "query",
                    "datasource": {"type": "prometheus", "uid": thresholds.GRAFANA_DATASOURCE},
                    "expr": alert.expr,
                    "instant": True,
                    "range": False,
                },
            },
            _expression("present", type="math", expression="is_number($query) || is_nan($query) || is_inf($query)"),
            _expression(
                "fires",
                type="threshold",
                expression="present",
                conditions=[{"evaluator": {"type": "gt", "params": [0]}}],
            ),
        ],
        "for": alert.hold or "0s",
        # No series is the good case: all of ours filter.
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": alert.all_labels,
        "annotations": {
            **{name: _grafana_text(text) for name, text in alert.annotations.items()},
            # Its templates cannot query.
            "description": _grafana_text(alert.description + (_PANEL_SAYS if alert.cause is not None else "")),
            # Grafana's own links, which show the state of the alert in the panel, too.
            "__dashboardUid__": alert.dashboard.value,
            "__panelId__": str(panel_id(alert.panel)),
        },
        "isPaused": False,
    }


def _expression(name: str, **model: object) -> Document:
    return {
        "refId": name,
        "datasourceUid": _EXPRESSIONS,
        "relativeTimeRange": {"from": 0, "to": 0},
        "model": {"refId": name, "datasource": {"type": _EXPRESSIONS, "uid": _EXPRESSIONS}, **model},
    }


def _grafana_text(text: str) -> str:
    """The same template with Grafana's names: its `$value` is a sentence, and the number is in `.Values`.

    No `$` is left, since versions of Grafana differ in whether they take one in a file for an environment variable.
    """
    return re.sub(r"\$value\b", ".Values.query.Value", text).replace("$labels.", ".Labels.")


def _inhibit_rule(inhibition: Inhibition) -> Document:
    # Names are sorted: a name may stand for several rules, and the order must not change from run to run.
    names = "|".join(sorted({alert.name for alert in inhibition.effects}))
    cause = [f'alertname="{inhibition.cause.name}"']
    effects = [f'alertname=~"{names}"' if "|" in names else f'alertname="{names}"']
    if inhibition.cause_severity:
        cause.append(f'severity="{inhibition.cause_severity}"')
    if inhibition.effect_severity:
        effects.append(f'severity="{inhibition.effect_severity}"')
    return {"source_matchers": cause, "target_matchers": effects, "equal": list(inhibition.equal)}
