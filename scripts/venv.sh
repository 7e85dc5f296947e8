#!/bin/sh
# Makes .venv and installs the toolkit with the named extras: scripts/venv.sh all,test; or none: scripts/venv.sh base.
# A second call with nothing changed does nothing. What cannot be done is said in one sentence, with exit status 1.
# PYTHON=... names the Python to use.
set -eu
cd "$(dirname "$0")/.."
extras=${1:?"usage: scripts/venv.sh EXTRAS"}
stamp=.venv/installed.txt
here=$(pwd -P)
requirement=".[$extras]" size=" and, on Linux, about 6 GB"
if [ "$extras" = base ]; then
    requirement=. size=
fi
key=$(cat pyproject.toml constraints.txt | cksum)

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Each candidate is run, not only found: version managers leave commands of that name that do not work.
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    without_venv=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3
    fi
    for candidate in "$@"; do
        is_new_enough "$candidate" || continue
        if has_venv "$candidate"; then
            python=$candidate
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [ -n "$without_venv" ]; then
        version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$without_venv cannot make a virtual environment because its venv module is incomplete; on Debian and" \
            "Ubuntu install it with: sudo apt install python$version-venv"
    fi
    if [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a Python 3.11 or newer that runs; name one that is, or leave PYTHON out."
    fi
    fail "No Python 3.11 or newer was found (tried $(echo "$@" | sed 's/ /, /g')); install one (Debian, Ubuntu: sudo" \
        "apt install python3 python3-venv; macOS: brew install python@3.13) or name it with PYTHON=/path/to/python3."
}

is_installed() {
    [ -f "$stamp" ] && [ "$(sed -n 1p "$stamp")" = "$key" ] && [ "$(sed -n 2p "$stamp")" = "$here" ] || return 1
    has=$(sed -n 3p "$stamp")
    [ "$has" = "$extras" ] || [ "$has" = all,test ] || [ "$extras" = base ]
}

# One that was copied or moved, or whose Python has gone, is made anew.
is_usable() {
    [ ! -f "$stamp" ] || [ "$(sed -n 2p "$stamp")" = "$here" ] || return 1
    is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1
}

if is_installed && is_new_enough .venv/bin/python; then
    exit 0
fi
if [ -e .venv ] && ! is_usable; then
    echo "The environment in .venv does not work here any more; making it anew."
    rm -rf .venv
fi
if [ ! -e .venv ]; then
    find_python
    echo "Making .venv with $python ..."
    "$python" -m venv .venv >/dev/null 2>&1 || {
        rm -rf .venv
        fail "$python could not make a virtual environment in $here/.venv; see why with: $python -m venv .venv"
    }
fi

log=.venv/install.log
echo "Installing the toolkit ($extras) into .venv; the first time takes a minute or more$size ..."
rm -f "$stamp" .venv/failed
{
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
        --editable "$requirement" --constraint constraints.txt || : >.venv/failed
} 2>&1 | tee "$log" | sed -n -e '/^ *Downloading/p' -e 's/^Installing collected packages:.*/  Unpacking .../p'
if [ -e .venv/failed ]; then
    reason=$(sed -n 's/^ *ERROR: *//p' "$log" | head -n 1)
    fail "pip could not install the toolkit (${reason:-it gave no reason}); its full account is in $log, and the same" \
        "command tries again."
fi
printf '%s\n' "$key" "$here" "$extras" >"$stamp"
