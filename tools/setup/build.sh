#!/bin/sh
# Builds the kernel, the apps and the flash image of each manifest: build.sh MANIFEST...
#
# build/NAME.elf and build/NAME.img are the result, NAME being the board's name in the manifest.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/bare.sh

cargo build -p slopos-manifest -p slopos-flash -p slopos-run -p slopos-audit
for manifest; do
    "$output/debug/manifest" --outside "$manifest" >/dev/null
done
build_apps
for manifest; do
    manifest=$(realpath "$manifest")
    name=$("$output/debug/manifest" "$manifest")
    build_outside "$manifest"
    # One folder for each board: the kernels differ, and each build would overwrite the other's.
    SLOPOS_MANIFEST=$manifest DEFMT_LOG=${DEFMT_LOG:-info} build_bare "$name" -p slopos-board-qemu-q35
    # An unchanged kernel is not copied again: a board may be booting from it.
    built=$output/bare-$name/$bare_target/release/qemu_q35
    cmp -s "$built" "build/$name.elf" || cp "$built" "build/$name.elf"
    # The audit checks sizes that only the linker knows: the control blocks and the shared memory.
    if ! "$output/debug/audit" --image "build/$name" --quiet; then
        rm "build/$name.elf"
        echo "build: the kernel of $manifest does not pass the audit" >&2
        exit 1
    fi
    # An image, with what a board wrote to it, is kept unless an app or a file beside the manifest is newer.
    image=build/$name.img
    if ! [ -f "$image" ] || [ -n "$(find "$(dirname "$manifest")" -type f -newer "$image")" ] ||
        [ -n "$(find "$apps" -maxdepth 1 -type f -executable -newer "$image")" ]; then
        "$output/debug/flash" build --manifest "$manifest" --apps "$apps" --output "$image" >&2
    fi
done
