"""Samples of real streams, each with its mapping and what has to come of it: tests/data/mappings.

A directory has the sample as it is sent (`sample.sse`; `sample.ndjson` and `sample.txt`, a message in each line;
`sample.json`, one document), `mapping.yaml` where the mapping is no preset of that name, `expected.txt` with the
series, without buckets and the label `stream`, and `summary.json` with what else came of it: messages by kind, what was
filtered, duplicates, the cursor where there is one, and the codes of errors.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris_exporter.config.mappings import Found
from iris_exporter.mapping import presets
from iris_exporter.mapping.spec import Mapping

DIRECTORY = Path(__file__).parents[1] / "data" / "mappings"
NAMES = sorted(path.name for path in DIRECTORY.iterdir())
NOW = 1_760_000_000.0
"""When every message of a sample arrives, in Unix seconds."""


@dataclass(frozen=True)
class Sample:
    """One sample; `form` is sse, ndjson, txt or json. `summary` has messages by kind, filtered, duplicates, ..."""

    mapping: Mapping
    form: str
    content: bytes
    expected: list[str]
    summary: dict[str, Any]

    @property
    def lines(self) -> list[bytes]:
        """The messages of a sample that is no event stream."""
        if self.form == "json":
            return [self.content.strip()]
        return [line for line in self.content.splitlines() if line]


def read_files(paths: Iterable[Path]) -> Found:
    """Read files that have mappings alone, as those of `mapping-files`."""
    found = Found()
    found.read(None, [str(path) for path in paths])
    return found


def mapping_of(name: str) -> Mapping:
    """Return the mapping of a sample."""
    file = DIRECTORY / name / "mapping.yaml"
    if not file.exists():
        return presets.load(name)
    read = read_files([file])
    assert read.problems == []
    return read.by_name[name]


def load(name: str) -> Sample:
    """Return a sample by the name of its directory."""
    directory = DIRECTORY / name
    [sample] = directory.glob("sample.*")
    return Sample(
        mapping_of(name),
        sample.suffix[1:],
        sample.read_bytes(),
        (directory / "expected.txt").read_text("utf-8").splitlines(),
        json.loads((directory / "summary.json").read_text("utf-8")),
    )


_SERIES = re.compile(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)")
_STREAM = re.compile(r'(?:,stream="[^"]*"|stream="[^"]*",?)')


def short(exposition: str, namespace: str) -> list[str]:
    """Return the series of a namespace as `expected.txt` has them, sorted: labels sorted, values with six digits."""
    found = []
    for line in exposition.splitlines():
        match = _SERIES.fullmatch(line)
        if match is None or not line.startswith(f"{namespace}_") or match[1].endswith(("_bucket", "_created")):
            continue
        labels = sorted(re.findall(r'(\w+="(?:[^"\\]|\\.)*")', _STREAM.sub("", match[2] or "")))
        text = "{" + ",".join(labels) + "}" if labels else ""
        found.append(f"{match[1]}{text} {float(match[3]):g}")
    return sorted(found)


def sorted_expected(sample: Sample) -> list[str]:
    """Return what has to come of a sample as `short` has it."""
    return sorted(line.replace("{}", "") for line in sample.expected)
