"""What every export says about its origin."""

import uuid
from collections.abc import Mapping

_SDK = "iris_exporter.instruments.telemetry"
"""`telemetry.sdk.name` is `opentelemetry` for that project's own SDK alone; others give a name of theirs."""


def resource_attributes(given: Mapping[str, str], version: str, instance: str | None = None) -> dict[str, str]:
    """The attributes of the resource; what the operator gave wins.

    Args:
        given: `OtelSettings.resource`.
        version: Of this program.
        instance: What tells this process from others; None for a new random id, the same until the process ends.
    """
    return {
        "service.name": "iris-exporter",
        "service.version": version,
        "service.instance.id": str(uuid.uuid4()) if instance is None else instance,
        "telemetry.sdk.name": _SDK,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version,
        **given,
    }
