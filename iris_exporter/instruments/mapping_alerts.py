"""Alerting rules for the streams of a mapping, and tests of them for promtool, as plain data.

The alerts of the link serve every stream. These are about what a mapping makes of what arrives; each is for the streams
that `iris_stream_mapping_info` names.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from iris_exporter.instruments import catalog
from iris_exporter.mapping.lint import LABELS_OF_ALERTS
from iris_exporter.mapping.spec import AlertSpec, MetricKind, MetricSpec
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.units import format_duration

Json = dict[str, Any]

OF_MAPPINGS = (
    "MappingProblems", "MessagesUnmatched", "SeriesLimitReached", "SubscriptionRefused", "CountersInexact", "Silent",
)  # fmt: skip
"""The alerts that mappings have in common; each has a runbook of its name."""
OF_METRICS = "AlertsOfMetrics"
"""The runbook of those that a mapping itself has for its metrics."""
PROBLEMS_SHARE = 0.01
UNMATCHED_SHARE = 0.05
_BY = ", ".join(LABELS_OF_ALERTS)
_ON = f"on ({_BY})"
_STREAM = {"job": "iris-exporter", "instance": "a:1", "stream": "s"}
_TARGET = ", ".join(f'{name}="{value}"' for name, value in _STREAM.items())
_OWN_LABELS = ("severity", "concern", "mapping")
"""Of each alert; a metric's label of that name is not asked for, since it would be replaced."""
_BRACES = '{{ "{{" }}'
"""Two braces in a template that are no beginning of an action."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert; `firing` and `quiet` are series of promtool, by name with labels, that have it fire, or not."""

    name: str
    expression: str
    for_seconds: float
    severity: str
    summary: str
    description: str
    firing: dict[str, str]
    quiet: dict[str, str]
    labels: tuple[tuple[str, str], ...] = ()  # that the alert has beside those of the stream
    concern: str = "source"
    runbook: str = ""  # the heading of its runbook, where that is not its name

    @property
    def anchor(self) -> str:
        """Of its runbook."""
        return (self.runbook or self.name).lower()


@dataclass(frozen=True, slots=True)
class Links:
    """Where alerts lead to: the page with the runbooks, and the dashboard of the mapping, whose variables are added."""

    runbooks: str
    dashboard: str

    def of(self, rule: Rule) -> dict[str, str]:
        """The annotations of a rule, in Prometheus's template language."""
        chosen = "&".join(f"var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in _STREAM)
        return {"runbook_url": f"{self.runbooks}#{rule.anchor}", "dashboard_url": f"{self.dashboard}?{chosen}"}


def rules_file(mapping: SourceMapping, links: Links) -> Json:
    """The content of a file of rules for Prometheus."""
    found = [_document(mapping, rule, links) for rule in rules(mapping)]
    return {"groups": [{"name": f"mapping-{mapping.name}", "rules": found}]}


def tests_file(mapping: SourceMapping, rules_name: str) -> Json:
    """The content of a file for `promtool test rules`, beside the one with the rules.

    It asks for the series of each alert and not for its texts, in which only Prometheus can fill in any template.
    """
    cases = []
    for rule in rules(mapping):
        for series, fires in ((rule.firing, True), (rule.quiet, False)):
            labels = {**dict(rule.labels), **_STREAM, **_labels(mapping, rule), "alertname": rule.name}
            alert = ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
            known = {f'{catalog.MAPPING_INFO.name}{{{_TARGET}, mapping="{mapping.name}"}}': "1x300", **series}
            cases.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in known.items()],
                    "promql_expr_test": [
                        {
                            "expr": f'ALERTS{{alertname="{rule.name}", alertstate="firing"}}',
                            "eval_time": "4h",
                            "exp_samples": [{"labels": f'ALERTS{{{alert}, alertstate="firing"}}', "value": 1}] * fires,
                        }
                    ],
                }
            )
    return {"rule_files": [rules_name], "evaluation_interval": "1m", "tests": cases}


def _labels(mapping: SourceMapping, rule: Rule) -> dict[str, str]:
    return {"severity": rule.severity, "concern": rule.concern, "mapping": mapping.name}


def _document(mapping: SourceMapping, rule: Rule, links: Links) -> Json:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        **({"for": format_duration(rule.for_seconds)} if rule.for_seconds else {}),
        "labels": _labels(mapping, rule),
        "annotations": {"summary": rule.summary, "description": rule.description, **links.of(rule)},
    }


