"""Alerting rules for the streams of a mapping, and tests of them for promtool, as plain data.

The alerts of the link serve every stream. These are about what a mapping makes of what arrives; each is for the streams
that `iris_stream_mapping_info` names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from iris_exporter.mapping.spec import AlertSpec, Mapping, MetricKind, MetricSpec

Json = dict[str, Any]

PROBLEMS_SHARE = 0.01
UNMATCHED_SHARE = 0.05
_BY = "job, instance, stream"
_ON = f"on ({_BY})"
_TARGET = 'job="iris-exporter", instance="a:1", stream="s"'


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


def rules_file(mapping: Mapping) -> Json:
    """The content of a file of rules for Prometheus."""
    return {
        "groups": [{"name": f"mapping-{mapping.name}", "rules": [_document(mapping, rule) for rule in rules(mapping)]}]
    }


def tests_file(mapping: Mapping, rules_name: str) -> Json:
    """The content of a file for `promtool test rules`, beside the one with the rules."""
    cases = []
    for rule in rules(mapping):
        for series, fires in ((rule.firing, True), (rule.quiet, False)):
            alerts: list[Json] = []
            if fires:
                labels = {"severity": rule.severity, "mapping": mapping.name, **dict(rule.labels)}
                labels |= {"job": "iris-exporter", "instance": "a:1", "stream": "s"}
                alerts = [{"exp_labels": labels, "exp_annotations": _annotations(rule, "s", dict(rule.labels))}]
            known = {f'iris_stream_mapping_info{{{_TARGET}, mapping="{mapping.name}"}}': "1x300", **series}
            cases.append(
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in known.items()],
                    "alert_rule_test": [{"eval_time": "4h", "alertname": rule.name, "exp_alerts": alerts}],
                }
            )
    return {"rule_files": [rules_name], "evaluation_interval": "1m", "tests": cases}


def _annotations(rule: Rule, stream: str, labels: dict[str, str]) -> Json:
    def filled(text: str) -> str:
        for name, value in {"stream": stream, **labels}.items():
            text = text.replace(f"{{{{ $labels.{name} }}}}", value)
        return text

    return {"summary": filled(rule.summary), "description": filled(rule.description)}


def _document(mapping: Mapping, rule: Rule) -> Json:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": f"{rule.for_seconds:g}s",
        "labels": {"severity": rule.severity, "mapping": mapping.name},
        "annotations": {"summary": rule.summary, "description": rule.description},
    }


def rules(mapping: Mapping) -> Iterator[Rule]:
    """The alerts of a mapping."""
    of_mapping = f'iris_stream_mapping_info{{mapping="{mapping.name}"}}'

    def rate(metric: str, window: str = "10m") -> str:
        return f"sum by ({_BY}) (rate({metric}[{window}]))"

    def share(part: str) -> str:
        return f"{rate(part)} / ({rate('iris_stream_messages_total')} > 0) and {_ON} {of_mapping}"

    kind = mapping.entries[0].kind if mapping.entries else "other"
    messages = f'iris_stream_messages_total{{{_TARGET}, message_type="{kind}"}}'
    others = f'iris_stream_messages_total{{{_TARGET}, message_type="other"}}'
    problems = f'iris_stream_mapping_problems_total{{{_TARGET}, kind="{kind}", metric="", reason="missing"}}'
    yield Rule(
        "MappingProblems",
        f"({share('iris_stream_mapping_problems_total')}) > {PROBLEMS_SHARE}",
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
        f"""({share('iris_stream_messages_total{message_type="other"}')}) > {UNMATCHED_SHARE}""",
        600,
        "warning",
        "{{ $labels.stream }} sends messages that the mapping does not know",
        f"More than {UNMATCHED_SHARE:.0%} of the messages are taken by no entry of the mapping. Run iris-exporter map "
        "--stream on it, which shows one of each shape.",
        {messages: "0+100x300", others: "0+10x300"},
        {messages: "0+100x300", others: "0+1x300"},
    )
    beyond = 'iris_stream_dropped_total{kind=~"series|label_values"}'
    dropped = f'iris_stream_dropped_total{{{_TARGET}, kind="series"}}'
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
    refused = f'iris_stream_failure_info{{{_TARGET}, reason="misconfigured"}}'
    yield Rule(
        "SubscriptionRefused",
        f'max by ({_BY}) (iris_stream_failure_info{{reason="misconfigured"}}) == 1 and {_ON} {of_mapping}',
        60,
        "critical",
        "The source of {{ $labels.stream }} does not accept what it is asked for",
        "Check the open steps of the mapping and the parameters of the stream; the page of the exporter has its words.",
        {refused: "1x300"},
        {refused.replace("misconfigured", "timeout"): "1x300"},
    )
    if mapping.cursor is not None:
        gaps = f"iris_stream_event_gaps_total{{{_TARGET}}}"
        resumes = f'iris_stream_resumes_total{{{_TARGET}, outcome="none"}}'
        lost = f"sum by ({_BY}) (increase(iris_stream_event_gaps_total[1h])) > 0"
        cut = f'sum by ({_BY}) (increase(iris_stream_resumes_total{{outcome!="full"}}[1h])) > 0'
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
    if (every := mapping.expect_every_seconds) is not None:
        flow = f'iris_stream_data_flow{{{_TARGET}, flow="flowing"}}'
        arrived = f'max by ({_BY}) (max_over_time(iris_stream_data_flow{{flow="flowing"}}[{every:g}s]))'
        yield Rule(
            "Silent",
            f"{arrived} == 0 and {_ON} {of_mapping}",
            60,
            "warning",
            "{{ $labels.stream }} sends no data",
            f"The mapping expects some every {every:g} s.",
            {flow: "0x300"},
            {flow: "1x300"},
        )
    for declared in mapping.metrics:
        if (alert := declared.alert) is not None:
            for word, bound in (("Above", alert.above), ("Below", alert.below)):
                if bound is not None:
                    yield _of_metric(declared, alert, word, bound)


def _of_metric(metric: MetricSpec, alert: AlertSpec, word: str, bound: float) -> Rule:
    labels = ", ".join([_BY, *(label.name for label in metric.labels)])
    is_counter = metric.kind is MetricKind.COUNTER
    value = f"sum by ({labels}) (rate({metric.name}[10m]))" if is_counter else f"max by ({labels}) ({metric.name})"
    step = max(1.0, abs(bound)) * (1 if word == "Above" else -1)
    named = "".join(f', {label.name}="x"' for label in metric.labels)
    series = f"{metric.name}{{{_TARGET}{named}}}"

    def values(number: float) -> str:
        # A counter cannot fall: below nothing there is nothing, and such a rule never fires.
        return f"0+{60 * max(number, 0.0):g}x300" if is_counter else f"{number:g}x300"

    where = " ".join(f"{{{{ $labels.{label.name} }}}}" for label in metric.labels)
    return Rule(
        _camel(metric.name) + word,
        f"{value} {'>' if word == 'Above' else '<'} {bound:g}",
        alert.for_seconds,
        alert.severity,
        alert.summary,
        f"{metric.help} Of {{{{ $labels.stream }}}}{f': {where}' if where else ''}.",
        {series: values(bound + step)},
        {series: values(bound - step / 10)},
        tuple((label.name, "x") for label in metric.labels),
    )


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
