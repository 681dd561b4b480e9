"""The JSON messages of IRIS."""
