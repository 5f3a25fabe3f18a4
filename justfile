# SlopOS: `./just` lists the recipes. Arguments are passed on as they are.

set positional-arguments
set shell := ["sh", "-euc"]

board := "boards/qemu_q35/board.toml"
test_board := "boards/qemu_q35/test.toml"
attack_board := "boards/qemu_q35/attack.toml"
scale_board := "boards/qemu_q35/scale.toml"
tools := env_var_or_default("CARGO_TARGET_DIR", "target") / "debug"
apps := env_var_or_default("CARGO_TARGET_DIR", "target") / "bare-apps/x86_64-unknown-none/release"

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

# Begins an app: its folder, and its entry in the board's manifest: NAME [--outside FOLDER] [--manifest FILE]
new-app *ARGUMENTS:
    @cargo run --quiet -p slopos-new-app -- "$@"

# Packs a board for those who run it, into build/NAME-VERSION.tar.gz; twice the same.
dist manifest=board: (build manifest)
    @cargo run --quiet -p slopos-dist -- --apps "{{ apps }}" "$1"

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

# Counts guest instructions by layer, per call, per KiB, per request: [--output FILE | --check]
count *OPTIONS: (build board) (build test_board)
    @cargo run --quiet -p slopos-count -- --apps "{{ apps }}" "$@"

# Measures the board beside a Linux guest, in turns: [NAME...] [--list] [--runs N] [--with-offloads] [--json FILE] [--plot FILE.svg]; or: scale [sockets|processes]
bench *OPTIONS: build
    #!/bin/sh
    set -eu
    tools/setup/servers.sh
    # What more sockets cost is measured on a board of its own, without a Linux guest.
    if [ "${1:-}" = scale ]; then
        tools/setup/build.sh {{ scale_board }}
        exec cargo run --quiet -p slopos-bench -- "$@" --apps "{{ apps }}"
    fi
    tools/setup/linux.sh
    exec cargo run --quiet -p slopos-bench -- "$@"

# Prints a manifest with every multiplication worked out.
manifest file=board:
    @cargo run --quiet -p slopos-manifest -- --expand "$1"

# Says which process holds how much network memory, and why: [--live | --dump FILE] [--json] [--html FILE] [--compare OLD.json]
audit *OPTIONS: build
    @"{{ tools }}/audit" "$@"

# Checks format and lints, then runs every test: on this machine, then on the board in QEMU.
test: (build board) (build test_board) (build attack_board) (build scale_board)
    @tools/setup/test.sh

# Lists the places in the kernel from which a panic can begin; fails where packets or devices reach one.
panics elf="build/qemu_q35.elf": build
    @cargo run --quiet -p slopos-panics -- "$1" --forbid capsules/net --forbid chips/virtio

# Runs the network stack in so many simulated networks, and prints what was counted.
soak seeds="100000" *OPTIONS:
    @cargo run --release --quiet -p slopos-sim -- soak "$@"

# Lets the fuzzer loose on a target (ethernet, arp, ipv4, udp, dhcp, tcp, tcp_options, stack) for so many seconds.
fuzz target seconds="60" *OPTIONS:
    @tools/lab/sim/fuzz.sh "$@"

# Changes a crate in one place after another and lists what no test notices: ./just mutants CRATE [--shard K/N], CRATE being kernel, capsules/net/src/tcp ...
mutants *ARGUMENTS:
    @tools/setup/mutants.sh "$@"

# Checks format, lints, licences and sources.
lint: setup
    @cargo fmt --all --check
    @cargo clippy --workspace --all-targets -- -D warnings
    @tools/setup/deny.sh

# Makes the documentation of every crate, with an index, in target/doc.
doc: setup
    @tools/setup/doc.sh

# Draws the pictures of the documents anew: doc/*.svg.
draw:
    @cargo run --quiet -p slopos-tree -- draw

# Formats the sources.
fmt:
    @cargo fmt --all

# Removes what was built; what setup installed stays.
clean:
    @cargo clean --quiet
    @rm -f build/*.elf build/*.qmp build/*.img build/*.img.new build/*.log build/*.tar.gz
