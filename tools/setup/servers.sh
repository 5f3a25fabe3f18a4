#!/bin/sh
# Installs the servers that the board is tested against on a network of its own, the tool that makes that network, the
# terminal that tests type in, libvirt, by which a test runs a board, and OpenSSL, which is asked about signatures.
# Building and running need none.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/packages.sh

missing=
command -v ip >/dev/null || missing="$missing iproute2"
command -v nginx >/dev/null || missing="$missing nginx-light"
command -v lighttpd >/dev/null || missing="$missing lighttpd"
command -v dnsmasq >/dev/null || missing="$missing dnsmasq-base"
command -v udhcpd >/dev/null || missing="$missing udhcpd"
command -v openssl >/dev/null || missing="$missing openssl"
command -v tmux >/dev/null || missing="$missing tmux"
command -v virsh >/dev/null || missing="$missing libvirt-clients"
command -v libvirtd >/dev/null || missing="$missing libvirt-daemon libvirt-daemon-driver-qemu"
[ -z "$missing" ] && exit
# shellcheck disable=SC2086 # the list is meant to be split
install_packages $missing
