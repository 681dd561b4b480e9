"""The opt-in button that resets a stream from Grafana.

Grafana's panel actions are requests of the reader's own browser, without credentials of Grafana. The exporter refuses
requests to switch something that come from a page of another origin, so the action works only where Grafana and
the exporter are reached at one origin: paths of one reverse proxy, which also has to say who may post.
"""

import copy
from typing import Any

PANELS = ("State of each stream",)
"""Titles of the panels that get the button: state timelines, since stats cannot have actions."""


def with_reset(dashboard: dict[str, Any], base_url: str) -> dict[str, Any]:
    """A copy of a dashboard whose state panels can reset their streams.

    Args:
        base_url: Where the exporter's pages are for a browser, as in `/iris-exporter`; without a slash at its end.
    """
    changed = copy.deepcopy(dashboard)
    for panel in changed["panels"]:
        if panel["title"] in PANELS:
            panel["fieldConfig"]["defaults"]["actions"] = [_reset(base_url)]
    return changed


def _reset(base_url: str) -> dict[str, Any]:
    return {
        "type": "fetch",
        "title": "Reset ${__field.labels.stream}",
        "confirmation": "Forget everything about this stream and connect anew?",
        "oneClick": False,
        "fetch": {
            "method": "POST",
            "url": f"{base_url}/api/v1/streams/${{__field.labels.stream:percentencode}}/reset",
            "headers": [],
            "queryParams": [],
            "body": "",
        },
    }
