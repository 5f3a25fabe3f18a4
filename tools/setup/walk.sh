#!/bin/sh
# Carries out what the README and the book show, in a clean checkout of what is committed: in an empty folder, with nothing
# built and nothing set up in it.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
git clone --quiet . "$folder/slopos"
# The checkout has its own output folder, as a reader's has.
unset CARGO_TARGET_DIR
cargo run --quiet -p slopos-tree -- walk "$folder/slopos"
