#!/usr/bin/env bash
# Install servers of streams that are not ours, at the versions of their lock, without what they compile or offer beside.
# Node-RED 5 and later versions of Signal K want a later Node.js than Debian has. Signal K's WebSocket is made by Primus 7,
# which takes whatever ws is at the top of the tree without asking for one. With ws 8 the server is given text; with the
# ws 7 of Node-RED, which npm puts there by itself, it is given objects, and drops them without a word. So package.json
# asks for ws 8.
set -euo pipefail
directory=.tools/stream-servers
rm -rf "$directory"
mkdir -p "$directory"
cp scripts/tools/stream-servers/{package.json,package-lock.json,.npmrc} "$directory"
(cd "$directory" && npm ci --silent --omit=optional --ignore-scripts --no-audit --no-fund)
