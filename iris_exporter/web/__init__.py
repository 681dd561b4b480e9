"""The HTTP door: /metrics, health, control and the landing page."""
