"""The HTTP server: /metrics, health, control and the landing page."""
