#!/bin/sh
# Changes crates in one place after another, and lists the changes that none of their tests notices:
# mutants.sh FOLDER [--shard K/N] [options of cargo-mutants].
#
# FOLDER is a crate's, one with several crates in it, or a folder or file within a crate: then only that is changed. The
# tests that run are those of the crate that was changed. Fails where a mutant survives. A mutant that makes a test run
# for ever counts as noticed: the time-out is what tells.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/common.sh
usage "$@"

# The crates that a folder has or lies in, a folder each.
crates_of() {
    folder=$1
    while [ "$folder" != . ] && ! [ -f "$folder/Cargo.toml" ]; do folder=$(dirname "$folder"); done
    if [ "$folder" != . ] && [ "$folder" != "$1" ]; then echo "$folder"; fi
    if [ -d "$1" ]; then git ls-files "$1/Cargo.toml" "$1/**/Cargo.toml" | xargs -r dirname; fi
}

fail() {
    echo "mutants: $1; crates are:" >&2
    git ls-files '*/Cargo.toml' | xargs dirname | sed 's/^/    /' >&2
    exit 2
}

[ $# -gt 0 ] || fail "name a crate's folder, or one within it"
folder=${1#./}
folder=${folder%/}
shift
case $folder in '' | . | .. | -* | /* | ../*) fail "'$folder' is no folder of a crate" ;; esac
[ -e "$folder" ] || fail "there is no $folder"
crates=$(crates_of "$folder")
[ -n "$crates" ] || fail "$folder has no crate and lies in none"

if ! cargo mutants --version >/dev/null 2>&1; then
    echo "mutants: cargo-mutants is missing, installing it" >&2
    cargo install --quiet --locked cargo-mutants
fi

files=$folder
if [ -d "$folder" ]; then files="$folder/**"; fi
set -- --file "$files" "$@"
for crate in $crates; do
    set -- --package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$crate/Cargo.toml" | head -n 1)" "$@"
done
output=build/mutants/$folder
mkdir -p "$output"
# The lists of an earlier run go first, so that they are not taken for this one's.
rm -rf "$output/mutants.out"
# All that defmt could log is compiled in, as in every test.
status=0
DEFMT_LOG=trace cargo mutants --output "$output" "$@" || status=$?
# A list (`--list`) runs nothing and has no lists.
[ -f "$output/mutants.out/missed.txt" ] || exit "$status"
case $status in
    0 | 2 | 3) ;;
    *) exit "$status" ;;
esac
lines() { wc -l <"$output/mutants.out/$1.txt"; }
survived=$(lines missed)
compiled=$((survived + $(lines caught) + $(lines timeout)))
echo "mutants: $survived of $compiled that compile survive; the lists are in $output/mutants.out" >&2
[ "$survived" -eq 0 ]
