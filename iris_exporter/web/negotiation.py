"""Which format and which coding an answer gets: pure functions over the request's headers.

Source: RFC 9110, sections 12.4.2, 12.5.1 and 12.5.3; Prometheus docs, "Content negotiation". A scraper that asks for
nothing we have still gets the old text format, as every Prometheus target does: a scrape is never answered by 406.
"""

import re
from dataclasses import dataclass

from iris_exporter.instruments.text import Format

# The escaping schemes that leave our names as they are (letters, digits, underscores). `dots` would double each
# underscore, so the answer to a scraper that asks for it says `underscores`.
_ESCAPINGS = {"allow-utf-8": "allow-utf-8", "underscores": "underscores", "values": "values", "dots": "underscores"}
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


@dataclass(frozen=True, slots=True)
class Range:
    """One element of a header: a media range or a coding in lower case, its parameters, and its weight 0 to 1."""

    value: str
    parameters: dict[str, str]
    weight: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The format to print and the `Content-Type` that names it."""

    format: Format
    content_type: str


TEXT = Choice(Format.TEXT, "text/plain; version=0.0.4; charset=utf-8")
"""Also for a scraper that asks for nothing that we have. It knows no escaping."""

_OFFERS: tuple[tuple[Choice, dict[tuple[str, str | None], int]], ...] = (
    (
        Choice(Format.OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        {("application/openmetrics-text", "1.0.0"): 3, ("application/openmetrics-text", None): 2},
    ),
    (Choice(Format.TEXT, "text/plain; version=1.0.0; charset=utf-8"), {("text/plain", "1.0.0"): 3}),
    (TEXT, {("text/plain", "0.0.4"): 3, ("text/plain", None): 2, ("text/*", None): 1, ("*/*", None): 0}),
)
"""In the order of our preference among equals: each with the ranges (media and version) that name it, and how closely.

A wildcard or a missing version means the old text format; the others must be asked for by name.
"""


def choose_format(accept: str) -> Choice:
    """Choose by an `Accept` header, empty when absent: the highest weight, then the closest match, then our order."""
    ranges = parse(accept)
    best = 0.0, 0
    choice = TEXT
    for offer, named_by in _OFFERS:
        # RFC 9110: the most specific range that matches gives an offer its weight, whatever the others say.
        matches = [
            (closeness, item.weight, item)
            for item in ranges
            if (closeness := named_by.get((item.value, item.parameters.get("version")))) is not None
        ]
        if not matches:
            continue
        closeness, weight, item = max(matches, key=lambda match: match[:2])
        if (weight, closeness) > best:
            best = weight, closeness
            escaping = _ESCAPINGS.get(item.parameters.get("escaping", "")) if offer is not TEXT else None
            suffix = f"; escaping={escaping}" if escaping else ""
            choice = Choice(offer.format, offer.content_type + suffix)
    return choice


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip may be used and the client does not prefer to go without; an absent header asks for neither."""
    weights = {item.value: item.weight for item in parse(accept_encoding)}
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def prefers_html(accept: str) -> bool:
    """Whether a browser asks, which wants a page, and not a program."""
    return any(item.value == "text/html" and item.weight > 0 for item in parse(accept))


def parse(header: str) -> list[Range]:
    """Take a header with weights apart; elements that break the grammar of weights are left out."""
    ranges = []
    for element in _ITEM.findall(header):
        value, *rest = [part.strip() for part in _PARAMETER.findall(element)] or [""]
        parameters = {}
        for part in rest:
            name, equals, text = part.partition("=")
            if equals:
                parameters[name.strip().lower()] = _unquote(text.strip())
        weight = parameters.pop("q", "1")
        if value and _WEIGHT.fullmatch(weight):
            ranges.append(Range(value.lower(), parameters, float(weight)))
    return ranges


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
