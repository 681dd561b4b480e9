#!/usr/bin/env bash
# Download what draws the diagrams of the documentation, as GitHub does: one file of the npm package, which needs no other.
set -euo pipefail
version=11.17.2
directory=.tools/mermaid
rm -rf "$directory"
mkdir -p "$directory"
(cd "$directory" && npm pack --silent "mermaid@$version" >/dev/null)
tar -xzf "$directory/mermaid-$version.tgz" -C "$directory" --strip-components=2 package/dist/mermaid.min.js
tar -xzf "$directory/mermaid-$version.tgz" -C "$directory" --strip-components=1 package/LICENSE
rm "$directory/mermaid-$version.tgz"
