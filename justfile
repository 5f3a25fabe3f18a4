# SlopOS: `./just` lists the recipes. Arguments are passed on as they are.

set positional-arguments
set shell := ["sh", "-euc"]

board := "boards/qemu_q35/board.toml"
test_board := "boards/qemu_q35/test.toml"
attack_board := "boards/qemu_q35/attack.toml"
scale_board := "boards/qemu_q35/scale.toml"
text_board := "boards/qemu_q35/text.toml"
microvms := "boards/microvm/board.toml boards/microvm/test.toml boards/microvm/attack.toml"
kernel := "build/qemu_q35.elf"
image := "build/qemu_q35.img"
apps := env_var_or_default("CARGO_TARGET_DIR", "target") / "bare-apps/x86_64-unknown-none/release"

# Lists the recipes.
default:
    @"{{ just_executable() }}" --list --unsorted

# Installs what building and running need: QEMU, the bare-metal target.
[group('build')]
[no-exit-message]
setup:
    @tools/setup/setup.sh

# Builds kernel, apps and flash image of a manifest into build/.
[group('build')]
[no-exit-message]
build manifest=board:
    @tools/setup/build.sh "$1"

# Builds apps, all or those named, into the flash, and no kernel.
[group('build')]
[no-exit-message]
flash *APPS:
    @tools/setup/flash.sh "$@"

# Begins an app: NAME [--outside FOLDER] [--manifest FILE]
[group('build')]
[no-exit-message]
new-app *ARGUMENTS:
    @tools/setup/tool.sh new-app -- "$@"

# Packs a board: [MANIFEST] [--development]
[group('build')]
[no-exit-message]
dist *ARGUMENTS:
    #!/bin/sh
    set -eu
    manifest={{ board }}
    for word; do
        case $word in *.toml) manifest=$word ;; esac
    done
    exec tools/setup/tool.sh dist "$manifest" -- --apps "{{ apps }}" "$@"

# Makes a disk that boots the board by itself: [--format FORM]
[group('build')]
[no-exit-message]
disk *ARGUMENTS:
    @tools/setup/tool.sh disk disk.sh {{ board }} -- "$@"

# Lists what is in the board's flash, or in another image.
[group('build')]
[no-exit-message]
flash-list file=image:
    @tools/setup/tool.sh flash -- list "$1"

# Prints a manifest with every multiplication worked out.
[group('build')]
[no-exit-message]
manifest file=board:
    @tools/setup/tool.sh manifest -- --expand "$1"

# Removes what was built; what setup installed stays.
[group('build')]
clean:
    @cargo clean --quiet
    @rm -rf build/*.elf build/*.qmp build/*.img build/*.img.new build/*.log build/*.tar.gz build/*.disk.* build/screens

# Boots the board with the terminal as its serial line: [--board NAME]
[group('run')]
[no-exit-message]
run *OPTIONS:
    @tools/setup/tool.sh run {{ board }} -- --interactive --keep-flash=if-free "$@"

# Boots the board and fetches by HTTP: [--board NAME] [ADDRESS]
[group('run')]
[no-exit-message]
webget *ARGUMENTS:
    #!/bin/sh
    set -eu
    name=qemu_q35
    if [ "${1:-}" = --board ]; then
        name=${2:?--board needs the name of a board}
        shift 2
    fi
    exec tools/setup/tool.sh fetch {{ board }} -- --board "$name" -- "$@"

# Fetches a page and keeps build/boot.log: [BOOT_LOG_TIMEOUT=30]
[group('run')]
[no-exit-message]
boot-log *ARGUMENTS:
    #!/bin/sh
    set -eu
    seconds=30
    for argument; do
        case $argument in
            BOOT_LOG_TIMEOUT=*[!0-9]* | BOOT_LOG_TIMEOUT=) echo "boot-log: $argument is not a number of seconds" >&2; exit 2 ;;
            BOOT_LOG_TIMEOUT=*) seconds=${argument#*=} ;;
            *) echo "boot-log: $argument is not BOOT_LOG_TIMEOUT=SECONDS" >&2; exit 2 ;;
        esac
    done
    tools/setup/build.sh {{ board }}
    # All of it is one log, on standard output too.
    exec tools/setup/tool.sh fetch -- --timeout "$seconds" --transcript build/boot.log 2>&1

# Says which process holds how much network memory, and why.
[group('look')]
[no-exit-message]
audit *OPTIONS:
    @tools/setup/tool.sh audit {{ board }} -- "$@"

# Counts guest instructions: per call, per KiB, per request.
[group('look')]
[no-exit-message]
count *OPTIONS:
    @tools/setup/tool.sh count {{ board }} {{ test_board }} -- --apps "{{ apps }}" "$@"

# Measures the board beside a Linux guest: [NAME...] or scale.
[group('look')]
[no-exit-message]
bench *OPTIONS:
    #!/bin/sh
    set -eu
    # What more sockets cost is measured on a board of its own, without a Linux guest.
    if [ "${1:-}" = scale ]; then
        exec tools/setup/tool.sh bench servers.sh {{ board }} {{ scale_board }} -- "$@" --apps "{{ apps }}"
    fi
    # Uploads come from the test board, whose flash has room for them.
    exec tools/setup/tool.sh bench servers.sh {{ board }} {{ test_board }} linux.sh -- "$@"

# Lists the places in a kernel where a panic can begin.
[group('look')]
[no-exit-message]
panics elf=kernel:
    @tools/setup/tool.sh panics {{ board }} -- "$1" --forbid capsules/net --forbid capsules/entropy --forbid chips/virtio

# Runs every check: format, lints, tests here and on the board.
[group('check')]
[no-exit-message]
test:
    @tools/setup/build.sh {{ board }} {{ test_board }} {{ attack_board }} {{ scale_board }} {{ text_board }} {{ microvms }}
    @tools/setup/test.sh

# Checks format, lints, licences and sources.
[group('check')]
[no-exit-message]
lint: setup
    @cargo fmt --all --check
    @cargo clippy --workspace --all-targets -- -D warnings
    @tools/setup/deny.sh

# Formats the sources.
[group('check')]
fmt:
    @cargo fmt --all

# Runs the network stack in simulated networks: [SEEDS=100000]
[group('check')]
[no-exit-message]
soak *ARGUMENTS:
    @tools/setup/tool.sh --release sim -- soak "$@"

# Boots boards whose power is cut N times, at every moment: [N]
[group('check')]
[no-exit-message]
soak-flash cuts="1000":
    @tools/setup/build.sh {{ test_board }}
    @SLOPOS_CUTS="$1" cargo test --quiet -p slopos-e2e --test updates -- --nocapture

# Lets the fuzzer loose on a target, for 60 seconds by default.
[group('check')]
[no-exit-message]
fuzz *ARGUMENTS:
    @tools/lab/sim/fuzz.sh "$@"

# Lists changes of a crate that no test notices: CRATE [--shard K/N]
[group('check')]
[no-exit-message]
mutants *ARGUMENTS:
    @tools/setup/mutants.sh "$@"

# Makes the documentation of every crate, with an index, in target/doc.
[group('documents')]
[no-exit-message]
doc: setup
    @tools/setup/doc.sh

# Makes text screens of console, webget and each tool in build/screens.
[group('documents')]
[no-exit-message]
screens *OPTIONS:
    @tools/setup/screens.sh "$@"

# Carries out what the README and the book show, on a clean checkout.
[group('documents')]
[no-exit-message]
walk:
    @tools/setup/walk.sh

# Draws the pictures of the documents anew: doc/*.svg.
[group('documents')]
[no-exit-message]
draw:
    @tools/setup/tool.sh tree -- draw
