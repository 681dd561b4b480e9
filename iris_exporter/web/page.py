"""The landing page: an HTML document that shows the streams and switches them.

It is complete without its script, which is a file beside it and makes it move by what `/api/v1/follow` says.
"""

import pkgutil
from collections.abc import Iterable, Mapping
from html import escape
from itertools import chain, islice
from typing import Any

from iris_exporter.core import palette, runbooks
from iris_exporter.core.own_failures import ALL_REASONS, PARTS
from iris_exporter.core.positions import Outcome
from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import State
from iris_exporter.model.snapshot import DataFlow
from iris_exporter.version import VersionInfo
from iris_exporter.web.links import Link, Links

REFRESH_SECONDS = 10
"""Between two loads of the page, where there is no script."""
NO_LINKS = Links()
EVENTS = 10
SCRIPT = "page.js"
"""The path of the script, relative to the page."""

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --back: #fff; --line: #d8dbe0; --soft: #5b6270 }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --back: #16181c; --line: #363a42; --soft: #a0a7b4 } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back) }
h1 { font-size: 1.5rem; margin-bottom: 0 }
p.version, small { color: var(--soft) }
p.version { margin-top: 0 }
a { color: inherit }
nav a, .links { display: inline-block; margin-right: 1.2rem }
.links a { margin: 0 .5rem 0 0 }
section { margin: 1.5rem 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem;
  overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 0 0 .4rem }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .5rem 1rem; margin: .8rem 0 }
dt { color: var(--soft); font-size: .85em }
dd { margin: 0; font-variant-numeric: tabular-nums }
ol { list-style: none; margin: .4rem 0; padding: 0 }
ol li { padding: .15rem 0; border-top: 1px solid var(--line) }
time { white-space: nowrap }
form { display: inline }
button { font: inherit; padding: .1rem .6rem; cursor: pointer }
.badge { display: inline-block; padding: 0 .6rem; border-radius: 1rem; font-weight: 600; white-space: nowrap }
""" + "".join(
    f".{name} {{ background: {colour}; color: {palette.text_on(colour)} }}\n"
    for name, colour in chain(palette.STATES.items(), palette.CLASSES.items())
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Sent with the page: it loads and runs its own script alone, asks this server alone, and is in nobody's frame."""


def script() -> str:
    """The script of the page."""
    # `importlib.resources` would bring a reader of archives, and a quarter of a mebibyte.
    found = pkgutil.get_data("iris_exporter.web", f"static/{SCRIPT}")
    assert found is not None  # noqa: S101 (None only without a loader)
    return found.decode()


def landing_page(
    version: VersionInfo,
    telemetry_path: str,
    streams: Iterable[tuple[Mapping[str, Any], Iterable[Mapping[str, Any]]]],
    read_only: str | None = None,
    warning: str | None = None,
    failures: Mapping[str, str] | None = None,
    external: Links = NO_LINKS,
) -> str:
    """The page; `streams` are the objects that the API answers, and their events. Everything in them is escaped.

    `read_only` says why the reader may switch nothing, and leaves out the buttons. `warning` and `failures`, from parts
    of the exporter that fail now to their reasons, are shown above the streams. `external` is where links lead to that
    leave the exporter.
    """
    rows = "".join(_section(stream, events, external, buttons=read_only is None) for stream, events in streams)
    # All relative to the page: a proxy may keep or strip the path before it.
    links = (
        (telemetry_path.removeprefix("/"), "Metrics"),
        ("api/v1/streams", "Streams (JSON)"),
        ("config", "Configuration"),
        ("-/healthy", "Health"),
        ("-/ready", "Readiness"),
    )
    navigation = "".join(f'<a href="{escape(path)}">{escape(text)}</a>' for path, text in links)
    dashboards = _links("Dashboards", external.dashboards())
    note = f"<p><small>Read-only: {escape(read_only)}.</small></p>" if read_only else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>IRIS exporter</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<noscript><meta http-equiv="refresh" content="{REFRESH_SECONDS}"></noscript>
