"""Grafana dashboards as code: `main.py` writes json/, which is committed and shipped."""
