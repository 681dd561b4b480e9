"""The diagnosis of a stream: probes make observations, `diagnosis` makes findings of them, `report` shows both."""
