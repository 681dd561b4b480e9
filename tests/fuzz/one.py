"""Fuzzes one target until the fuzzer ends the process: `python -m tests.fuzz.one TARGET [libFuzzer options]`."""

import sys

import atheris

# Coverage of our own code steers the fuzzer; what is imported before cannot be instrumented any more.
with atheris.instrument_imports(include=["iris_exporter"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