<style>{_STYLE}</style><script src="{SCRIPT}" defer></script></head><body>
<h1>IRIS exporter</h1>
<p class="version">Version {escape(version.version)}{_revision(version)}, \
Python {escape(version.python)}</p>
<nav>{navigation}{dashboards}</nav>
<main>
{f"<p><strong>Warning:</strong> {escape(warning)}</p>" if warning else ""}
{_exporter_failures(failures or {}, external)}
{rows + note if rows else "<p>No stream is configured.</p>"}
</main>
</body></html>
"""


def _revision(version: VersionInfo) -> str:
    return "" if version.revision == "unknown" else f", revision {escape(version.revision)}"


def _links(title: str, links: Iterable[Link]) -> str:
    """Links that leave the exporter, after a word; nothing without one."""
    shown = " ".join(f'<a href="{escape(url)}" rel="noreferrer">{escape(text)}</a>' for url, text in links)
    return f'<span class="links">{title}: {shown}</span>' if shown else ""


def _exporter_failures(failures: Mapping[str, str], external: Links) -> str:
    if not failures:
        return ""
    items = "".join(
        f"<li>{_prose(_sentence(PARTS[part]))}<br><small><code>{escape(part)}</code>, {escape(reason)}: "
        f"{_prose(ALL_REASONS[reason])} {_links('Runbook', external.runbook(runbooks.BY_PART.get(part)))}</small></li>"
        for part, reason in failures.items()
    )
    return f"<p><strong>Problems of the exporter itself:</strong></p><ul>{items}</ul>"


def _section(stream: Mapping[str, Any], events: Iterable[Mapping[str, Any]], external: Links, *, buttons: bool) -> str:
    name = str(stream["name"])
    base = f"api/v1/streams/{name}"
    forms = " ".join(
        f'<form method="post" action="{escape(f"{base}/{action}")}"><button>{action.capitalize()}</button></form>'
        for action in ("connect", "disconnect", "reset")
    )
    shown = "".join(f'<li class="event">{_event(event)}</li>' for event in islice(events, EVENTS))
    return f"""<section id="{escape(f"stream-{name}")}">
<h2><a href="{escape(base)}/overview">{escape(name)}</a> {_state(stream)}
<small>{escape(str(stream["url"]))}</small>
<div class="problem">{_problem(stream)}</div>
<p>{_links("Runbook", external.runbook(_alert(stream)))}{_links("Dashboards", external.dashboards(name))}</p>
<dl>
<div><dt>Last message</dt><dd class="message">{_time(stream["last_message"])}</dd></div>
<div><dt>Last update</dt><dd class="update">{_time(stream["last_update"])}</dd></div>
<div><dt>Rate</dt><dd class="rate">{stream["messages_total"]} messages so far</dd></div>
<div><dt>Delay</dt><dd class="mean-delay">{_delay(stream["delay"])}</dd></div>
<div><dt>Last resume</dt><dd>{_RESUMES[stream["last_resume"]]}</dd></div>
<div><dt>Events missing</dt><dd class="gaps">{stream["event_gaps_total"]}</dd></div>
</dl>
<ol class="events">{shown or '<li class="none">No event yet.</li>'}</ol>
{forms if buttons else ""}</section>"""


_RESUMES = {
    None: "none was needed",
    Outcome.FULL: "full: nothing is missing",
    Outcome.PARTIAL: "partial: the source had lost some events",
    Outcome.NONE: "none: what was missed is not known",
    Outcome.RESTARTED: "restarted: the source has lost its history, and what was missed is not known",
    Outcome.UNKNOWN: "unknown: nothing shows whether anything is missing",
}


def _delay(delay: Mapping[str, Any]) -> str:
    return f"{delay['sum_seconds'] / delay['count']:.3f} s on average" if delay["count"] else "not known"


def _event(event: Mapping[str, Any]) -> str:
    words = f"{event['project']} {event['event_type']}: {event['message']}"
    at = f" {_time(event['timestamp'])}" if event["timestamp"] else ""
    return f"<strong>{escape(event['severity'])}</strong> {escape(words)}{at}"


def _alert(stream: Mapping[str, Any]) -> str | None:
    """The alert that would be raised for what is wrong with the stream now."""
    failure = stream["failure"]
    reason = None if failure is None else failure["reason"]
    return runbooks.for_stream(State(stream["state"]), reason, is_silent=stream["data_flow"] == DataFlow.SILENT)


def _in_use(stream: Mapping[str, Any]) -> str:
    """The protocol, with what is used on top of it."""
    more = [stream[name] for name in ("encoding", "compression") if stream[name] not in ("none", "json")]
    return ", ".join([str(stream["protocol"]), *more, *(stream["extensions"] or ())])


def _state(stream: Mapping[str, Any]) -> str:
    state, attempt = str(stream["state"]), stream["reconnect_attempt"]
    text = state.capitalize()
    if state == "connecting" and attempt:
        text += f" (attempt {attempt})"
    in_use = _in_use(stream)
    notes = [*([] if in_use == "none" else [escape(in_use)]), f"since {_time(stream['state_changed_at'])}"]
    if stream["next_attempt_at"] is not None and state != "live":
        notes.append(f"next attempt {_time(stream['next_attempt_at'])}")
    return f"{_badge(state, text)}</h2><p><small>{'; '.join(notes)}</small></p>"


def _time(text: str | None) -> str:
    """A time of the API, or never."""
    return f'<time datetime="{escape(text)}">{escape(text)}</time>' if text else "never"


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
