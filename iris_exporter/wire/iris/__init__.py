"""The schema's package `iris`, by versions."""
