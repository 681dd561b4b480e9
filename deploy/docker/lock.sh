#!/bin/sh
# Write the exact versions and hashes of all that goes into the image, for any platform; needs uv. Run it after a change of
# pyproject.toml's dependencies, or for newer versions with --upgrade.
set -eu
cd "$(dirname "$0")/../.."

lock() {
    target=deploy/docker/$1 words=$2 source=$3
    shift 3
    uv pip compile "$source" --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --quiet \
        --output-file "$target" "$@" >/dev/null
    printf '# Exact versions and hashes of %s; deploy/docker/lock.sh writes it.\n' "$words" | cat - "$target" >"$target.new"
    mv "$target.new" "$target"
}

# GraphQL is for the role of a backend or relay; the exporter subscribes over it without.
lock requirements.txt "what the image needs to run" pyproject.toml --extra graphql "$@"
printf 'hatchling>=1.26\n' | lock build-requirements.txt "what builds the image's own package" - "$@"
