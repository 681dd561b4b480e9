"""The ids of panels, which links, and alerts that Grafana evaluates, refer to.

An id follows from the panel's title, so that a panel keeps it when others come, go or move. Imports nothing: alerts
name panels, and dashboards name thresholds of alerts.
"""

from zlib import crc32

_LARGEST = 999_999


def panel_id(title: str, *, row: bool = False) -> int:
    """The id of the panel with this title, or of the row, whose title may be that of a panel in it."""
    return 1 + crc32(f"{'row: ' if row else ''}{title}".encode()) % _LARGEST
