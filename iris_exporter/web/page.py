"""The landing page: one self-contained HTML document, without script, that shows the streams and switches them."""

from collections.abc import Iterable, Mapping
from html import escape
from itertools import chain
from typing import Any

from iris_exporter.core import palette
from iris_exporter.core.own_failures import ALL_REASONS, PARTS
from iris_exporter.core.reasons import REASONS
from iris_exporter.version import VersionInfo

REFRESH_SECONDS = 10

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --back: #fff; --line: #d8dbe0; --soft: #5b6270 }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --back: #16181c; --line: #363a42; --soft: #a0a7b4 } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back) }
h1 { font-size: 1.5rem; margin-bottom: 0 }
p.version, small { color: var(--soft) }
p.version { margin-top: 0 }
a { color: inherit }
nav a { margin-right: 1.2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: 1.5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .5rem .7rem; border-bottom: 1px solid var(--line) }
td.text { overflow-wrap: anywhere }
time { white-space: nowrap }
form { display: inline }
button { font: inherit; padding: .1rem .6rem; cursor: pointer }
.badge { display: inline-block; padding: 0 .6rem; border-radius: 1rem; font-weight: 600; white-space: nowrap }
""" + "".join(
    f".{name} {{ background: {colour}; color: {palette.text_on(colour)} }}\n"
    for name, colour in chain(palette.STATES.items(), palette.CLASSES.items())
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Sent with the page: nothing is loaded, nothing is run, and nobody may put it in a frame."""


def landing_page(
    version: VersionInfo,
    telemetry_path: str,
    streams: Iterable[Mapping[str, Any]],
    read_only: str | None = None,
    warning: str | None = None,
    failures: Mapping[str, str] | None = None,
) -> str:
    """The page; `streams` are the objects that the API answers. Everything in them is escaped.

    `read_only` says why the reader may switch nothing, and leaves out the buttons. `warning` and `failures`, from parts
    of the exporter that fail now to their reasons, are shown above the streams.
    """
    rows = "".join(_row(stream, buttons=read_only is None) for stream in streams)
    # All relative to the page: a proxy may keep or strip the path before it.
    links = (
        (telemetry_path.removeprefix("/"), "Metrics"),
        ("api/v1/streams", "Streams (JSON)"),
        ("config", "Configuration"),
        ("-/healthy", "Health"),
        ("-/ready", "Readiness"),
    )
    navigation = "".join(f'<a href="{escape(path)}">{escape(text)}</a>' for path, text in links)
    table = f"""<div class="wide"><table>
<thead><tr><th>Stream</th><th>State</th><th>Last update</th><th>Problem</th>\
{"<th>Switch</th>" if read_only is None else ""}</tr></thead>
<tbody>{rows}</tbody></table></div>{f"<p><small>Read-only: {escape(read_only)}.</small></p>" if read_only else ""}"""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>IRIS exporter</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}">
<style>{_STYLE}</style></head><body>
<h1>IRIS exporter</h1>
<p class="version">Version {escape(version.version)}, revision {escape(version.revision)}, \
Python {escape(version.python)}</p>
<nav>{navigation}</nav>
{f"<p><strong>Warning:</strong> {escape(warning)}</p>" if warning else ""}
{_exporter_failures(failures or {})}
{table if rows else "<p>No stream is configured.</p>"}
</body></html>
"""


def _exporter_failures(failures: Mapping[str, str]) -> str:
    if not failures:
        return ""
    items = "".join(
        f"<li>{_prose(_sentence(PARTS[part]))}<br><small><code>{escape(part)}</code>, {escape(reason)}: "
        f"{_prose(ALL_REASONS[reason])}</small></li>"
        for part, reason in failures.items()
    )
    return f"<p><strong>Problems of the exporter itself:</strong></p><ul>{items}</ul>"


def _row(stream: Mapping[str, Any], *, buttons: bool) -> str:
    name = str(stream["name"])
    base = f"api/v1/streams/{name}"
    forms = " ".join(
        f'<form method="post" action="{escape(f"{base}/{action}")}"><button>{action.capitalize()}</button></form>'
        for action in ("connect", "disconnect", "reset")
    )
    url = escape(str(stream["url"]))
    return f"""<tr id="{escape(f"stream-{name}")}">
<td class="text"><a href="{escape(base)}/overview">{escape(name)}</a><br><small>{url}</small></td>
<td>{_state(stream)}</td>
<td>{_time(stream["last_update"])}</td>
<td class="text">{_problem(stream)}</td>
{f"<td>{forms}</td>" if buttons else ""}</tr>"""


def _in_use(stream: Mapping[str, Any]) -> str:
    """The protocol, with what is used on top of it."""
    more = [stream[name] for name in ("encoding", "compression") if stream[name] not in ("none", "json")]
    return ", ".join([str(stream["protocol"]), *more, *(stream["extensions"] or ())])


def _state(stream: Mapping[str, Any]) -> str:
    state, attempt = str(stream["state"]), stream["reconnect_attempt"]
    text = state.capitalize()
    if state == "connecting" and attempt:
        text += f" (attempt {attempt})"
    notes = [escape(_in_use(stream)), f"since {_time(stream['state_changed_at'])}"]
    if stream["next_attempt_at"] is not None and state != "live":
        notes.append(f"next attempt {_time(stream['next_attempt_at'])}")
    return f"{_badge(state, text)}{''.join(f'<br><small>{note}</small>' for note in notes)}"


def _time(text: str | None) -> str:
    """A time of the API, or never."""
    return f"<time>{escape(text)}</time>" if text else "never"


def _badge(name: str, text: str) -> str:
    """The colour says no more than the text does."""
    return f'<span class="badge {escape(name)}">{escape(text)}</span>'


def _problem(stream: Mapping[str, Any]) -> str:
    """What is wrong now, in the words of docs/failures.md, and what to do about it."""
    failure = stream["failure"]
    if failure is None:
        return ""
    reason = REASONS[failure["reason"]]
    times = f"Not as wished since {_time(failure['since'])}, last failure {_time(stream['last_failure_at'])}"
    return f"""{_badge(reason.failure_class, reason.failure_class.capitalize())} {escape(str(stream["error"]))}\
<br>{_prose(_sentence(reason.meaning))}<br><small>{_prose(reason.advice)}<br>{times}</small>"""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _prose(text: str) -> str:
    """A sentence of ours as HTML: what stands in backticks is code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
