"""Alerting rules for the streams of a mapping, and tests of them for promtool, as plain data.

The alerts of the link serve every stream. These are about what a mapping makes of what arrives; each is for the streams
that `iris_stream_mapping_info` names.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iris_exporter.instruments import catalog
from iris_exporter.mapping.lint import LABELS_OF_ALERTS
from iris_exporter.mapping.spec import AlertSpec, MetricKind, MetricSpec
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.units import format_duration

Json = dict[str, Any]

PROBLEMS_SHARE = 0.01
UNMATCHED_SHARE = 0.05
_BY = ", ".join(LABELS_OF_ALERTS)
_ON = f"on ({_BY})"
_STREAM = {"job": "iris-exporter", "instance": "a:1", "stream": "s"}
_TARGET = ", ".join(f'{name}="{value}"' for name, value in _STREAM.items())
_OWN_LABELS = ("severity", "mapping")
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


def rules_file(mapping: SourceMapping) -> Json:
    """The content of a file of rules for Prometheus."""
    return {
        "groups": [{"name": f"mapping-{mapping.name}", "rules": [_document(mapping, rule) for rule in rules(mapping)]}]
    }


def tests_file(mapping: SourceMapping, rules_name: str) -> Json:
    """The content of a file for `promtool test rules`, beside the one with the rules."""
    cases = []
    for rule in rules(mapping):
        for series, fires in ((rule.firing, True), (rule.quiet, False)):
            alerts: list[Json] = []
            if fires:
                labels = {**dict(rule.labels), **_STREAM, "severity": rule.severity, "mapping": mapping.name}
                annotations = _annotations(rule, {**_STREAM, **dict(rule.labels)})
                if annotations is None:
                    continue
                alerts = [{"exp_labels": labels, "exp_annotations": annotations}]
            known = {f'{catalog.MAPPING_INFO.name}{{{_TARGET}, mapping="{mapping.name}"}}': "1x300", **series}
            cases.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in known.items()],
                    "alert_rule_test": [{"eval_time": "4h", "alertname": rule.name, "exp_alerts": alerts}],
                }
            )
    return {"rule_files": [rules_name], "evaluation_interval": "1m", "tests": cases}


def _annotations(rule: Rule, labels: Mapping[str, str]) -> Json | None:
    """What the templates become; None where a summary has more in it than labels, which only Prometheus can fill in."""

    def filled(text: str) -> str:
        for name, value in labels.items():
            text = text.replace(f"{{{{ $labels.{name} }}}}", value)
        return text

    summary = filled(rule.summary)
    if "{{" in summary:
        return None
    return {"summary": summary, "description": filled(rule.description).replace(_BRACES, "{{")}


def _document(mapping: SourceMapping, rule: Rule) -> Json:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": format_duration(rule.for_seconds),
        "labels": {"severity": rule.severity, "mapping": mapping.name},
        "annotations": {"summary": rule.summary, "description": rule.description},
    }


def rules(mapping: SourceMapping) -> Iterator[Rule]:
    """The alerts of a mapping."""
    of_mapping = f'{catalog.MAPPING_INFO.name}{{mapping="{mapping.name}"}}'
    all_messages, all_problems = catalog.MESSAGES.name, catalog.MAPPING_PROBLEMS.name

    def rate(metric: str, window: str = "10m") -> str:
        return f"sum by ({_BY}) (rate({metric}[{window}]))"

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
        f"sum by ({_BY}) (increase({beyond}[15m])) > 0 and {_ON} {of_mapping}",
        0,
        "warning",
        "{{ $labels.stream }} has more series than its mapping allows",
        "What is beyond is counted under other, and gauges beyond are not shown. Raise limit, limits.series or "
        "max-values, or take a label that has fewer values.",
        {dropped: "0+1x300"},
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
    )
    if mapping.cursor is not None:
        all_gaps, all_resumes = catalog.EVENT_GAPS.name, catalog.RESUMES.name
        gaps = f"{all_gaps}{{{_TARGET}}}"
        resumes = f'{all_resumes}{{{_TARGET}, outcome="none"}}'
        lost = f"sum by ({_BY}) (increase({all_gaps}[1h])) > 0"
        cut = f'sum by ({_BY}) (increase({all_resumes}{{outcome!="full"}}[1h])) > 0'
        yield Rule(
            "CountersInexact",
            f"(({lost}) or ({cut})) and {_ON} {of_mapping}",
            0,
            "info",
            "Counters of {{ $labels.stream }} may lack events",
            "Within the last hour events were missing, or the source could not go on where the last connection ended.",
            {gaps: "0x200 0+1x100"},
            {gaps: "3x300", resumes: "2x300"},
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
    )


def _number(value: float) -> str:
    """A number as PromQL and promtool have it, with all of its digits."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