def rules(mapping: SourceMapping) -> Iterator[Rule]:
    """The alerts of a mapping."""
    of_mapping = f'{catalog.MAPPING_INFO.name}{{mapping="{mapping.name}"}}'
    all_messages, all_problems = catalog.MESSAGES.name, catalog.MAPPING_PROBLEMS.name

    def rate(metric: str, window: str = "10m") -> str:
        return f"sum by ({_BY}) (rate({metric}[{window}]))"

    def grown(metric: str, window: str) -> str:
        # A counter that is there only once it has counted was 0 before.
        first = f"({metric} unless {metric} offset {window}) > 0"
        return f"sum by ({_BY}) (increase({metric}[{window}]) > 0 or {first})"

    def share(part: str) -> str:
        return f"{rate(part)} / ({rate(all_messages)} > 0) and {_ON} {of_mapping}"

    kind = mapping.entries[0].kind if mapping.entries else "other"
    messages = f'{all_messages}{{{_TARGET}, message_type="{kind}"}}'
    others = f'{all_messages}{{{_TARGET}, message_type="other"}}'
    unmatched = f'{all_messages}{{message_type="other"}}'
    problems = f'{all_problems}{{{_TARGET}, kind="{kind}", metric="", reason="missing"}}'
    yield Rule(
        "MappingProblems",
        f"({share(all_problems)}) > {PROBLEMS_SHARE}",
        600,
        "warning",
        "Messages of {{ $labels.stream }} do not fit their mapping",
        f"More than {PROBLEMS_SHARE:.0%} of the messages have samples, ids or times that were left out. Run "
        "iris-exporter map --stream on it, which names the paths.",
        {messages: "0+100x300", problems: "0+10x300"},
        {messages: "0+1000x300", problems: "0+1x300"},
    )
    yield Rule(
        "MessagesUnmatched",
        f"({share(unmatched)}) > {UNMATCHED_SHARE}",
        600,
        "warning",
        "{{ $labels.stream }} sends messages that the mapping does not know",
        f"More than {UNMATCHED_SHARE:.0%} of the messages are taken by no entry of the mapping. Run iris-exporter map "
        "--stream on it, which shows one of each shape.",
        {messages: "0+100x300", others: "0+10x300"},
        {messages: "0+100x300", others: "0+1x300"},
    )
    beyond = f'{catalog.STREAM_DROPPED.name}{{kind=~"series|label_values"}}'
    dropped = f'{catalog.STREAM_DROPPED.name}{{{_TARGET}, kind="series"}}'
    yield Rule(
        "SeriesLimitReached",
        f"{grown(beyond, '15m')} and {_ON} {of_mapping}",
        0,
        "warning",
        "{{ $labels.stream }} has more series than its mapping allows",
        "What is beyond is counted under other, and gauges beyond are not shown. Raise limit, limits.series or "
        "max-values, or take a label that has fewer values.",
        {dropped: "_x239 7x60"},
        {dropped: "7x300"},
    )
    failure = catalog.FAILURE_INFO.name
    refused = f'{failure}{{{_TARGET}, reason="misconfigured"}}'
    yield Rule(
        "SubscriptionRefused",
        f'max by ({_BY}) ({failure}{{reason="misconfigured"}}) == 1 and {_ON} {of_mapping}',
        60,
        "critical",
        "The source of {{ $labels.stream }} does not accept what it is asked for",
        "Check the open steps of the mapping and the parameters of the stream; the page of the exporter has its words.",
        {refused: "1x300"},
        {refused.replace("misconfigured", "timeout"): "1x300"},
        concern="link",
    )
    if mapping.cursor is not None:
        all_gaps, all_resumes = catalog.EVENT_GAPS.name, catalog.RESUMES.name
        gaps = f"{all_gaps}{{{_TARGET}}}"
        resumes = f'{all_resumes}{{{_TARGET}, outcome="none"}}'
        cut = f'{all_resumes}{{outcome!~"full|unknown"}}'
        yield Rule(
            "CountersInexact",
            f"({grown(all_gaps, '1h')} or {grown(cut, '1h')}) and {_ON} {of_mapping}",
            0,
            "info",
            "Counters of {{ $labels.stream }} may lack events",
            "Within the last hour events were missing, or the source could not go on where the last connection ended.",
            {gaps: "0x200 0+1x100"},
            {gaps: "3x300", resumes: "2x300", resumes.replace("none", "unknown"): "0x200 0+1x100"},
        )
    if (every_seconds := mapping.expect_every_seconds) is not None:
        every = format_duration(every_seconds)
        flow = f'{catalog.DATA_FLOW.name}{{{_TARGET}, flow="flowing"}}'
        arrived = f'max by ({_BY}) (max_over_time({catalog.DATA_FLOW.name}{{flow="flowing"}}[{every}]))'
        yield Rule(
            "Silent",
            f"{arrived} == 0 and {_ON} {of_mapping}",
            60,
            "warning",
            "{{ $labels.stream }} sends no data",
            f"The mapping expects some every {every}.",
            {flow: "0x300"},
            {flow: "1x300"},
        )
    for declared in mapping.metrics:
        if (alert := declared.alert) is not None:
            for word, bound in (("Above", alert.above), ("Below", alert.below)):
                if bound is not None:
                    yield _of_metric(declared, alert, word, bound)


def _of_metric(metric: MetricSpec, alert: AlertSpec, word: str, bound: float) -> Rule:
    names = [label.name for label in metric.labels if label.name not in _OWN_LABELS]
    labels = ", ".join([_BY, *names])
    is_counter, is_above = metric.kind is MetricKind.COUNTER, word == "Above"
    rate = f"sum by ({labels}) (rate({metric.name}[10m]))"
    value = rate if is_counter else f"{'max' if is_above else 'min'} by ({labels}) ({metric.name})"
    step = max(1.0, abs(bound)) * (1 if is_above else -1)
    named = "".join(f', {label.name}="x"' for label in metric.labels)
    series = f"{metric.name}{{{_TARGET}{named}}}"

    def values(number: float) -> str:
        # A counter cannot fall.
        return f"0+{_number(60 * max(number, 0.0))}x300" if is_counter else f"{_number(number)}x300"

    where = " ".join(f"{{{{ $labels.{name} }}}}" for name in names)
    return Rule(
        _camel(metric.name) + word,
        f"{value} {'>' if is_above else '<'} {_number(bound)}",
        alert.for_seconds,
        alert.severity,
        alert.summary,
        f"{metric.help.replace('{{', _BRACES)} Of {{{{ $labels.stream }}}}{f': {where}' if where else ''}.",
        {series: values(bound + step)},
        {series: values(bound - step / 10)},
        tuple((name, "x") for name in names),
        runbook=OF_METRICS,
    )


def _number(value: float) -> str:
    """A number as PromQL and promtool have it, with all of its digits."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
