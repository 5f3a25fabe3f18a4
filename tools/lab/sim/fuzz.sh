#!/bin/sh
# Runs a fuzz target for some seconds: fuzz.sh TARGET SECONDS [libFuzzer's options].
#
# libFuzzer needs a nightly compiler; without one, `cargo test -p slopos-sim` drives the same targets by proptest.
set -eu
cd "$(dirname "$0")/../../.."
target=$1
seconds=${2:-60}
[ $# -lt 2 ] || shift
shift
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is missing: cargo install cargo-fuzz" >&2
    exit 1
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: a nightly compiler is missing: rustup toolchain install nightly" >&2
    exit 1
fi
if [ ! -d "tools/lab/fuzz/corpus/$target" ]; then
    echo "fuzz: there is no target $target; there are:" tools/lab/fuzz/corpus/* >&2
    exit 1
fi
# What the fuzzer finds goes beside the build, so that the corpus in the repository stays small.
found=${CARGO_TARGET_DIR:-target}/fuzz-corpus/$target
mkdir -p "$found"
exec cargo +nightly fuzz run --fuzz-dir tools/lab/fuzz "$target" "$found" "tools/lab/fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 "$@"
