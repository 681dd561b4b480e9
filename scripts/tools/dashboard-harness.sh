#!/usr/bin/env bash
# Install the npm packages that draw dashboards in tests, at the versions of their lock, into .tools/dashboard-harness.
# No script of a package runs. tests/dashboards/harness/.npmrc keeps addresses of registries out of the lock.
set -euo pipefail
directory=.tools/dashboard-harness
rm -rf "$directory"
mkdir -p "$directory"
cp tests/dashboards/harness/{package.json,package-lock.json,.npmrc} "$directory"
(cd "$directory" && npm ci --ignore-scripts --no-audit --no-fund)
# Half of their size, and of no use to a bundle.
find "$directory/node_modules" -name '*.map' -delete
