#!/bin/sh
# Lets the fuzzer loose on a target: ./just fuzz TARGET [SECONDS] [OPTION of libFuzzer...]
#
# Without a target, lists them. 60 seconds unless said otherwise. What the fuzzer finds goes to target/fuzz-corpus, so that
# the corpus in the tree stays small.
#
# With a nightly compiler the address sanitizer watches too. Where there is none, and none can be installed, libFuzzer
# works with the stable one, without the sanitizer: what is fuzzed has no `unsafe` of its own.
set -eu
cd "$(dirname "$0")/../../.."
. tools/setup/common.sh
usage "$@"

targets=$(ls tools/lab/fuzz/corpus)
if [ $# = 0 ] || [ "$1" = --list ]; then
    echo "$targets"
    exit
fi
target=$1
seconds=${2:-60}
[ $# -lt 2 ] || shift
shift
case $target in
    -* | */* | '') unknown=yes ;;
    *) [ -d "tools/lab/fuzz/corpus/$target" ] && unknown= || unknown=yes ;;
esac
if [ -n "$unknown" ]; then
    echo "fuzz: there is no target $target; there are:" $targets >&2
    exit 2
fi
case $seconds in
    '' | *[!0-9]*)
        echo "fuzz: $seconds is not a number of seconds" >&2
        exit 2
        ;;
esac
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is missing, installing it" >&2
    cargo install --quiet --locked cargo-fuzz
fi
# cargo-fuzz links libFuzzer, which is C++.
if ! command -v c++ >/dev/null; then
    . tools/setup/packages.sh
    install_packages g++
fi
has_nightly() { cargo +nightly --version >/dev/null 2>&1; }
if ! has_nightly && command -v rustup >/dev/null; then
    echo "fuzz: a nightly compiler is missing, installing it" >&2
    # A machine without rustup's server must not wait for it for ever.
    timeout 120 rustup toolchain install --profile minimal nightly >&2 </dev/null || true
fi
found=${CARGO_TARGET_DIR:-target}/fuzz-corpus/$target
mkdir -p "$found"
export DEFMT_LOG="${DEFMT_LOG:-error}"
set -- --fuzz-dir tools/lab/fuzz "$target" "$found" "tools/lab/fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 "$@"
if has_nightly; then
    exec cargo +nightly fuzz run "$@"
fi
echo "fuzz: no nightly compiler, so without the address sanitizer" >&2
exec cargo fuzz run --sanitizer none "$@"
