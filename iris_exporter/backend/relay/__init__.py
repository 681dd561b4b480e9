"""The relay: an IRIS that has only REST, as a source of the backend."""
