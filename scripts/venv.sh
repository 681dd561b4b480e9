#!/bin/sh
# Make or refresh the virtual environment: venv.sh DIRECTORY runtime|dev|fuzz
#
# `runtime` installs the project and what it needs to run; `dev` and `fuzz` add pyproject's groups of these names. Each
# leaves a stamp file that make compares with pyproject.toml. PYTHON=/path/to/python chooses the interpreter for a new
# environment.
set -eu
venv=$1 what=$2

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if is_recent "$candidate"; then echo "$candidate"; return; fi
    done
    echo "iris-exporter needs Python 3.11 or newer, and none was found as python3, python3.14, ... python3.11." >&2
    echo "Install one, or name it: make ${MAKECMDGOALS:-test} PYTHON=/path/to/python3" >&2
    return 1
}

# An environment that was cut short, or whose interpreter has gone, is made anew.
if ! is_recent "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        echo "$python has no working 'venv' module. On Debian or Ubuntu: apt-get install $version-venv" >&2
        exit 1
    fi
    echo "Making $venv with $("$python" --version) ..."
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

echo "Installing the $what dependencies into $venv ..."
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
case $what in
    runtime) pip install --editable . ;;
    dev|fuzz)
        # Dependency groups need pip 25.1; the one that ships with Python 3.11 is older.
        pip install --upgrade 'pip>=25.1'
        pip install --group "$what"
        ;;
    *) echo "venv.sh: runtime, dev or fuzz, not '$what'" >&2; exit 2 ;;
esac
touch "$venv/.installed-$what"
