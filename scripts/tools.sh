#!/usr/bin/env bash
# Install the programs that integration tests run, each only where it is missing; `make tools` calls this.
#
# A row of the table is: program, how it comes, what to ask for.
#   apt  a Debian package; used only when the program is not on PATH, and needs root or sudo
#   npm  an npm package at a fixed version, into .tools/node/node_modules
#   go   a Go module at a fixed version, built into .tools/bin
# A test names the first column in `@pytest.mark.needs(...)`.
set -euo pipefail
cd "$(dirname "$0")/.."

table() {
    grep -v '^ *#' <<'ROWS'
prometheus  apt  prometheus
promtool    apt  prometheus
node        apt  nodejs
npm         apt  npm
express     npm  express@5.1.0
ROWS
}

packages=()
while read -r program kind source; do
    if [[ $kind == apt ]] && ! command -v "$program" >/dev/null && [[ " ${packages[*]-} " != *" $source "* ]]; then
        packages+=("$source")
    fi
done < <(table)

if ((${#packages[@]})); then
    as_root=()
    if [[ $(id -u) != 0 ]]; then as_root=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "Missing programs. Please install the packages that Debian calls: ${packages[*]}" >&2
        exit 1
    fi
    echo "Installing Debian packages: ${packages[*]}"
    # Debian starts a service as soon as it is installed; tests want the program alone. A policy that is
    # already there belongs to the machine and decides.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
    fi
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
fi

# A stamp per program holds the version that was asked for, so that a new version in the table is installed.
mkdir -p .tools/bin .tools/stamps
while read -r program kind source; do
    stamp=.tools/stamps/$program
    [[ $kind != apt && "$(cat "$stamp" 2>/dev/null)" != "$source" ]] || continue
    echo "Installing $source ..."
    case $kind in
        npm) npm install --silent --no-audit --no-fund --prefix .tools/node "$source" ;;
        go) GOBIN=$PWD/.tools/bin go install "$source" ;;
        *) echo "tools.sh: '$kind' is not a way to install $program" >&2; exit 2 ;;
    esac
    echo "$source" >"$stamp"
done < <(table)
echo "All programs are there: $(table | awk '{ printf "%s%s", sep, $1; sep = ", " }')."
