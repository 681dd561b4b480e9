"""Grafana dashboards as code: `main.py` writes json/, which is committed and shipped."""

import importlib
import warnings

with warnings.catch_warnings():
    # Each form of a dashboard that the SDK knows recommends the newest one as it is imported; Grafana before 13 and
    # provisioning by file read the classic one.
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    for form in ("dashboard", "dashboardv2", "dashboardv2beta1"):
        importlib.import_module(f"grafana_foundation_sdk.builders.{form}")
