#!/bin/sh
# Runs a tool, after what it works on has been made: tool.sh [--release] TOOL [STAGE...] -- ARGUMENT...
#
# A stage is a manifest, whose board is built, or another script of this folder. A call that only asks (for help, the
# version, completions, a list) passes the stages over: the tool alone is built. The option --board NAME, where the tool
# has it, builds the manifests of that board in place of qemu_q35's.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/common.sh

release= profile=debug
if [ "$1" = --release ]; then
    release=--release profile=release
    # Not the tests' level: what runs for long does not pay for lines that nobody reads.
    export DEFMT_LOG="${DEFMT_LOG:-error}"
    shift
fi
tool=$1
shift
stages=
while [ "$1" != -- ]; do
    stages="$stages $1"
    shift
done
shift
for word; do
    case $word in -h | --help | -V | --version | --list | --completions | --completions=*) stages= ;; esac
done
# The same manifest of another board.
board= word_before=
for word; do
    case $word_before=$word in
        --board=*) board=$word ;;
        *=--board=*) board=${word#--board=} ;;
    esac
    if [ "$word" = -- ]; then break; fi
    word_before=$word
done
manifests=
for stage in $stages; do
    if [ -n "$board" ]; then
        case $stage in boards/qemu_q35/*) stage=boards/$board/${stage##*/} ;; esac
        case $stage in
            *.toml)
                if ! [ -f "$stage" ]; then
                    echo "$tool: there is no board \`$board\`: $stage is missing" >&2
                    exit 2
                fi
                ;;
        esac
    fi
    case $stage in
        *.toml) manifests="$manifests $stage" ;;
        *)
            "tools/setup/$stage" || {
                echo "$tool: this machine lacks what tools/setup/$stage sets up" >&2
                exit 1
            }
            ;;
    esac
done
# shellcheck disable=SC2086 # the list is meant to be split
if [ -n "$manifests" ]; then tools/setup/build.sh $manifests; fi
package=slopos-$tool
if [ "$tool" = fetch ]; then package=slopos-run; fi
# shellcheck disable=SC2086 # one word or none
shown build $release -p "$package"
exec "${CARGO_TARGET_DIR:-target}/$profile/$tool" "$@"
