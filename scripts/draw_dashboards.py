"""Draw the committed dashboards with data of a Prometheus, as PNG: a sketch, and not Grafana's own rendering.

It shows what a reviewer without Grafana wants to know: where panels are and how large, whether titles fit, which
panels are empty, and whether the values have sensible units. Panels are drawn by their kind in a plain way;
transformations are followed as far as columns and headings, log and trace panels show their query.

    scripts/draw_dashboards.py --prometheus http://127.0.0.1:9090 --output DIRECTORY [--width 1280] [--minutes 15]
"""

import argparse
import itertools
import json
import math
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
BOARDS = sorted((ROOT / "dashboards/json").glob("*.json"))
NOTE = "A sketch by scripts/draw_dashboards.py, not Grafana's own rendering"

# Grafana's grid: a row of 30 pixels and 8 between panels, 24 columns over the width of the page.
ROW, GAP, COLUMNS, MARGIN, HEAD = 30, 8, 24, 16, 44
BACK, PANEL, EDGE, TEXT, SOFT = "#111217", "#181b1f", "#2c3036", "#d8d9da", "#8e9097"
NAMED = {"green": "#73bf69", "yellow": "#fade2a", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2",
         "purple": "#b877d9", "text": TEXT}  # fmt: skip
PALETTE = ("#73bf69", "#fade2a", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#37872d", "#8ab8ff", "#ffa6b0", "#ca95e5")
STEPS = 120

Series = tuple[str, list[tuple[float, float]], dict[str, str]]


def font(size: float) -> Any:
    """The built-in font, in pixels."""
    return ImageFont.load_default(size)


class Prometheus:
    """Answers queries for one stretch of time."""

    def __init__(self, url: str, seconds: float, variables: dict[str, str]) -> None:
        self._url = url.rstrip("/")
        self._end = time.time()
        self.start = self._end - seconds
        self.end = self._end
        self._step = max(1.0, seconds / STEPS)
        self._variables = variables

    def plain(self, expr: str) -> str:
        """A query without variables."""
        return re.sub(r"\$\{?(\w+)\}?", lambda match: self._variables[match[1]], expr)

    def _get(self, path: str, **parameters: object) -> Any:
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as response:
            return json.load(response)["data"]

    def label(self, name: str) -> list[str]:
        """The values of a label."""
        found: list[str] = self._get(f"label/{name}/values")
        return found

    def ask(self, target: dict[str, Any]) -> list[Series]:
        """Series with their names, samples and labels; one sample each for an instant query."""
        expr = self.plain(target["expr"])
        if target.get("instant"):
            result = self._get("query", query=expr, time=self._end)["result"]
            samples = [[series["value"]] for series in result]
        else:
            result = self._get("query_range", query=expr, start=self.start, end=self._end, step=self._step)["result"]
            samples = [series["values"] for series in result]
        found = []
        for series, values in zip(result, samples, strict=True):
            labels = series["metric"]
            numbers = [(float(at), float(value)) for at, value in values if not math.isnan(float(value))]
            legend = target.get("legendFormat") or ", ".join(f"{key}={value}" for key, value in labels.items())
            found.append((re.sub(r"{{(\w+)}}", lambda m, of=labels: of.get(m[1], ""), legend), numbers, labels))
        return found


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """A value as a reader sees it, near enough to Grafana's formats."""
    if unit.startswith("prefix:"):
        return f"{unit.removeprefix('prefix:')}{value:g}"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f}%"
    if unit == "dateTimeFromNow":
        return f"{_duration(time.time() - value / 1000)} ago"
    if unit in ("s", "dtdurations"):
        return _duration(value)
    if unit in ("bytes", "Bps"):
        base, names = (1024, ("B", "KiB", "MiB", "GiB")) if unit == "bytes" else (1000, ("B/s", "kB/s", "MB/s", "GB/s"))
        power = min(3, int(math.log(abs(value), base))) if abs(value) >= 1 else 0
        return f"{value / base**power:.3g} {names[power]}"
    suffix = {"cpm": " cpm", "cps": " c/s", "reqps": " req/s"}.get(unit, "")
    if decimals is not None:
        return f"{value:.{decimals}f}{suffix}"
    for limit, mark in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(value) >= limit and unit == "short":
            return f"{value / limit:.3g}{mark}"
    return f"{value:.3g}{suffix}"


