"""Which versions of Grafana the dashboards are written for."""

import re

from iris_exporter.errors import UsageError

OLDEST = (9, 0)
"""It introduced the schema of the files; older ones load them without a complaint, and show some panels empty."""
NEWEST_MAJOR = 13
NEEDED = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST_MAJOR}"


def checked(version: str | None) -> str:
    """A sentence about a Grafana's version, None where it does not tell.

    Raises:
        UsageError: It is too old.
    """
    found = re.match(r"v?(\d+)\.(\d+)", version or "")
    if found is None:
        hidden = "does not tell its version" if not version else f"calls its version {version!r}"
        return f"{hidden}, which could not be checked (needed: {NEEDED})"
    numbers = int(found[1]), int(found[2])
    if numbers < OLDEST:
        raise UsageError(
            f"Grafana {version} is too old for these dashboards, which need {OLDEST[0]}.{OLDEST[1]} or newer "
            f"(written for {NEEDED}); nothing was changed"
        )
    if numbers[0] > NEWEST_MAJOR:
        return f"{version}, newer than what the dashboards were written for ({NEEDED})"
    return f"{version} (needed: {NEEDED})"


def is_newer(version: str) -> bool:
    """Whether it is newer than what the dashboards were written for."""
    found = re.match(r"v?(\d+)\.", version)
    return found is not None and int(found[1]) > NEWEST_MAJOR
