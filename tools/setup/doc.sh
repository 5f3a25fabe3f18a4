#!/bin/sh
# The documentation of every crate in target/doc, with a first page that lists them. A warning is an error.
set -eu
cd "$(dirname "$0")/../.."
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps "$@"
exec cargo run --quiet -p slopos-tree -- index "${CARGO_TARGET_DIR:-target}/doc"
