#!/bin/sh
# Builds the apps and puts them into the board's flash: flash.sh [APP...]; all that have a slot, unless named.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/common.sh
usage "$@"
tools/setup/setup.sh
. tools/setup/bare.sh

image=build/qemu_q35.img
if ! [ -f "$image" ]; then
    echo "flash: there is no $image yet; run ./just build" >&2
    exit 1
fi
shown build -p slopos-flash -p slopos-manifest
build_apps
build_outside boards/qemu_q35/board.toml
if [ $# = 0 ]; then
    # The second column of the list is the slot's kind.
    set -- $("$output/debug/flash" list "$image" | awk '$2 == "app" { print $1 }')
fi
for app; do
    # Who changes an app wants to see the new one, also when it fails; a trial is for boards that are far away.
    "$output/debug/flash" replace --confirm --downgrade "$image" "$app" "$apps/$app" >/dev/null
done
"$output/debug/flash" verify --manifest boards/qemu_q35/board.toml "$image"
