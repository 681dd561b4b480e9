"""The dashboards as files, and a client that puts them into a Grafana; nothing here is loaded by the sidecar."""
