"""One colour for each meaning: of dashboards, alerts and the landing page. A word or a sign is always beside it.

Colours of one table are told apart by people who see no red, no green or no blue, too; each stands out from light and
from dark backgrounds (3:1 at least, WCAG 2.2, 1.4.11), and carries text (`text_on`). tests/core/test_palette.py holds
all of that, so a colour is replaced by trying another one there. They are fixed: a reason has the same colour
wherever and beside whatever it is shown.
"""

from iris_exporter.core.reasons import FailureClass
from iris_exporter.core.status import State

GOOD = "#348449"  # green
PENDING = "#b48501"  # yellow
WARNING = "#b6511b"  # orange
ERROR = "#ea5b6b"  # red
CRITICAL = "#9662b6"  # purple
INFO = "#247afb"  # blue
OFF = "#6c7077"  # grey

STATES: dict[State, str] = {
    State.LIVE: GOOD,
    State.CONNECTING: PENDING,
    State.POLLING: WARNING,
    State.ERROR: ERROR,
    State.DISCONNECTED: OFF,
}

SEVERITIES: dict[str, str] = {"info": INFO, "warning": WARNING, "error": ERROR, "critical": CRITICAL}
"""Of events, anomalies and alerts."""

STATUSES: dict[str, str] = {"healthy": GOOD, "warning": WARNING, "critical": CRITICAL, "other": OFF}
"""Of projects."""

FLOWS: dict[str, str] = {"flowing": GOOD, "idle": INFO, "silent": ERROR}
"""What arrives while connected (`model.snapshot.DataFlow`)."""

CLASSES: dict[FailureClass, str] = {
    FailureClass.UNREACHABLE: "#6765ca",  # indigo
    FailureClass.REFUSED: "#dd408a",  # pink
    FailureClass.BROKEN: "#95693b",  # brown
    FailureClass.LIMITED: "#3295ab",  # cyan
    FailureClass.ENDED: OFF,
}

REASONS: dict[str, str] = {
    # unreachable
    "connection_refused": "#6765ca",
    "dns": "#9b80bb",
    "connection_reset": "#6189cd",
    "unreachable": "#aa6eee",
    "network": "#7869a1",
    "timeout": "#67779e",
    "proxy": "#8c54cb",
    "abnormal_closure": "#7679fc",
    "heartbeat_timeout": "#3870be",
    # refused
    "unauthorized": "#dd408a",
    "forbidden": "#b87171",
    "tls_certificate": "#ef2747",
    "client_certificate": "#926087",
    "proxy_refused": "#c71eb6",
    "redirect": "#cc65bd",
    "not_found": "#c37595",
    "gone": "#b25267",
    "no_content": "#fb126b",
    "conflict": "#b04e80",
    "misdirected": "#a36d7f",
    "http_client_error": "#d32566",
    "upgrade_refused": "#ac59a2",
    "policy_violation": "#a973a0",
    "credentials": "#f246b3",
    "position_refused": "#ce6277",
    "misconfigured": "#f25486",
    # broken
    "http_server_error": "#95693b",
    "tls": "#978a70",
    "handshake": "#ab8473",
    "protocol_error": "#ab8544",
    "server_error": "#826b5d",
    "not_a_stream": "#b66b4e",
    "not_json": "#7c6e4b",
    "decode": "#8b6f1f",
    "unknown_shape": "#b67c4f",
    "internal": "#9e7f5c",
    "out_of_sync": "#907c4c",
    "other": "#9a6e5c",
    # limited
    "rate_limited": "#3295ab",
    "try_again_later": "#1f78a3",
    "unavailable": "#087d7c",
    "connection_budget": "#628887",
    "message_too_large": "#718ea1",
    # ended
    "closed": OFF,
    "going_away": "#9c8788",
    "planned_end": "#7b7c9e",
    "service_restart": "#858f83",
    "requested": "#6f715f",
}
"""Shades of the colour of the reason's class."""


def text_on(colour: str) -> str:
    """Black or white, whichever is easier to read on a colour in the form `#rrggbb`; 4.5:1 at least on ours.

    Source: WCAG 2.2, relative luminance and contrast ratio.
    """
    red, green, blue = (_linear(int(colour[start : start + 2], 16) / 255) for start in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
