#!/bin/sh
# Installs what makes disks that boot by themselves: GRUB's modules for BIOS and UEFI, QEMU's tools for its disk format, and
# xorriso for CD-ROMs; with --firmware also UEFI's firmware for QEMU, which the tests boot them with.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/packages.sh

missing=
[ -f /usr/lib/grub/i386-pc/moddep.lst ] || missing="$missing grub-pc-bin"
[ -f /usr/lib/grub/x86_64-efi/moddep.lst ] || missing="$missing grub-efi-amd64-bin"
command -v grub-mkimage >/dev/null || missing="$missing grub-common"
command -v qemu-img >/dev/null && command -v qemu-io >/dev/null || missing="$missing qemu-utils"
command -v xorriso >/dev/null || missing="$missing xorriso"
if [ "${1:-}" = --firmware ]; then [ -f /usr/share/OVMF/OVMF_CODE_4M.fd ] || missing="$missing ovmf"; fi
[ -z "$missing" ] && exit
# shellcheck disable=SC2086 # the list is meant to be split
install_packages $missing
