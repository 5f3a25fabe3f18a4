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
