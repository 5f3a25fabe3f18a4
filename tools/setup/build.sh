#!/bin/sh
# Builds the kernel, the apps and the flash image of each manifest: build.sh MANIFEST...
#
# build/NAME.elf and build/NAME.img are the result, NAME being the board's name in the manifest. They change together or
# not at all: both are made beside their places, and put there when both are right.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/common.sh
usage "$@"
tools/setup/setup.sh
. tools/setup/bare.sh

shown build -p slopos-manifest -p slopos-flash -p slopos-run -p slopos-audit -p slopos-texts
# An app without a program is told before anything is compiled for the board.
for manifest; do
    "$output/debug/manifest" --programs userland/apps --programs userland/tests "$manifest" >/dev/null
    "$output/debug/manifest" --outside "$manifest" >/dev/null
done
build_apps
new=
trap 'rm -f "$new.elf" "$new.img"' EXIT
for manifest; do
    manifest=$(realpath "$manifest")
    name=$("$output/debug/manifest" "$manifest")
    new=build/$name.new
    rm -f "$new.elf" "$new.img"
    build_outside "$manifest"
    # An image, with what a board wrote to it, is kept unless an app or a file beside the manifest is newer.
    image=build/$name.img
    if ! [ -f "$image" ] || [ -n "$(find "$(dirname "$manifest")" -type f -newer "$image")" ] ||
        [ -n "$(find "$apps" -maxdepth 1 -type f -executable -newer "$image")" ]; then
        "$output/debug/flash" build --manifest "$manifest" --apps "$apps" --output "$new.img" >&2
    elif ! "$output/debug/flash" verify --manifest "$manifest" "$image" >/dev/null 2>&1; then
        echo "build: $image is kept, and the kernel will refuse some of it: flash verify --manifest $manifest $image tells what" >&2
    fi
    # One folder for each board: the kernels differ, and each build would overwrite the other's.
    board=$("$output/debug/manifest" --board "$manifest")
    SLOPOS_MANIFEST=$manifest DEFMT_LOG=${DEFMT_LOG:-info} build_bare "$name" -p "slopos-board-$(echo "$board" | tr _ -)"
    cp "$output/bare-$name/$bare_target/release/$board" "$new.elf"
    # Where its log is lines of text, the kernel has room for the texts, which are in its symbols.
    "$output/debug/texts" "$new.elf"
    # The audit checks sizes that only the linker knows: the control blocks and the shared memory.
    if ! "$output/debug/audit" --image "$new" --quiet; then
        echo "build: the kernel of $manifest does not pass the audit" >&2
        exit 1
    fi
    # An unchanged kernel is not replaced: its time tells when it changed.
    if cmp -s "$new.elf" "build/$name.elf"; then rm "$new.elf"; fi
    for part in elf img; do
        if [ -f "$new.$part" ]; then mv "$new.$part" "build/$name.$part"; fi
    done
done
