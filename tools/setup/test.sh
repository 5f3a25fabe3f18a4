#!/bin/sh
# Every check there is: format, lints, the tests on this machine, then those on the board in QEMU.
#
# A failed stage does not keep the later ones from running; the exit status is that of them all.
set -eu
cd "$(dirname "$0")/../.."
failed=

stage() {
    name=$1
    begun=$(date +%s)
    shift
    echo "test: $name" >&2
    "$@" || failed="$failed; $name"
    echo "test: $name: $(($(date +%s) - begun)) s" >&2
}

stage browser tools/setup/browser.sh
stage servers tools/setup/servers.sh
stage "disks and firmware" tools/setup/disk.sh --firmware
# All that defmt could log is compiled in, so that a log line which does not link is found here.
export DEFMT_LOG=trace
# The board's crate is tested by booting it.
host="--workspace --exclude slopos-e2e --exclude slopos-board-microvm --exclude slopos-board-pc --exclude slopos-board-qemu-q35"
stage format cargo fmt --all --check
stage lints cargo clippy --workspace --all-targets -- -D warnings
stage documentation tools/setup/doc.sh
stage "licences and sources" tools/setup/deny.sh
# shellcheck disable=SC2086 # the list is meant to be split
stage "tests on this machine" cargo test --no-fail-fast $host
# For the review: the bytes that a change costs, against the account that is kept in the tree.
stage "what the change costs" cargo run --quiet -p slopos-audit -- --compare boards/qemu_q35/audit.json
stage "what the change costs microvm" cargo run --quiet -p slopos-audit -- --board microvm \
    --compare boards/microvm/audit.json
# No packet and no device may reach a panic. The kernels differ, and so does what the optimiser proves in each.
stage "where a panic can begin" cargo run --quiet -p slopos-panics -- --brief --forbid capsules/net \
    --forbid capsules/entropy --forbid chips/virtio build/qemu_q35.elf build/qemu_q35-test.elf build/qemu_q35-attack.elf build/qemu_q35-scale.elf \
    build/qemu_q35-text.elf build/microvm.elf build/microvm-test.elf build/microvm-attack.elf
# Against the figures that are kept in the tree. They are Debian's compiler's: where that is asked for, another one's
# fail, so that what is asked for is what is compared; elsewhere they are only told apart.
same_compiler=
if [ "${SLOPOS_TOOLCHAIN:-auto}" = debian ]; then same_compiler=--same-compiler; fi
apps=${CARGO_TARGET_DIR:-target}/bare-apps/x86_64-unknown-none/release
# shellcheck disable=SC2086 # one word or none
stage "instruction counts" cargo run --quiet -p slopos-count -- --apps "$apps" --check $same_compiler
# shellcheck disable=SC2086
stage "instruction counts of microvm" cargo run --quiet -p slopos-count -- --board microvm --apps "$apps" --check $same_compiler
# Each test is a board of its own and takes a processor; one more than there are makes use of those that wait.
threads=$(($(nproc) + 1))
stage "tests on the board" cargo test --no-fail-fast -p slopos-e2e -- --test-threads=$threads
# What concerns the other machine as well, on its board.
stage "tests on microvm" env SLOPOS_BOARD=microvm cargo test --no-fail-fast -p slopos-e2e --test attack --test boot \
    --test chance --test console --test fetch --test interop --test modules --test processes --test serial --test storage \
    --test streams --test web --test wire -- --test-threads=$threads
if [ -n "$failed" ]; then
    echo "test: failed:${failed#;}" >&2
    exit 1
fi
