#!/usr/bin/env bash
# Download what the package needs to run, for the Python of .venv, to .tools/runtime-wheels, and what pipx puts into each
# environment, so that tests install the wheel without a network. scripts/tools.sh calls this.
set -Eeuo pipefail
target=.tools/runtime-wheels
rm -rf "$target"
.venv/bin/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir "$target" . pip setuptools wheel
rm "$target"/iris_exporter-*.whl
