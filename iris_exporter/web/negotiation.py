"""Which format and which coding an answer gets: pure functions over the request's headers.

Source: RFC 9110, sections 12.4.2, 12.5.1 and 12.5.3; Prometheus docs, "Content negotiation". A scraper that asks for
nothing we have still gets the old text format, as every Prometheus target does: a scrape is never answered by 406.
"""

import re
from dataclasses import dataclass

from iris_exporter.instruments.rendering import Format

# The escaping schemes that leave our names as they are (letters, digits, underscores). `dots` would double each
# underscore, so a scraper that asks for it is told that it gets `underscores`.
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


@dataclass(frozen=True, slots=True)
class _Offer:
    media: str
    version: str
    format: Format
    unversioned: bool  # whether a range without a version means this one
    wildcard: bool  # whether a wildcard means this one; the others must be asked for by name


_OFFERS = (
    _Offer("application/openmetrics-text", "1.0.0", Format.OPENMETRICS, unversioned=True, wildcard=False),
    _Offer("text/plain", "1.0.0", Format.TEXT, unversioned=False, wildcard=False),
    _Offer("text/plain", "0.0.4", Format.TEXT, unversioned=True, wildcard=True),
)
"""In the order of our preference among equals."""

FALLBACK = Choice(Format.TEXT, "text/plain; version=0.0.4; charset=utf-8")
"""For a scraper that asks for nothing that we have."""


def choose_format(accept: str) -> Choice:
    """Choose by an `Accept` header, empty when absent: the highest weight, then the closest match, then our order."""
    ranges = parse(accept)
    best: tuple[float, int] = (0.0, 0)
    choice = FALLBACK
    for offer in _OFFERS:
        # RFC 9110: the most specific range that matches gives an offer its weight, whatever the others say.
        matches = [(specificity, item) for item in ranges if (specificity := _match(offer, item)) is not None]
        if not matches:
            continue
        specificity, item = max(matches, key=lambda match: (match[0], match[1].weight))
        if (item.weight, specificity) > best:
            best = (item.weight, specificity)
            choice = Choice(offer.format, _content_type(offer, item))
    return choice


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip may be used and the client does not prefer to go without; an absent header asks for neither."""
    weights = {item.value: item.weight for item in parse(accept_encoding)}
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def prefers_html(accept: str) -> bool:
    """Whether a browser asks, which wants a page to look at, rather than a program."""
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


def _match(offer: _Offer, item: Range) -> int | None:
    """How specifically a range names an offer, None when it does not."""
    version = item.parameters.get("version")
    if item.value == offer.media:
        if version == offer.version:
            return 3
        return 2 if version is None and offer.unversioned else None
    if not offer.wildcard or version is not None:
        return None
    if item.value == f"{offer.media.partition('/')[0]}/*":
        return 1
    return 0 if item.value == "*/*" else None


def _content_type(offer: _Offer, item: Range) -> str:
    text = f"{offer.media}; version={offer.version}; charset=utf-8"
    # Version 0.0.4 knows no escaping; the others name the scheme in use when the scraper named one that we know.
    escaping = _ESCAPINGS.get(item.parameters.get("escaping", ""))
    return f"{text}; escaping={escaping}" if escaping and offer.version != "0.0.4" else text
