#!/bin/sh
# Calls the compiler so that no path of this machine gets into what it makes: rustc_remapped.sh RUSTC ARGUMENT...
#
# Cargo calls it as RUSTC_WRAPPER. The paths are given here rather than in RUSTFLAGS because cargo derives the names of
# its output folders from those, and such a name stands in the debug information of what a build script wrote.
#
# | from | is called |
# |---|---|
# | the tree, SLOPOS_ROOT | /slopos |
# | a package elsewhere | /crates/NAME-VERSION |
# | what a package's build script wrote | /out/NAME |
# | the language's library, SLOPOS_LIBRARY | /rustc/COMMIT, as where its sources are not installed |
set -eu
rustc=$1
shift
# Without a package, cargo asks for the compiler's version only.
if [ -n "${CARGO_MANIFEST_DIR:-}" ]; then
    set -- "$@" "--remap-path-prefix=$SLOPOS_ROOT=/slopos" "--remap-path-prefix=$SLOPOS_LIBRARY=/rustc/$SLOPOS_COMPILER"
    # Where the way to a package goes through a link, cargo says the way, and the compiler where it ends.
    package=$(cd "$CARGO_MANIFEST_DIR" && pwd -P)
    case $package/ in
        "$SLOPOS_ROOT"/*) ;;
        *)
            name=/crates/$CARGO_PKG_NAME-$CARGO_PKG_VERSION
            set -- "$@" "--remap-path-prefix=$CARGO_MANIFEST_DIR=$name" "--remap-path-prefix=$package=$name"
            ;;
    esac
    # The last one that fits wins, and this may lie in the tree.
    if [ -n "${OUT_DIR:-}" ]; then
        set -- "$@" "--remap-path-prefix=$OUT_DIR=/out/$CARGO_PKG_NAME"
    fi
fi
# Whoever has a wrapper of their own, a cache of compilations say, keeps it.
if [ -n "${SLOPOS_WRAPPER:-}" ]; then
    exec "$SLOPOS_WRAPPER" "$rustc" "$@"
fi
exec "$rustc" "$@"
