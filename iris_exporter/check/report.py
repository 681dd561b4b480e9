"""What was seen and found, as text for a person and as plain values for a program. Pure."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from iris_exporter.check.diagnosis import main_finding, worst_first
from iris_exporter.check.findings import Found
from iris_exporter.check.fit import Fit
from iris_exporter.check.measured import measured
from iris_exporter.check.observations import Observation, Service, Step
from iris_exporter.check.usage import limits_used
from iris_exporter.settings import StreamSettings

_MARKS = {True: "ok", False: "FAILED"}


def as_text(seen: Observation, found: list[Found], settings: StreamSettings) -> str:
    """The steps, what was measured, what else was found, the diagnosis and what to do."""
    lines = [f"stream {seen.stream}: {seen.url}", *_steps(seen.steps)]
    lines += [f"  {name:<17}{'':<19}{text}" for name, text in measured(seen, settings)]
    return "\n".join(map(_printable, [*lines, *_conclusion(found)]))


def service_as_text(service: Service) -> str:
    """The steps, the diagnosis and what to do for something that is no stream."""
    lines = [f"{service.name}: {service.url}", *_steps(service.steps), *_conclusion(service.found)]
    return "\n".join(map(_printable, lines))


def _steps(steps: list[Step]) -> Iterator[str]:
    for step in steps:
        time = "" if step.seconds is None else f"{step.seconds * 1000:.0f} ms"
        yield f"  {step.name:<17}{_MARKS[step.is_ok]:<8}{time:>9}  {step.text}"


def findings_as_text(what: str, found: list[Found]) -> str:
    """Findings about something that is no stream."""
    return "\n".join(map(_printable, [what, *_conclusion(found)]))


def _conclusion(found: list[Found]) -> Iterator[str]:
    """What else was found, the diagnosis, and what to do."""
    first = main_finding(found)
    for each in found:
        if each is not first:
            yield f"  {each.finding.severity}: {each.id}: {_sentence(each)}"
    if first is None:
        too_short = any(each.id == "not_heard_long_enough" for each in found)
        text = "nothing is wrong so far, and no data came: listen longer" if too_short else "all is well"
        yield f"diagnosis: {text}"
    else:
        yield f"diagnosis: {first.id}: {_sentence(first)}"
        yield f"what to do: {first.finding.advice}"


def _printable(line: str) -> str:
    """The line without what a source could do to a terminal with its words."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in line)


def as_values(seen: Observation, found: list[Found], settings: StreamSettings) -> dict[str, Any]:
    """The same for `--format=json`."""
    first = main_finding(found)
    return {
        "stream": seen.stream,
        "url": seen.url,
        "diagnosis": "ok" if first is None else first.id,
        "steps": _steps_as_values(seen.steps),
        "measured": dict(measured(seen, settings)),
        "limits": [asdict(each) for each in limits_used(seen, settings)],
        "fit": _fit_as_values(seen.messages.fit),
        "findings": findings_as_values(found),
    }


def service_as_values(service: Service) -> dict[str, Any]:
    """The same of something that is no stream."""
    first = main_finding(service.found)
    return {
        "name": service.name,
        "url": service.url,
        "diagnosis": "ok" if first is None else first.id,
        "steps": _steps_as_values(service.steps),
        "findings": findings_as_values(worst_first(service.found)),
    }


def _steps_as_values(steps: list[Step]) -> list[dict[str, Any]]:
    return [{"name": step.name, "ok": step.is_ok, "seconds": step.seconds, "text": step.text} for step in steps]


def findings_as_values(found: list[Found]) -> list[dict[str, str]]:
    """Findings for a program, the worst first."""
    return [
        {
            "id": each.id,
            "severity": str(each.finding.severity),
            "heading": str(each.finding.heading),
            "cause": each.finding.cause,
            "detail": each.detail,
            "advice": each.finding.advice,
        }
        for each in found
    ]


def _sentence(found: Found) -> str:
    return f"{found.finding.cause}{f' ({found.detail})' if found.detail else ''}"


def _fit_as_values(fit: Fit) -> dict[str, Any]:
    """The same for a program; `messages` of an unknown field are those that had it."""
    return {
        "messages": fit.messages,
        "shapes": dict(fit.shapes),
        "fields": {
            place: {"read": sorted(fit.read[place]), "missing": fit.missing(place)} for place in fit.places()
        },
        "unknown": [
            {"place": place, "name": name, "messages": count} for (place, name), count in fit.unread.most_common()
        ],
        "unknown_not_listed": fit.unlisted,
        "shares": {
            f"{place}.{name}": {
                "lowest": scale.lowest, "highest": scale.highest,
                "scale": "mixed" if scale.is_mixed else "0-100" if scale.percentages else "0-1",
            }
            for (place, name), scale in fit.scales.items()
        },
    }  # fmt: skip
