"""A configuration file with every option of the table, its help and its default."""

import json
import re
import textwrap

from iris_exporter.config.options import GROUPS, OPTIONS, Option

EXAMPLE_URL = "https://iris.example.com/api/stream"

_HEAD = """\
Configuration of iris-exporter. One thing has to be given: the address of a stream.

A line that begins with # and a key is an option with its default, or for one that is not set with what it takes.
Check a change with: iris-exporter --config.check --config.file=FILE
Flags and variables, and no keys, are: {outside}."""
_STREAMS = """\
Several streams, in the place of the section stream: each takes its keys, and needs a name. defaults: is for all of
them, and takes the same keys but for name and url.

#streams:
#  - name: one
#    url: https://one.example.com/api/stream
#  - name: two
#    url: https://two.example.com/api/stream
#defaults:
#  poll-interval: 1m"""
_MAPPINGS = """\
What streams of JSON mean that are not IRIS, by names that streams take as mapping: (`iris-exporter map --list` shows
those that are shipped, `--schema` the language).

#mappings:
#  parcels:
#    namespace: parcels
#    messages:
#      - kind: delivered
#        when: {$.type: delivered}
#        id: $.id
#        metrics:
#          - {name: delivered_total, type: counter, help: Parcels delivered., labels: {town: $.town}}"""
_WIDTH = 110


def example() -> str:
    """Return the file. It can be used: it has the address of one stream, and everything else is a default."""
    outside = ", ".join(option.flag for option in OPTIONS if not option.in_file)
    parts = [_comment(_HEAD.format(outside=outside))]
    for group, title in GROUPS.items():
        options = [option for option in OPTIONS if option.group == group and option.in_file]
        top_level = [option for option in options if "." not in option.key]
        below = [option for option in options if "." in option.key]
        if options:
            parts.append(f"\n# {title}\n")
        parts.extend(_entry(option, option.key, 0) for option in top_level)
        if below:
            parts.append(f"\n{group}:\n")
            parts.append("\n".join(_entry(option, option.name, 2) for option in below))
    parts.append("\n" + _comment(_STREAMS))
    parts.append("\n" + _comment(_MAPPINGS))
    return "".join(parts)


def _comment(text: str, indent: int = 0) -> str:
    """The text as comments; lines that are comments already stay as they are."""
    lines = (line if line.startswith("#") else f"# {line}".rstrip() for line in text.splitlines())
    return "".join(f"{' ' * indent}{line}\n" for line in lines)


def _entry(option: Option, name: str, indent: int) -> str:
    default = f"{'Not set' if option.default is None else f'Default {option.default}'}: {option.reason}."
    text = "\n".join(textwrap.fill(part, _WIDTH, break_on_hyphens=False) for part in (f"{option.help}.", default))
    *sections, key = name.split(".")
    lines = [f"{'  ' * depth}#{section}:" for depth, section in enumerate(sections)]
    lines.append(f"{'  ' * len(sections)}{'' if option.key == 'stream.url' else '#'}{key}: {_value(option)}")
    return _comment(text[:1].upper() + text[1:], indent) + "".join(f"{' ' * indent}{line}\n" for line in lines)


def _value(option: Option) -> str:
    if option.key == "stream.url":
        return EXAMPLE_URL
    text = _plain(option.type.metavar if option.default is None else option.default)
    return f"[{text}]" if option.type.many else text


def _plain(text: str) -> str:
    """A value as YAML: in quotes where it is anything but words."""
    return text if re.fullmatch(r"[\w/][\w./-]*", text) else json.dumps(text)
