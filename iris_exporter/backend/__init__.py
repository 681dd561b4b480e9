"""The reference IRIS backend: a program of its own for people who build an IRIS backend."""
