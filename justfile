# SlopOS: `./just` lists the recipes. Arguments are passed on as they are.

set positional-arguments
set shell := ["sh", "-euc"]

board := "boards/qemu_q35/board.toml"
test_board := "boards/qemu_q35/test.toml"
tools := env_var_or_default("CARGO_TARGET_DIR", "target") / "debug"

# Lists the recipes.
default:
    @"{{ just_executable() }}" --list --unsorted

# Installs what building and running need: QEMU, the bare-metal target.
setup:
    @tools/setup/setup.sh

# Builds kernel, apps and flash image of a manifest into build/.
build manifest=board: setup
    @tools/setup/build.sh "$1"

# Builds apps (all, unless named) and puts them into the board's flash, without touching the kernel.
flash *APPS: setup
    @tools/setup/flash.sh "$@"

# Lists what is in the board's flash, or in another image.
flash-list image="build/qemu_q35.img":
    @cargo run --quiet -p slopos-flash -- list "$1"

# Boots the board with the terminal as its serial line; Ctrl-A x quits. Takes options of the `run` tool.
run *OPTIONS: build
    @"{{ tools }}/run" --interactive --keep-flash "$@"

# Boots the board and fetches by HTTP; without an address, a page from a server of its own. Exits with webget's status.
webget *ARGUMENTS: build
    @"{{ tools }}/fetch" -- "$@"

# Boots the board, fetches a page, and keeps the log in build/boot.log: ./just boot-log [BOOT_LOG_TIMEOUT=30]
boot-log *ARGUMENTS: build
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
    exec "{{ tools }}/fetch" --timeout "$seconds" --transcript build/boot.log

# Checks format and lints, then runs every test: on this machine, then on the board in QEMU.
test: (build board) (build test_board)
    @tools/setup/test.sh

# Checks format and lints.
lint: setup
    @cargo fmt --all --check
    @cargo clippy --workspace --all-targets -- -D warnings

# Formats the sources.
fmt:
    @cargo fmt --all

# Removes what was built; what setup installed stays.
clean:
    @cargo clean --quiet
    @rm -f build/*.elf build/*.img build/*.img.new build/*.log
