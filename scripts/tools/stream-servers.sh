#!/usr/bin/env bash
# Install servers of streams that are not ours: npm packages in a tree of their own, without what they compile or offer beside.
set -euo pipefail
directory=.tools/stream-servers
rm -rf "$directory"
mkdir -p "$directory"
# Node-RED 5 wants a later Node.js than Debian has.
npm install --silent --no-audit --no-fund --omit=optional --ignore-scripts --prefix "$directory" \
    socket.io@4.8.4 node-red@4.1.15
