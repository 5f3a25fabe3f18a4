# Functions that build for the bare machine; to be sourced at the root of the tree, after setup.
#
# $output is cargo's output folder, $apps the folder with the apps' ELF files.
. tools/setup/common.sh
. build/toolchain.env
bare_target=x86_64-unknown-none
output=${CARGO_TARGET_DIR:-$PWD/target}
apps=$output/bare-apps/$bare_target/release

# build_bare FOLDER ARGUMENT...: builds for the bare machine into the output folder bare-FOLDER. Kernel and apps have
# a folder each, so that the features which one asks of a library do not reach the other.
build_bare() (
    folder=$output/bare-$1
    shift
    if [ -n "$BARE_TOOLCHAIN" ]; then
        export RUSTUP_TOOLCHAIN="$PWD/$BARE_TOOLCHAIN"
    fi
    # Cargo does not see when these change, and would keep what was built before. Each compiler has a stamp of its own.
    stamp=$folder/built-by-${BARE_TOOLCHAIN##*/}
    by=$(cat tools/setup/rustc_remapped.sh ${BARE_TOOLCHAIN:+"$BARE_TOOLCHAIN/version"} | cksum)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$by" ]; then
        if [ -f "$stamp" ] || ! ls "$folder"/built-by-* >/dev/null 2>&1; then rm -rf "$folder"; fi
        mkdir -p "$folder"
        echo "$by" >"$stamp"
    fi
    # The same bytes in whatever folder, for whichever user.
    export SLOPOS_WRAPPER="${RUSTC_WRAPPER:-}" RUSTC_WRAPPER="$PWD/tools/setup/rustc_remapped.sh"
    export SLOPOS_ROOT SLOPOS_LIBRARY SLOPOS_COMPILER
    SLOPOS_ROOT=$(pwd -P)
    SLOPOS_LIBRARY=$(rustc --print sysroot)/lib/rustlib/src/rust
    SLOPOS_COMPILER=$(rustc -vV | sed -n 's/^commit-hash: //p')
    shown build --release --target "$bare_target" --target-dir "$folder" "$@"
)

# Builds the apps and the programs of the tests. A program's folder, its package and its binary have one name.
build_apps() {
    set --
    for manifest in userland/apps/*/Cargo.toml userland/tests/*/Cargo.toml; do
        set -- "$@" -p "$(basename "$(dirname "$manifest")")"
    done
    build_bare apps "$@"
}

# build_outside MANIFEST: builds the programs that the manifest takes from outside of this tree (`path`).
build_outside() {
    "$output/debug/manifest" --outside "$1" | while IFS= read -r folder; do
        build_bare apps --manifest-path "$folder/Cargo.toml" </dev/null
    done
}
