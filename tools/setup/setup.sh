#!/bin/sh
# Installs what building and running need. A second call is silent and quick.
#
# SLOPOS_TOOLCHAIN chooses where the bare-metal target comes from: `rustup`, `debian` (the distribution's compiler,
# with its libraries built here once), or `auto`, which tries them in that order. The choice is left in
# build/toolchain.env for the build.
set -eu
cd "$(dirname "$0")/../.."

mode=${SLOPOS_TOOLCHAIN:-auto}
target=x86_64-unknown-none
stamp=build/setup.stamp
scripts=$(cat tools/setup/setup.sh tools/setup/packages.sh tools/setup/debian_toolchain.sh rust-toolchain.toml | cksum)

case $mode in
    auto | rustup | debian) ;;
    *) echo "setup: SLOPOS_TOOLCHAIN is auto, rustup or debian, not $mode" >&2; exit 2 ;;
esac

# Whether an earlier call of these very scripts has done all that this one would do.
is_done() {
    [ -f "$stamp" ] && [ -f build/toolchain.env ] && command -v qemu-system-x86_64 >/dev/null || return 1
    read -r way sum <"$stamp" || return 1
    [ "$sum" = "$scripts" ] || return 1
    [ "$mode" = auto ] || [ "$mode" = "$way" ] || return 1
    [ "$way" = rustup ] || [ -x build/toolchain/bin/rustc ]
}

. tools/setup/packages.sh

# The target by rustup. A machine without rustup's server must not wait for it for ever.
by_rustup() {
    command -v rustup >/dev/null || return 1
    rustup target list --installed 2>/dev/null | grep -qx "$target" && return
    echo "setup: adding the target $target by rustup" >&2
    timeout 60 rustup target add "$target" >&2 </dev/null
}

# The target from Debian's compiler.
by_debian() {
    missing=
    for package in rustc-web cargo-web rust-web-src; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
    done
    command -v ld.lld >/dev/null || missing="$missing lld"
    if [ -n "$missing" ]; then
        # shellcheck disable=SC2086 # the list is meant to be split
        install_packages $missing || return 1
    fi
    tools/setup/debian_toolchain.sh build/toolchain
}

is_done && exit
mkdir -p build
rm -f "$stamp"

missing=
command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
# The end-to-end tests fetch from Python's web server.
command -v python3 >/dev/null || missing="$missing python3"
# Cargo links the host tools with it.
command -v cc >/dev/null || missing="$missing gcc libc6-dev"
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # the list is meant to be split
    install_packages $missing
fi

# rustup's smallest profile has neither, and the tests need both.
if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    rustup component add rustfmt clippy >&2 </dev/null
fi

if [ "$mode" != debian ] && by_rustup; then
    way=rustup
    echo "BARE_TOOLCHAIN=" >build/toolchain.env
elif [ "$mode" != rustup ] && by_debian; then
    way=debian
    echo "BARE_TOOLCHAIN=build/toolchain" >build/toolchain.env
else
    echo "setup: no compiler for $target: neither rustup nor Debian's packages gave one" >&2
    exit 1
fi
echo "$way $scripts" >"$stamp"
echo "setup: done, $target by $way" >&2
