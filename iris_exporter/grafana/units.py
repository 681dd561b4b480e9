"""Units as Grafana calls them, and where the scales of graphs end."""

LEAST_TOP = {"short": 4, "locale": 4, "s": 0.1, "cps": 1, "percentunit": 0.1, "bytes": 1 << 20, "Bps": 1024}
"""By unit: where the scale ends at least, for what begins at 0. One of zeros alone would end at 100."""

_BY_ENDING = {
    "seconds": "s", "bytes": "bytes", "bytes_per_second": "Bps", "ratio": "percentunit", "celsius": "celsius",
    "meters": "lengthm", "meters_per_second": "velocityms", "radians": "radian", "volts": "volt", "amperes": "amp",
    "watts": "watt", "joules": "joule", "hertz": "hertz", "pascals": "pressurepa", "kelvin": "kelvin",
}  # fmt: skip


def unit_of(name: str, plain: str = "short") -> str:
    """Grafana's name for the base unit that a metric's name ends in, the longest that fits; otherwise `plain`."""
    base = name.removesuffix("_total")
    endings = sorted(_BY_ENDING, key=len, reverse=True)
    return next((_BY_ENDING[ending] for ending in endings if base.endswith(f"_{ending}")), plain)