def _duration(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {name}"
    return "0 s"


def mapped(value: float, config: dict[str, Any]) -> tuple[str, str]:
    """Text and colour of a value: by mapping, else by unit and thresholds."""
    colour = TEXT
    for step in config.get("thresholds", {}).get("steps", ()):
        if step["value"] is None or value >= step["value"]:
            colour = NAMED.get(step["color"], step["color"])
    for mapping in config.get("mappings", ()):
        options = mapping["options"]
        result = options.get(f"{value:g}") if mapping["type"] == "value" else None
        if mapping["type"] == "range" and value >= options["from"]:
            result = options["result"]
        if result:
            text = result.get("text") or shown(value, config.get("unit", ""), config.get("decimals"))
            return text, NAMED.get(result["color"], result["color"])
    return shown(value, config.get("unit", ""), config.get("decimals")), colour


class Canvas:
    """One picture of one dashboard."""

    def __init__(self, board: dict[str, Any], source: Prometheus, width: int) -> None:
        self._source = source
        self._column = (width - 2 * MARGIN + GAP) / COLUMNS
        bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
        self.image = Image.new("RGB", (width, HEAD + bottom * (ROW + GAP) + MARGIN), BACK)
        self._draw = ImageDraw.Draw(self.image)
        self._write(MARGIN, 8, board["title"], 18)
        self._write(MARGIN, 28, NOTE, 11, SOFT)
        for panel in board["panels"]:
            self._panel(panel)

    def _write(self, x: float, y: float, text: str, size: float, colour: str = TEXT, width: float = 0) -> float:
        """Write a line, cut at `width` pixels where that is given; the width it took."""
        drawn = font(size)
        while width and text and drawn.getlength(text) > width:
            text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
        self._draw.text((x, y), text, colour, drawn)
        return float(drawn.getlength(text))

    def _panel(self, panel: dict[str, Any]) -> None:
        place = panel["gridPos"]
        left, top = MARGIN + place["x"] * self._column, HEAD + place["y"] * (ROW + GAP)
        right, bottom = left + place["w"] * self._column - GAP, top + place["h"] * (ROW + GAP) - GAP
        if panel["type"] == "row":
            self._write(left, top + 6, f"{'>' if panel.get('collapsed') else 'v'}  {panel['title']}", 15)
            return
        self._draw.rectangle((left, top, right, bottom), PANEL, EDGE)
        self._write(left + 8, top + 7, panel["title"], 14, TEXT, right - left - 16)
        area = (left + 8, top + 30, right - 8, bottom - 6)
        if panel["datasource"]["type"] != "prometheus":
            target = panel["targets"][0]
            text = f"{panel['datasource']['type'].capitalize()}: {target.get('expr', target.get('query'))}"
            self._wrapped(area, text)
            return
        found = {target["refId"]: self._source.ask(target) for target in panel["targets"]}
        if not any(numbers for series in found.values() for _, numbers, _ in series):
            self._write(area[0], (area[1] + area[3]) / 2 - 8, panel["fieldConfig"]["defaults"]["noValue"], 13, SOFT,
                        area[2] - area[0])  # fmt: skip
            return
        kinds = {"stat": self._stat, "table": self._table, "state-timeline": self._timeline, "heatmap": self._heatmap}
        kinds.get(panel["type"], self._lines)(panel, found, area)

    def _wrapped(self, area: tuple[float, ...], text: str) -> None:
        y, line = area[1], ""
        for word in text.split():
            if font(12).getlength(f"{line} {word}") > area[2] - area[0]:
                self._write(area[0], y, line, 12, SOFT)
                y, line = y + 16, ""
            line = f"{line} {word}".strip()
        self._write(area[0], y, line, 12, SOFT)

    def _stat(self, panel: dict[str, Any], found: dict[str, list[Series]], area: tuple[float, ...]) -> None:
        options, defaults = panel["options"], panel["fieldConfig"]["defaults"]
        tiles = [(ref, series) for ref, all_of in found.items() for series in all_of if series[1]]
        vertical = options["orientation"] == "horizontal" or area[2] - area[0] < 120 * len(tiles)
        for index, (ref, (name, numbers, _)) in enumerate(tiles):
            config = {**defaults, **_overrides(panel, ref, name)}
            text, colour = mapped(numbers[-1][1], config)
            colour = _fixed(config) or colour
            if options["textMode"] == "name":
                text = name
            box = _slice(area, index, len(tiles), vertical=vertical)
            filled = options["colorMode"] == "background"
            if filled:
                self._draw.rectangle(box, colour)
            ink = "#111217" if filled else colour
            height, width = box[3] - box[1], box[2] - box[0]
            if options["graphMode"] == "area" and len(numbers) > 1:
                self._sparkline(numbers, box, colour)
            named = options["textMode"] == "value_and_name"
            size = max(11.0, min(height * 0.45, width / max(4, len(text)) * 1.7, 44))
            self._write(box[0] + 6, box[1] + 2, text, size, ink, width - 8)
            if named:
                self._write(box[0] + 6, box[1] + 4 + size, name, 12, ink if filled else SOFT, width - 8)

    def _sparkline(self, numbers: list[tuple[float, float]], box: tuple[float, ...], colour: str) -> None:
        low, high = min(v for _, v in numbers), max(v for _, v in numbers)
        self._draw.line([self._point(n, box, low, high, top=0.6) for n in numbers], colour, 1)

    def _point(
        self, number: tuple[float, float], box: tuple[float, ...], low: float, high: float, *, top: float = 0.0
    ) -> tuple[float, float]:
        share = (number[0] - self._source.start) / (self._source.end - self._source.start)
        level = (number[1] - low) / (high - low) if high > low else 0.5
        height = (box[3] - box[1]) * (1 - top)
        return box[0] + share * (box[2] - box[0]), box[3] - level * height

    def _lines(self, panel: dict[str, Any], found: dict[str, list[Series]], area: tuple[float, ...]) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        series = [one for all_of in found.values() for one in all_of if one[1]]
        high = max(value for _, numbers, _ in series for _, value in numbers)
        low = min(defaults.get("min", math.inf), *(value for _, numbers, _ in series for _, value in numbers))
        high = high if high > low else low + 1
        box = (area[0] + 52, area[1], area[2], area[3] - 30)
        for share in (0.0, 0.5, 1.0):
            y = box[3] - share * (box[3] - box[1])
            self._draw.line((box[0], y, box[2], y), EDGE)
            self._write(area[0], y - 7, shown(low + share * (high - low), defaults["unit"]), 10, SOFT, 50)
        for index, at in enumerate((self._source.start, (self._source.start + self._source.end) / 2)):
            moment = time.strftime("%H:%M", time.localtime(at))
            self._write(box[0] + index * (box[2] - box[0]) / 2, box[3] + 2, moment, 10, SOFT)
        x = area[0]
        for index, (name, numbers, _) in enumerate(series):
            colour = _fixed(_overrides(panel, "", name)) or PALETTE[index % len(PALETTE)]
            if x < area[2]:
                x += self._write(x, area[3] - 13, name or "value", 11, colour, area[2] - x) + 10
            points = [self._point(number, box, low, high) for number in numbers]
            if defaults["custom"].get("drawStyle") == "bars":
                for at, level in points:
                    self._draw.line((at, box[3], at, level), colour, 2)
                continue
            # A line ends where there is no sample, as it does in Grafana.
            widest = 1.5 * (box[2] - box[0]) / STEPS
            for (at, level), (after, there) in itertools.pairwise(points):
                if after - at <= widest:
                    self._draw.line((at, level, after, there), colour, 1)

    def _heatmap(self, panel: dict[str, Any], found: dict[str, list[Series]], area: tuple[float, ...]) -> None:
        series = sorted(found["A"], key=lambda one: float(one[2]["le"]))
        box = (area[0] + 52, area[1], area[2], area[3] - 14)
        below: dict[float, float] = {}
        cells = []
        for row, (_, numbers, _) in enumerate(series):
            for at, value in numbers:
                cells.append((row, at, value - below.get(at, 0.0)))
                below[at] = value
        highest = max(value for _, _, value in cells) or 1.0
        height, width = (box[3] - box[1]) / len(series), (box[2] - box[0]) / STEPS
        for row, at, value in cells:
            if value > highest * 1e-3:
                x = self._point((at, 0), box, 0, 1)[0]
                y = box[3] - (row + 1) * height
                depth = (value / highest) ** 0.5
                colour = (int(60 + 195 * depth), int(40 + 110 * depth), 60)
                self._draw.rectangle((x - width, y, x, y + height - 1), colour)
        for row, (_, _, labels) in enumerate(series):
            edge = labels["le"]
            text = "Inf" if edge == "+Inf" else shown(float(edge), panel["options"]["yAxis"]["unit"])
            self._write(area[0], box[3] - (row + 1) * height - 5, text, 9, SOFT)

    def _timeline(self, panel: dict[str, Any], found: dict[str, list[Series]], area: tuple[float, ...]) -> None:
        config = panel["fieldConfig"]["defaults"]
        for index, (name, numbers, _) in enumerate(found["A"]):
            box = _slice((area[0] + 90, area[1], area[2], area[3]), index, len(found["A"]), vertical=True)
            self._write(area[0], (box[1] + box[3]) / 2 - 7, name, 12, TEXT, 86)
            for current, following in zip(numbers, [*numbers[1:], (self._source.end, 0.0)], strict=True):
                left, right = (self._point((at, 0), box, 0, 1)[0] for at in (current[0], following[0]))
                self._draw.rectangle(
                    (left, box[1] + 4, max(left + 1, right), box[3] - 4), mapped(current[1], config)[1]
                )

    def _table(self, panel: dict[str, Any], found: dict[str, list[Series]], area: tuple[float, ...]) -> None:
        organize = next(t["options"] for t in panel["transformations"] if t["id"] == "organize")
        order = organize["indexByName"]
        headings = {field: organize["renameByName"][field] for field in sorted(order, key=order.__getitem__)}
        rows = _merged(found)
        sort = panel["options"]["sortBy"][0]
        by = next(field for field, heading in headings.items() if heading == sort["displayName"])
        rows.sort(key=lambda row: (by in row, row.get(by, 0)), reverse=bool(sort["desc"]))
        width = (area[2] - area[0]) / len(headings)
        for column, heading in enumerate(headings.values()):
            self._write(area[0] + column * width, area[1], heading, 12, SOFT, width - 6)
        for line, row in enumerate(rows):
            y = area[1] + 24 + line * 26
            if y + 18 > area[3]:
                self._write(area[0], area[3] - 12, f"... {len(rows) - line} more", 11, SOFT)
                break
            for column, (field, heading) in enumerate(headings.items()):
                config = {**panel["fieldConfig"]["defaults"], **_overrides(panel, "", heading)}
                value = row.get(field)
                text, colour = (str(value or ""), TEXT) if not isinstance(value, float) else mapped(value, config)
                if isinstance(value, str) and config.get("mappings"):
                    options = config["mappings"][0]["options"].get(value, {})
                    text, colour = options.get("text", value), NAMED.get(options.get("color", "text"), TEXT)
                x = area[0] + column * width
                if config.get("custom.cellOptions", {}).get("type") == "color-background":
                    self._draw.rectangle((x - 2, y - 2, x + width - 8, y + 18), colour)
                    colour = "#111217"
                self._write(x, y, text, 13, colour, width - 10)


def _slice(area: tuple[float, ...], index: int, count: int, *, vertical: bool) -> tuple[float, float, float, float]:
    left, top, right, bottom = area
    if vertical:
        height = (bottom - top) / count
        return left, top + index * height, right, top + (index + 1) * height - 2
    width = (right - left) / count
    return left + index * width, top, left + (index + 1) * width - 4, bottom


def _overrides(panel: dict[str, Any], ref: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for override in panel["fieldConfig"]["overrides"]:
        matcher = (override["matcher"]["id"], override["matcher"]["options"])
        if matcher in (("byName", name), ("byFrameRefID", ref)):
            found |= {entry["id"]: entry["value"] for entry in override["properties"]}
    return found


def _fixed(config: dict[str, Any]) -> str | None:
    colour = config.get("color", {})
    return NAMED.get(colour["fixedColor"], colour["fixedColor"]) if colour.get("mode") == "fixed" else None


def _merged(found: dict[str, list[Series]]) -> list[dict[str, Any]]:
    """The rows of a table: series of all queries with the same values in the labels that all of them have."""
    everything = [(ref, labels, numbers[-1][1]) for ref, of in found.items() for _, numbers, labels in of if numbers]
    shared = set.intersection(*(set(labels) for _, labels, _ in everything))
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for ref, labels, value in everything:
        row = rows.setdefault(tuple(labels[name] for name in sorted(shared)), {})
        row |= {**labels, "Value" if len(found) == 1 else f"Value #{ref}": value}
    return list(rows.values())


def variables(source: Prometheus, minutes: float) -> dict[str, str]:
    """Values for the variables of all dashboards: everything, and the first project."""
    projects: Iterable[str] = source.label("project") or ["none"]
    window = f"{max(10, int(minutes * 60 / STEPS * 4))}s"
    return {"__rate_interval": window, "__interval": window, "__range": f"{int(minutes * 60)}s", "job": ".+",
            "instance": ".+", "stream": ".+", "poll_interval": "30", "project": next(iter(projects))}  # fmt: skip


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True, metavar="URL", help="a Prometheus that scrapes an exporter")
    parser.add_argument("--output", required=True, type=Path, metavar="DIRECTORY", help="where the pictures go")
    parser.add_argument("--width", type=int, default=1280, metavar="PIXELS", help="of the page (default: 1280)")
    parser.add_argument("--minutes", type=float, default=15.0, metavar="NUMBER", help="of the past (default: 15)")
    arguments = parser.parse_args()
    chosen: dict[str, str] = {}
    source = Prometheus(arguments.prometheus, arguments.minutes * 60, chosen)
    try:
        chosen |= variables(source, arguments.minutes)
        arguments.output.mkdir(parents=True, exist_ok=True)
        for path in BOARDS:
            picture = arguments.output / f"{path.stem}-{arguments.width}.png"
            Canvas(json.loads(path.read_text()), source, arguments.width).image.save(picture)
            print(picture)
    except OSError as error:
        print(f"draw_dashboards: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
